//! Joins the splits of [`super::step`]: softmax over pieces, put together by their
//! largest scores and totals.

use super::cache::HeadShape;
use crate::gpu::{Kernel, Recorder, Storage, Tensor};
use crate::kernels::check::{Case, F32_LIMIT, random};
use crate::kernels::state::{self, STATE};
use crate::kernels::{Variant, groups, kernel, params};

params! { heads: u32, head_dim: u32, dims: u32 }

static KERNEL: Kernel = kernel!("attention/join", [Read, Read, Write]);

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![STATE], constants: vec![("SPLITS", 3)] }]
}

/// Records `part` [heads, splits, dims + 2] (sums, largest score, total) → `out` [1, heads ·
/// head_dim].
pub fn attention_join(
    rec: &mut Recorder,
    state: &Storage,
    part: &Storage,
    shape: HeadShape,
    splits: usize,
    out: &Tensor,
) {
    let params = Params {
        heads: shape.heads as u32,
        head_dim: shape.head_dim as u32,
        dims: shape.dims() as u32,
    };
    let grid = [groups(shape.heads * shape.head_dim), 1, 1];
    rec.dispatch(
        &KERNEL,
        &[STATE],
        &[("SPLITS", splits as u32)],
        params,
        &[state, part, out],
        grid,
    );
}

/// The twin.
pub fn reference(part: &[f32], shape: HeadShape, splits: usize) -> Vec<f32> {
    let width = shape.dims() + 2;
    let mut out = Vec::new();
    for head in part.chunks_exact(splits * width) {
        let top = head.chunks_exact(width).map(|s| s[width - 2]).fold(f32::MIN, f32::max);
        let weights: Vec<f32> =
            head.chunks_exact(width).map(|s| (s[width - 2] - top).exp()).collect();
        let total: f32 =
            head.chunks_exact(width).zip(&weights).map(|(s, w)| w * s[width - 1]).sum();
        out.extend((0..shape.head_dim).map(|d| {
            head.chunks_exact(width).zip(&weights).map(|(s, w)| w * s[d]).sum::<f32>() / total
        }));
    }
    out
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    let case = |(heads, head_dim, splits): (usize, usize, usize)| {
        Case::new(
            format!("{} {heads}x{head_dim} of {splits}", KERNEL.name),
            F32_LIMIT,
            async move |gpu| {
                let shape = HeadShape { heads, kv_heads: heads, head_dim };
                let width = shape.dims() + 2;
                let mut part = random(1, heads * splits * width);
                // Totals are positive; a split without keys has none, and a largest score far
                // below.
                part.chunks_exact_mut(width).for_each(|s| s[width - 1] = s[width - 1].abs() + 0.5);
                if splits > 1 {
                    part[width - 2..width].copy_from_slice(&[-1e30, 0.0]);
                }
                let state = state::upload(gpu, |_| ()).await?;
                let part_gpu = gpu.storage("part", part.len() as u64 * 4).await?;
                gpu.write(&part_gpu, 0, bytemuck::cast_slice(&part));
                let out = gpu.tensor("out", 1, heads * head_dim).await?;
                let mut rec = gpu.recorder();
                attention_join(&mut rec, &state, &part_gpu, shape, splits, &out);
                rec.submit();
                Ok((gpu.read_rows(&out, 0, 1).await?, reference(&part, shape, splits)))
            },
        )
    };
    [(1, 2, 1), (3, 12, 2), (2, 64, 9)].into_iter().map(case).collect()
}
