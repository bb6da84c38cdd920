//! Cases: a kernel on seeded inputs compared with its twin, and how large a difference is allowed.

use crate::error::Result;
use crate::gpu::Gpu;
use std::future::Future;
use std::pin::Pin;

/// f32 sums of some thousand terms in another order, fused or not, and drivers' `exp`: a few 1e-6
/// relative.
pub const F32_LIMIT: f64 = 1e-5;
/// Results stored as halves: 2^-11 per value.
pub const F16_LIMIT: f64 = 5e-4;
/// Integers and copies.
pub const EXACT: f64 = 0.0;

/// What a kernel gave and what its twin gave.
pub type Compared = (Vec<f32>, Vec<f32>);

trait Run {
    fn run<'a>(&'a self, gpu: &'a Gpu) -> Pin<Box<dyn Future<Output = Result<Compared>> + 'a>>;
}

impl<F: AsyncFn(&Gpu) -> Result<Compared>> Run for F {
    fn run<'a>(&'a self, gpu: &'a Gpu) -> Pin<Box<dyn Future<Output = Result<Compared>> + 'a>> {
        Box::pin(self(gpu))
    }
}

/// One kernel, one shape, one variant.
pub struct Case {
    /// Kernel, shape and variant.
    pub name: String,
    limit: f64,
    run: Box<dyn Run>,
}

/// The outcome of a [`Case`].
#[derive(Clone, Debug)]
pub struct Check {
    /// Whether the error is within the limit.
    pub ok: bool,
    /// The normalised error: sqrt(Σ (got − want)² / Σ want²).
    pub error: f64,
    /// What it may be.
    pub limit: f64,
    /// On failure: the ten worst places.
    pub message: String,
}

impl Case {
    pub(crate) fn new(
        name: String,
        limit: f64,
        run: impl AsyncFn(&Gpu) -> Result<Compared> + 'static,
    ) -> Case {
        Case { name, limit, run: Box::new(run) }
    }

    /// Runs the kernel on `gpu` and its twin on the processor.
    ///
    /// # Errors
    /// The device's own failures; a wrong result is `ok: false`.
    pub async fn run(&self, gpu: &Gpu) -> Result<Check> {
        let (got, want) = self.run.run(gpu).await?;
        gpu.check()?;
        Ok(compare(&got, &want, self.limit))
    }
}

/// Compares two lists by normalised squared error. NaN never passes.
pub fn compare(got: &[f32], want: &[f32], limit: f64) -> Check {
    if got.len() != want.len() {
        let message = format!("{} values, expected {}", got.len(), want.len());
        return Check { ok: false, error: f64::NAN, limit, message };
    }
    let (mut difference, mut norm) = (0.0f64, 0.0f64);
    for (&g, &w) in got.iter().zip(want) {
        difference += (f64::from(g) - f64::from(w)).powi(2);
        norm += f64::from(w).powi(2);
    }
    let error = if difference == 0.0 { 0.0 } else { (difference / norm.max(1e-30)).sqrt() };
    let ok = error <= limit;
    let mut message = String::new();
    if !ok {
        let mut worst: Vec<usize> = (0..got.len()).collect();
        let gap = |i: usize| {
            let d = (got[i] - want[i]).abs();
            if d.is_nan() { f32::INFINITY } else { d }
        };
        worst.sort_by(|&a, &b| gap(b).total_cmp(&gap(a)));
        let lines =
            worst.iter().take(10).map(|&i| format!("[{i}] got {} want {}", got[i], want[i]));
        message =
            format!("error {error:.3e} > {limit:.1e}: {}", lines.collect::<Vec<_>>().join("; "));
    }
    Check { ok, error, limit, message }
}

/// Seeded values, uniform in [-1, 1).
pub fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// The adapter for a test, or `None` with a notice; with `REQUIRE_GPU=1` its absence is a failure.
#[cfg(all(test, feature = "native"))]
pub(crate) fn gpu_or_skip() -> Option<Gpu> {
    use std::io::Write;
    let gpu = pollster::block_on(Gpu::open(&crate::gpu::AdapterChoice::Gpu)).ok().flatten();
    if gpu.is_none() {
        assert!(
            std::env::var("REQUIRE_GPU").is_err(),
            "REQUIRE_GPU is set, and there is no adapter"
        );
        let _ = writeln!(std::io::stderr(), "skipped: no adapter");
    }
    gpu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_wrong_length_and_small_errors_are_seen() {
        assert!(!compare(&[f32::NAN], &[0.0], 1.0).ok);
        assert!(!compare(&[1.0, 2.0], &[1.0], 1.0).ok);
        assert!(!compare(&[1.0, 2.0], &[1.0, 2.1], 1e-3).ok);
        assert!(compare(&[1.0, 2.0], &[1.0, 2.000001], 1e-5).ok);
    }

    /// Every kernel and variant against its twin on the adapter at hand. Without one: skipped,
    /// unless `REQUIRE_GPU=1`.
    #[cfg(feature = "native")]
    #[test]
    fn every_kernel_equals_its_twin() {
        let Some(gpu) = gpu_or_skip() else { return };
        let mut failures = Vec::new();
        // Cases to run while a kernel is being written: those whose names contain this.
        let only = std::env::var("MQT_CASES").unwrap_or_default();
        for case in crate::kernels::cases().into_iter().filter(|case| case.name.contains(&only)) {
            match pollster::block_on(case.run(&gpu)) {
                Ok(check) if check.ok => {}
                Ok(check) => failures.push(format!("{}: {}", case.name, check.message)),
                Err(error) => failures.push(format!("{}: {error}", case.name)),
            }
        }
        assert!(
            failures.is_empty(),
            "{} on {}:\n{}",
            failures.len(),
            gpu.info().name,
            failures.join("\n")
        );
        if !only.is_empty() {
            return;
        }
        let table: std::collections::BTreeSet<_> =
            crate::kernels::KERNELS.iter().map(|row| row.name()).collect();
        assert_eq!(gpu.kernels(), table, "the cases run every kernel of the table");
    }
}
