//! A 3 × 3 convolution of each channel separately, with bias, added to its input. Upstream:
//! MobileVLM's `PosInjectLayer`.

use super::check::{Case, F32_LIMIT, random};
use super::{Variant, groups, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};

params! { side: u32, cols: u32, stride: u32, w_stride: u32 }

/// Weights of a channel: three rows of three.
pub const TAPS: usize = 9;

static KERNEL: Kernel = kernel!("depthwise", [Read, Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![], constants: vec![] }]
}

/// Records z [side², cols] → out [side², cols]; weight [cols, 9], bias [1, cols].
pub fn depthwise(
    rec: &mut Recorder,
    z: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    side: usize,
    out: &Tensor,
) {
    assert!(
        z.rows == side * side
            && out.rows == z.rows
            && out.cols == z.cols
            && (weight.rows, weight.cols) == (z.cols, TAPS)
            && bias.cols == z.cols,
        "depthwise: {side}"
    );
    let params = Params {
        side: side as u32,
        cols: z.cols as u32,
        stride: z.stride() as u32,
        w_stride: weight.stride() as u32,
    };
    let grid = [groups(z.cols), z.rows as u32, 1];
    rec.dispatch(&KERNEL, &[], &[], params, &[z, weight, bias, out], grid);
}

/// The twin: z [side², cols], weight [cols, 9], bias → [side², cols].
pub fn reference(z: &[f32], weight: &[f32], bias: &[f32], side: usize) -> Vec<f32> {
    let cols = bias.len();
    let mut out = Vec::with_capacity(z.len());
    for (token, row) in z.chunks_exact(cols).enumerate() {
        let (y, x) = (token / side, token % side);
        for (c, value) in row.iter().enumerate() {
            let mut sum = value + bias[c];
            for (k, weight) in weight[c * TAPS..][..TAPS].iter().enumerate() {
                let (y, x) = ((y + k / 3).wrapping_sub(1), (x + k % 3).wrapping_sub(1));
                if y < side && x < side {
                    sum += weight * z[(y * side + x) * cols + c];
                }
            }
            out.push(sum);
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(side, cols): (usize, usize)| {
        Case::new(format!("depthwise {side}x{cols}"), F32_LIMIT, async move |gpu| {
            let (z, weight, bias) =
                (random(1, side * side * cols), random(2, cols * TAPS), random(3, cols));
            let z_gpu = gpu.upload("z", &z, side * side, cols).await?;
            let weight_gpu = gpu.upload("weight", &weight, cols, TAPS).await?;
            let bias_gpu = gpu.upload("bias", &bias, 1, cols).await?;
            let out = gpu.tensor("out", side * side, cols).await?;
            let mut rec = gpu.recorder();
            depthwise(&mut rec, &z_gpu, &weight_gpu, &bias_gpu, side, &out);
            rec.submit();
            let got = gpu.read_rows(&out, 0, side * side).await?;
            Ok((got, reference(&z, &weight, &bias, side)))
        })
    };
    [(1, 1), (2, 33), (3, 64), (12, 56)].into_iter().map(case).collect()
}
