//! Cases of the product kernels: shapes that fit no tile, every cut and every weight format.

use super::cut::{self, Cut, Via};
use super::twin::Twin;
use super::{Act, How, Store, Weights, bytes, kernel_of, product, reference};
use crate::kernels::check::{Case, F32_LIMIT, random};
use crate::quant::{Format, Packed};

/// A cut's twin, and how close the kernel comes to it.
pub(super) fn twin(cut: Cut) -> (f64, Twin) {
    if cut.via == Via::Bytes { (bytes::LIMIT, bytes::reference) } else { (F32_LIMIT, reference) }
}

/// What a case computes.
#[derive(Clone, Copy)]
struct Shape {
    n: usize,
    rows: usize,
    cols: usize,
    format: Format,
    cut: Cut,
    with_bias: bool,
    act: Act,
    store: Store,
    in_textures: bool,
}

/// Cases of those cuts that are the kernel `kernel`.
pub(super) fn of(kernel: &'static str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mine = |cut: &Cut| kernel_of(*cut).name == kernel;
    let shapes = [
        (1, 1, 1),
        (1, 64, 64),
        (2, 31, 63),
        (3, 33, 65),
        (4, 127, 128),
        (5, 700, 72),
        (9, 96, 588),
    ];
    // More than a tile of each, and less than two.
    let large = [(64, 128, 64), (70, 200, 136), (130, 65, 200)];
    for (f, format) in Format::ALL.into_iter().enumerate() {
        let cuts = |cols: usize| {
            cut::all()
                .into_iter()
                .filter(move |cut| cut.takes(format, cols) && cut.is_for(false))
                .enumerate()
        };
        let mut add = |i: usize, c: usize, (n, rows, cols): (usize, usize, usize), cut: Cut| {
            let act = Act::ALL[(i + c) % Act::ALL.len()];
            let store = if i.is_multiple_of(2) { Store::Replace } else { Store::Add };
            let in_textures = (f + c).is_multiple_of(2);
            cases.push(case(Shape {
                n,
                rows,
                cols,
                format,
                cut,
                with_bias: !i.is_multiple_of(3),
                act,
                store,
                in_textures,
            }));
        };
        for (i, &shape) in shapes.iter().enumerate() {
            // Every cut meets every format; the shapes go round.
            for (c, cut) in cuts(shape.2).skip(i).step_by(shapes.len()).filter(|(_, cut)| mine(cut))
            {
                add(i, c, shape, cut);
            }
        }
        for (c, cut) in cuts(1100).filter(|(_, cut)| cut.via == Via::Bytes && mine(cut)) {
            // So many blocks that every cut's slices go round more than once, unevenly.
            add(f + c, c, (17, 96, 1100), cut);
        }
        for (c, cut) in
            cuts(64).filter(|(_, cut)| matches!(cut.via, Via::Tile | Via::Bytes) && mine(cut))
        {
            // The shapes go round with the formats, so that every cut meets each of them.
            let i = (f + c) % large.len();
            add(i + f, i + c, large[i], cut);
        }
    }
    cases
}

fn case(shape: Shape) -> Case {
    let Shape { n, rows, cols, format, cut, with_bias, act, store, in_textures } = shape;
    let name = format!(
        "{} {} {cut} {n}x{cols} by {rows} {act:?} {store:?}",
        kernel_of(cut).name,
        format.name()
    );
    let (limit, reference) = twin(cut);
    Case::new(name, limit, async move |gpu| {
        let w = Packed::pack(format, &random(1, rows * cols), rows, cols);
        // One row in front, which `first` must skip.
        let x = random(2, (n + 1) * cols);
        let bias = random(3, rows);
        let before = random(4, n * rows);
        let x_gpu = gpu.upload("x", &x, n + 1, cols).await?;
        let bias_gpu = gpu.upload("bias", &bias, 1, rows).await?;
        let out = gpu.upload("out", &before, n, rows).await?;
        let w_gpu = gpu.upload_matrix_as("w", &w, in_textures).await?;
        let mut rec = gpu.recorder();
        let w_and_bias = Weights { matrix: &w_gpu, bias: with_bias.then_some(&bias_gpu) };
        product(&mut rec, x_gpu.slice(1..n + 1), How { w: w_and_bias, act, store, cut }, (&out, 0));
        rec.submit();
        let mut want = reference(&x[cols..], &w, with_bias.then_some(&bias[..]), act);
        if store == Store::Add {
            want.iter_mut().zip(&before).for_each(|(w, b)| *w += b);
        }
        Ok((gpu.read_rows(&out, 0, n).await?, want))
    })
}
