//! The best that the device can do, measured in the same run: the denominator of every ratio.

use super::time::{Samples, seconds_of};
use crate::cpu::{Isa, ceilings as processor};
use crate::error::Result;
use crate::gpu::{Gpu, Kernel};
#[cfg(test)]
use crate::kernels::Variant;
use crate::kernels::{LANES, params};
use serde::Serialize;
use web_time::Instant;

/// Rates of one device; `None` where it cannot be measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ceilings {
    /// Reading a storage buffer larger than any cache, GB/s.
    pub read_gb_s: Option<f64>,
    /// Copying between buffers, GB/s read (as many are written).
    pub copy_gb_s: Option<f64>,
    /// Fused multiply-adds in f32, GFLOP/s.
    pub fma_f32_gflop_s: Option<f64>,
    /// The same in f16, if the device has `shader-f16`.
    pub fma_f16_gflop_s: Option<f64>,
    /// Packed 8-bit dot products, 10⁹ operations/s.
    pub dot4_i8_gop_s: Option<f64>,
    /// Microseconds that one more dependent dispatch costs.
    pub dispatch_gap_us: Option<f64>,
    /// Milliseconds from asking for 4 bytes to having them.
    pub map_ms: Option<f64>,
}

mod read {
    use super::*;
    params! { words: u32, groups: u32 }
    pub(super) static KERNEL: Kernel = Kernel {
        name: "read",
        source: include_str!("../../shaders/bench/read.wgsl"),
        bindings: &[crate::gpu::Access::Read, crate::gpu::Access::Write],
        params: Params::FIELDS,
    };
    pub(super) fn params(words: u32, groups: u32) -> impl bytemuck::Pod {
        Params { words, groups }
    }
}

/// A kernel that only computes: `turns` turns of a loop, `operand` its constant.
macro_rules! arithmetic {
    ($module:ident, $file:literal, $operand:ident: $type:ty) => {
        mod $module {
            use super::*;
            params! { turns: u32, $operand: $type }
            pub(super) static KERNEL: Kernel = Kernel {
                name: stringify!($module),
                source: include_str!(concat!("../../shaders/bench/", $file)),
                bindings: &[crate::gpu::Access::Write],
                params: Params::FIELDS,
            };
            pub(super) fn params(turns: u32, $operand: $type) -> impl bytemuck::Pod {
                Params { turns, $operand }
            }
        }
    };
}

arithmetic!(fma, "fma.wgsl", factor: f32);
arithmetic!(dot4, "dot4.wgsl", word: u32);

/// What `fma` computes in.
const F32: &str = "alias Real = f32;";
const F16: &str = "enable f16;\nalias Real = f16;";

mod empty {
    use super::*;
    params! { unused: u32 }
    pub(super) static KERNEL: Kernel = Kernel {
        name: "empty",
        source: include_str!("../../shaders/bench/empty.wgsl"),
        bindings: &[crate::gpu::Access::Write],
        params: Params::FIELDS,
    };
    pub(super) fn params() -> impl bytemuck::Pod {
        Params { unused: 0 }
    }
}

/// The kernels above, for the lint.
#[cfg(test)]
pub(crate) fn variants() -> Vec<Variant> {
    let plain = [&read::KERNEL, &dot4::KERNEL, &empty::KERNEL].map(|kernel| Variant {
        kernel,
        preludes: vec![],
        constants: vec![],
    });
    plain
        .into_iter()
        .chain([Variant { kernel: &fma::KERNEL, preludes: vec![F32], constants: vec![] }])
        .collect()
}

/// Measures all of it; a few seconds.
///
/// # Errors
/// The device's failures.
pub(super) async fn measure(gpu: &Gpu) -> Result<Ceilings> {
    let mut ceilings = Ceilings {
        map_ms: Some(map_ms(gpu).await?),
        dispatch_gap_us: Some(gap_us(gpu).await?),
        ..Default::default()
    };
    (ceilings.read_gb_s, ceilings.copy_gb_s) = memory(gpu).await?;
    ceilings.fma_f32_gflop_s =
        Some(rate(gpu, &fma::KERNEL, &[F32], |turns| fma::params(turns, 0.999)).await?);
    if gpu.has_f16() {
        ceilings.fma_f16_gflop_s =
            Some(rate(gpu, &fma::KERNEL, &[F16], |turns| fma::params(turns, 0.999)).await?);
    }
    ceilings.dot4_i8_gop_s =
        Some(rate(gpu, &dot4::KERNEL, &[], |turns| dot4::params(turns, 0x0102_0304)).await?);
    Ok(ceilings)
}

