//! `silu(gate) · up`; the matrix before it holds a panel of 32 gate rows, then their 32 up rows,
//! and so on.

use super::check::{Case, F32_LIMIT, random};
use super::{Variant, groups, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};
use crate::quant::{PANEL, padded_rows};

params! { cols: u32, x_stride: u32, out_stride: u32 }

static KERNEL: Kernel = kernel!("swiglu", [Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![], constants: vec![] }]
}

/// Records x [n, 2 · padded_rows(ffn)] → out [n, ffn].
pub fn swiglu(rec: &mut Recorder, x: &Tensor, n: usize, out: &Tensor) {
    assert!(x.cols == 2 * padded_rows(out.cols) && n <= x.rows.min(out.rows), "swiglu: {n} rows");
    let params = Params {
        cols: out.cols as u32,
        x_stride: x.stride() as u32,
        out_stride: out.stride() as u32,
    };
    rec.dispatch(&KERNEL, &[], &[], params, &[x, out], [groups(out.cols), n as u32, 1]);
}

/// The twin: x [n, 2 · padded_rows(ffn)] → [n, ffn].
pub fn reference(x: &[f32], ffn: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for row in x.chunks_exact(2 * padded_rows(ffn)) {
        for f in 0..ffn {
            let at = f / PANEL * 2 * PANEL + f % PANEL;
            let gate = row[at];
            out.push(gate / (1.0 + (-gate).exp()) * row[at + PANEL]);
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(n, ffn): (usize, usize)| {
        Case::new(format!("swiglu {n}x{ffn}"), F32_LIMIT, async move |gpu| {
            let wide = 2 * padded_rows(ffn);
            // Up to ±8: both tails of the sigmoid.
            let x: Vec<f32> = random(1, n * wide).iter().map(|v| v * 8.0).collect();
            let x_gpu = gpu.upload("x", &x, n, wide).await?;
            let out = gpu.tensor("out", n, ffn).await?;
            let mut rec = gpu.recorder();
            swiglu(&mut rec, &x_gpu, n, &out);
            rec.submit();
            Ok((gpu.read_rows(&out, 0, n).await?, reference(&x, ffn)))
        })
    };
    [(1, 1), (2, 31), (3, 33), (2, 704)].into_iter().map(case).collect()
}
