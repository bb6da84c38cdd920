//! `x / √(mean of x² + ε) · weight` over each row. Upstream: `LlamaRMSNorm`.

use super::check::{Case, F32_LIMIT, random};
use super::{REDUCE, Variant, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};

params! { cols: u32, stride: u32, eps: f32, first_token: u32 }

static KERNEL: Kernel = kernel!("rms_norm", [Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![REDUCE], constants: vec![] }]
}

/// Records rows `first..first + n` of `x` → rows 0..n of `out` (another tensor of the same width);
/// weight [1, cols].
pub fn rms_norm(
    rec: &mut Recorder,
    x: &Tensor,
    first: usize,
    n: usize,
    weight: &Tensor,
    eps: f32,
    out: &Tensor,
) {
    assert!(
        x.cols == out.cols && first + n <= x.rows && n <= out.rows,
        "rms_norm: {n} rows from {first}"
    );
    let params =
        Params { cols: x.cols as u32, stride: x.stride() as u32, eps, first_token: first as u32 };
    rec.dispatch(&KERNEL, &[REDUCE], &[], params, &[x, weight, out], [n as u32, 1, 1]);
}

/// The twin: x [n, cols] → [n, cols].
pub fn reference(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let cols = weight.len();
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(cols) {
        let scale = 1.0 / (row.iter().map(|v| v * v).sum::<f32>() / cols as f32 + eps).sqrt();
        out.extend(row.iter().zip(weight).map(|(v, w)| v * scale * w));
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(n, cols): (usize, usize)| {
        Case::new(format!("rms_norm {n}x{cols}"), F32_LIMIT, async move |gpu| {
            let (x, weight) = (random(1, (n + 1) * cols), random(2, cols));
            let (x_gpu, weight_gpu) = (
                gpu.upload("x", &x, n + 1, cols).await?,
                gpu.upload("weight", &weight, 1, cols).await?,
            );
            let out = gpu.tensor("out", n, cols).await?;
            let mut rec = gpu.recorder();
            rms_norm(&mut rec, &x_gpu, 1, n, &weight_gpu, 1e-5, &out);
            rec.submit();
            Ok((gpu.read_rows(&out, 0, n).await?, reference(&x[cols..], &weight, 1e-5)))
        })
    };
    [(1, 1), (2, 63), (3, 65), (5, 256), (2, 1021)].into_iter().map(case).collect()
}
