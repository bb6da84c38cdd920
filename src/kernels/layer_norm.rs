//! `(x − mean) / √(variance + ε) · weight + bias` over each row; without weight and bias where a
//! loader has folded them into other weights.

use super::check::{Case, F32_LIMIT, random};
use super::{REDUCE, Variant, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};

params! { cols: u32, stride: u32, eps: f32, first_token: u32 }

static KERNEL: Kernel = kernel!("layer_norm", [Read, Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    [0, 1]
        .map(|affine| Variant {
            kernel: &KERNEL,
            preludes: vec![REDUCE],
            constants: vec![("AFFINE", affine)],
        })
        .into()
}

/// Records rows `first..first + n` of `x` → rows 0..n of `out` (another tensor of the same width);
/// `affine` is weight and bias, [1, cols] each.
pub fn layer_norm(
    rec: &mut Recorder,
    x: &Tensor,
    first: usize,
    n: usize,
    affine: Option<(&Tensor, &Tensor)>,
    eps: f32,
    out: &Tensor,
) {
    assert!(
        x.cols == out.cols && first + n <= x.rows && n <= out.rows,
        "layer_norm: {n} rows from {first}"
    );
    let params =
        Params { cols: x.cols as u32, stride: x.stride() as u32, eps, first_token: first as u32 };
    let (weight, bias) = affine.unwrap_or((x, x));
    let constants = [("AFFINE", u32::from(affine.is_some()))];
    rec.dispatch(&KERNEL, &[REDUCE], &constants, params, &[x, weight, bias, out], [n as u32, 1, 1]);
}

/// The twin: x [n, cols] → [n, cols].
pub fn reference(x: &[f32], cols: usize, affine: Option<(&[f32], &[f32])>, eps: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(cols) {
        let mean = row.iter().sum::<f32>() / cols as f32;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / cols as f32;
        let scale = 1.0 / (variance + eps).sqrt();
        for (d, v) in row.iter().enumerate() {
            let v = (v - mean) * scale;
            out.push(affine.map_or(v, |(weight, bias)| v * weight[d] + bias[d]));
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, cols) in [(1, 1), (2, 63), (3, 65), (5, 192), (2, 1021)] {
        for affine in [false, true] {
            cases.push(Case::new(
                format!("layer_norm {n}x{cols} affine {affine}"),
                F32_LIMIT,
                async move |gpu| {
                    // A mean far from zero shows a one-pass variance.
                    let x: Vec<f32> = random(1, (n + 1) * cols).iter().map(|v| v + 3.0).collect();
                    let (weight, bias) = (random(2, cols), random(3, cols));
                    let x_gpu = gpu.upload("x", &x, n + 1, cols).await?;
                    let (weight_gpu, bias_gpu) = (
                        gpu.upload("weight", &weight, 1, cols).await?,
                        gpu.upload("bias", &bias, 1, cols).await?,
                    );
                    let out = gpu.tensor("out", n, cols).await?;
                    let mut rec = gpu.recorder();
                    layer_norm(
                        &mut rec,
                        &x_gpu,
                        1,
                        n,
                        affine.then_some((&weight_gpu, &bias_gpu)),
                        1e-5,
                        &out,
                    );
                    rec.submit();
                    let want = reference(
                        &x[cols..],
                        cols,
                        affine.then_some((&weight[..], &bias[..])),
                        1e-5,
                    );
                    Ok((gpu.read_rows(&out, 0, n).await?, want))
                },
            ));
        }
    }
    cases
}