/// The processor's ceilings with an instruction set, on all threads.
pub(super) fn of_processor(isa: Isa) -> Ceilings {
    let mut memory = processor::Large::new(MEMORY);
    Ceilings {
        read_gb_s: Some(best(|| memory.read(isa))),
        fma_f32_gflop_s: Some(best(|| processor::multiply_add(isa, TURNS))),
        dot4_i8_gop_s: Some(best(|| processor::dot(isa, TURNS))),
        ..Ceilings::default()
    }
}

/// Bytes to read: more than any cache has.
const MEMORY: usize = 256 << 20;
/// Turns of sums in registers: some milliseconds.
const TURNS: usize = 1 << 20;

/// 10⁹ of what `work` counts per second, the best of some runs.
fn best(mut work: impl FnMut() -> f64) -> f64 {
    let mut rate = 0.0f64;
    for _ in 0..6 {
        let start = Instant::now();
        let done = work();
        rate = rate.max(done / start.elapsed().as_secs_f64() / 1e9);
    }
    rate
}

/// 10⁹ operations per second of a kernel that does 64 per lane and turn.
async fn rate<P: bytemuck::Pod>(
    gpu: &Gpu,
    kernel: &Kernel,
    preludes: &[&'static str],
    params: impl Fn(u32) -> P,
) -> Result<f64> {
    let groups = 1024;
    let out = gpu.storage("bench", (groups * LANES * 4) as u64).await?;
    let run = async |turns: u32| {
        seconds_of(gpu, async |gpu| {
            let mut rec = gpu.recorder();
            rec.dispatch(kernel, preludes, &[], params(turns), &[&out], [groups as u32, 1, 1]);
            rec.finish().await
        })
        .await
    };
    run(1).await?;
    // Long enough that starting it does not count, short enough for any watchdog.
    let mut turns = 16;
    while run(turns).await? < 0.02 && turns < 1 << 20 {
        turns *= 2;
    }
    let mut samples = Samples::default();
    for _ in 0..5 {
        samples.push(run(turns).await?);
    }
    Ok(groups as f64 * LANES as f64 * 64.0 * f64::from(turns) / samples.least() / 1e9)
}

/// Read and copy rates, GB/s.
async fn memory(gpu: &Gpu) -> Result<(Option<f64>, Option<f64>)> {
    let bytes = gpu.max_binding_bytes().min(128 << 20);
    let (from, to) =
        (gpu.storage("bench from", bytes).await?, gpu.storage("bench to", bytes).await?);
    let groups = 2048u32;
    let out = gpu.storage("bench", u64::from(groups) * LANES as u64 * 4).await?;
    let (mut reads, mut copies) = (Samples::default(), Samples::default());
    for _ in 0..6 {
        reads.push(
            seconds_of(gpu, async |gpu| {
                let mut rec = gpu.recorder();
                // Two buffers in turn, so that neither stays in a cache.
                for buffer in [&from, &to] {
                    rec.dispatch(
                        &read::KERNEL,
                        &[],
                        &[],
                        read::params((bytes / 16) as u32, groups),
                        &[buffer, &out],
                        [groups, 1, 1],
                    );
                }
                rec.finish().await
            })
            .await?,
        );
        copies.push(
            seconds_of(gpu, async |gpu| {
                let mut rec = gpu.recorder();
                rec.copy(&from, 0, &to, 0, bytes);
                rec.finish().await
            })
            .await?,
        );
    }
    gpu.forget_bind_groups();
    Ok((Some(2.0 * bytes as f64 / reads.least() / 1e9), Some(bytes as f64 / copies.least() / 1e9)))
}

/// What one more dispatch costs that waits for the one before: the slope between 100 and 400.
async fn gap_us(gpu: &Gpu) -> Result<f64> {
    let out = gpu.storage("bench", 16).await?;
    let run = async |n: usize| {
        seconds_of(gpu, async |gpu| {
            let mut rec = gpu.recorder();
            for _ in 0..n {
                rec.dispatch(&empty::KERNEL, &[], &[], empty::params(), &[&out], [1, 1, 1]);
            }
            rec.finish().await
        })
        .await
    };
    run(10).await?;
    let (mut few, mut many) = (Samples::default(), Samples::default());
    for _ in 0..5 {
        few.push(run(100).await?);
        many.push(run(400).await?);
    }
    Ok((many.least() - few.least()).max(0.0) / 300.0 * 1e6)
}

async fn map_ms(gpu: &Gpu) -> Result<f64> {
    let buffer = gpu.storage("bench", 16).await?;
    let mut samples = Samples::default();
    for _ in 0..20 {
        let start = Instant::now();
        gpu.read(&buffer, 0, 4).await?;
        samples.push(start.elapsed().as_secs_f64());
    }
    Ok(samples.median() * 1e3)
}
