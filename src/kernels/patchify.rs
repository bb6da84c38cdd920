//! Cuts pixels into patch rows, so that the patch convolution becomes a matrix product.
//! Upstream: `CLIPVisionEmbeddings.patch_embedding` (stride = kernel). Pixels that no whole
//! patch covers are left out.

use super::check::{Case, EXACT, random};
use super::{Variant, groups, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};

params! { size: u32, side: u32, grid: u32, cols: u32, out_stride: u32 }

static KERNEL: Kernel = kernel!("patchify", [Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![], constants: vec![] }]
}

/// Records pixels [1, 3 · size · size] → out [(size / side)², 3 · side²].
pub fn patchify(rec: &mut Recorder, pixels: &Tensor, size: usize, side: usize, out: &Tensor) {
    let grid = size / side;
    assert!(
        pixels.cols == 3 * size * size && out.cols == 3 * side * side && out.rows == grid * grid,
        "patchify: {size} / {side}"
    );
    let params = Params {
        size: size as u32,
        side: side as u32,
        grid: grid as u32,
        cols: out.cols as u32,
        out_stride: out.stride() as u32,
    };
    rec.dispatch(&KERNEL, &[], &[], params, &[pixels, out], [groups(out.cols), out.rows as u32, 1]);
}

/// The twin: pixels [3, size, size] → [patches, 3 · side²].
pub fn reference(pixels: &[f32], size: usize, side: usize) -> Vec<f32> {
    let grid = size / side;
    let mut out = Vec::with_capacity(grid * grid * 3 * side * side);
    for patch in 0..grid * grid {
        for channel in 0..3 {
            for y in 0..side {
                let row = (channel * size + patch / grid * side + y) * size + patch % grid * side;
                out.extend_from_slice(&pixels[row..row + side]);
            }
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let shapes = [(8, 8), (28, 14), (50, 8), (36, 12)];
    let case = |(size, side): (usize, usize)| {
        Case::new(format!("patchify {size}/{side}"), EXACT, async move |gpu| {
            let pixels = random(1, 3 * size * size);
            let grid = size / side;
            let pixels_gpu = gpu.upload("pixels", &pixels, 1, pixels.len()).await?;
            let out = gpu.tensor("out", grid * grid, 3 * side * side).await?;
            let mut rec = gpu.recorder();
            patchify(&mut rec, &pixels_gpu, size, side, &out);
            rec.submit();
            Ok((gpu.read_rows(&out, 0, grid * grid).await?, reference(&pixels, size, side)))
        })
    };
    shapes.into_iter().map(case).collect()
}
