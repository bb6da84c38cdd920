//! Pixel shuffle: the features of s × s neighbouring patches become one longer row. Upstream:
//! `Idefics3Connector.pixel_shuffle`.

use super::check::{Case, EXACT, random};
use super::{Variant, groups, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};

params! { first_row: u32, grid: u32, scale: u32, width: u32, x_stride: u32, out_stride: u32 }

static KERNEL: Kernel = kernel!("shuffle", [Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![], constants: vec![] }]
}

/// Records rows `first..first + grid²` of x [tokens, d] → out [(grid / scale)², scale² · d];
/// `scale` divides `grid`.
pub fn shuffle(
    rec: &mut Recorder,
    x: &Tensor,
    first: usize,
    grid: usize,
    scale: usize,
    out: &Tensor,
) {
    assert!(
        grid.is_multiple_of(scale)
            && first + grid * grid <= x.rows
            && out.cols == scale * scale * x.cols
            && out.rows == (grid / scale).pow(2),
        "shuffle: {grid} by {scale}"
    );
    let params = Params {
        first_row: first as u32,
        grid: grid as u32,
        scale: scale as u32,
        width: x.cols as u32,
        x_stride: x.stride() as u32,
        out_stride: out.stride() as u32,
    };
    rec.dispatch(&KERNEL, &[], &[], params, &[x, out], [groups(out.cols), out.rows as u32, 1]);
}

/// The twin: x [grid², width] → [(grid / scale)², scale² · width].
pub fn reference(x: &[f32], width: usize, grid: usize, scale: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for square in 0..(grid / scale).pow(2) {
        let (row, column) = (square / (grid / scale) * scale, square % (grid / scale) * scale);
        for r in row..row + scale {
            out.extend_from_slice(&x[(r * grid + column) * width..][..scale * width]);
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(grid, scale, width): (usize, usize, usize)| {
        Case::new(format!("shuffle {grid}/{scale}x{width}"), EXACT, async move |gpu| {
            // One row in front, which `first` must skip.
            let x = random(1, (grid * grid + 1) * width);
            let x_gpu = gpu.upload("x", &x, grid * grid + 1, width).await?;
            let rows = (grid / scale).pow(2);
            let out = gpu.tensor("out", rows, scale * scale * width).await?;
            let mut rec = gpu.recorder();
            shuffle(&mut rec, &x_gpu, 1, grid, scale, &out);
            rec.submit();
            Ok((gpu.read_rows(&out, 0, rows).await?, reference(&x[width..], width, grid, scale)))
        })
    };
    [(1, 1, 1), (4, 2, 33), (12, 3, 30), (8, 4, 64)].into_iter().map(case).collect()
}
