//! `out[t, r] = act(Σ_c x[t, c] · w[r, c] + bias[r])`, for every weight format and any number of
//! tokens.

use super::check::{Case, F32_LIMIT, random};
use super::cut::{self, Cut, Via};
use super::{Variant, data_prelude, gemm, kernel, matmul_i8, params, weight_prelude};
use crate::gpu::{Bind, Gpu, Kernel, Matrix, Recorder, Rows, Tensor, Window};
use crate::quant::{BLOCK, Format, PANEL, Packed, padded_cols};

params! { n_tokens: u32, rows: u32, blocks: u32, x_stride: u32, out_stride: u32, first_row: u32, first_token: u32, to_token: u32 }

static KERNEL: Kernel = kernel!("matmul", [Read, Read, Read, Read, Write]);

/// What happens to a sum before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    #[default]
    None,
    /// x · σ(1.702 x): CLIP's.
    QuickGelu,
    /// x · Φ(x), exact.
    Gelu,
}

/// Whether the result replaces what `out` holds or is added to it (a residual).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// `out = …`
    #[default]
    Replace,
    /// `out += …`
    Add,
}

/// What this kernel shares with `gemm`.
pub(super) const PRODUCT: &str = include_str!("../../shaders/common/product.wgsl");

/// The tile of a lane, which every cut but `gemm`'s shares.
pub(super) const TILE: &str = include_str!("../../shaders/common/tile.wgsl");

pub(super) fn constants(
    cut: Cut,
    cols: usize,
    bias: bool,
    act: Act,
    store: Store,
) -> Vec<(&'static str, u32)> {
    let partial = matches!(cut.via, Via::Lanes | Via::Window)
        .then_some(("PARTIAL", if cut.slices > 1 { 4 * cut.lanes } else { 1 }));
    let own =
        [("BIAS", u32::from(bias)), ("ACT", act as u32), ("ADD", u32::from(store == Store::Add))];
    cut.constants(cols).into_iter().chain(partial).chain(own).collect()
}

/// The kernel of a cut.
fn kernel_of(cut: Cut) -> &'static Kernel {
    match cut.via {
        Via::Tile => &gemm::KERNEL,
        Via::Bytes => &matmul_i8::KERNEL,
        Via::Lanes | Via::Window => &KERNEL,
    }
}

/// The texts in front of it.
fn preludes(gpu: &Gpu, cut: Cut, w: &Matrix) -> Vec<&'static str> {
    let mut all =
        vec![cut.prelude(), data_prelude(w.in_textures()), weight_prelude(w.format), PRODUCT];
    match cut.via {
        Via::Tile => {}
        Via::Bytes => all.extend(matmul_i8::preludes(gpu.has_packed_dot())),
        Via::Lanes | Via::Window => all.push(TILE),
    }
    all
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for (f, format) in [Format::F32, Format::F16, Format::Q8, Format::Q4].into_iter().enumerate() {
        for (i, cut) in cut::all()
            .into_iter()
            .filter(|cut| matches!(cut.via, Via::Lanes | Via::Window))
            .enumerate()
        {
            let (bias, act, store) = [
                (false, Act::None, Store::Replace),
                (true, Act::QuickGelu, Store::Add),
                (true, Act::Gelu, Store::Replace),
            ][i % 3];
            let preludes = vec![
                cut.prelude(),
                data_prelude((f + i) % 2 == 0),
                weight_prelude(format),
                PRODUCT,
                TILE,
            ];
            all.push(Variant {
                kernel: &KERNEL,
                preludes,
                constants: constants(cut, 128, bias, act, store),
            });
        }
    }
    all
}

/// What activations are multiplied with: weights [rows, cols], and the bias [1, rows] that is
/// added.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// The matrix.
    pub matrix: &'a Matrix,
    /// The bias.
    pub bias: Option<&'a Tensor>,
}

impl<'a> From<&'a Matrix> for Weights<'a> {
    fn from(matrix: &'a Matrix) -> Weights<'a> {
        Weights { matrix, bias: None }
    }
}

/// Records out = x · wᵀ + bias, into rows 0.. of `out`, cut as was measured to be fastest. x [n,
/// w.cols] · out [≥ n, w.rows].
pub fn linear<'a>(rec: &mut Recorder, x: Rows, w: impl Into<Weights<'a>>, out: &Tensor) {
    chosen(rec, x, w.into(), Act::None, Store::Replace, out);
}

/// The same with an activation function: out = act(x · wᵀ + bias).
pub fn linear_act<'a>(
    rec: &mut Recorder,
    x: Rows,
    w: impl Into<Weights<'a>>,
    act: Act,
    out: &Tensor,
) {
    chosen(rec, x, w.into(), act, Store::Replace, out);
}

/// The same, added to what is there: out += x · wᵀ + bias.
pub fn linear_add<'a>(rec: &mut Recorder, x: Rows, w: impl Into<Weights<'a>>, out: &Tensor) {
    chosen(rec, x, w.into(), Act::None, Store::Add, out);
}

/// By the cuts that were measured to be fastest, or by the one of `--arithmetic exact`.
fn chosen(rec: &mut Recorder, x: Rows, w: Weights, act: Act, store: Store, out: &Tensor) {
    let cut = |n: usize| cut::cut(rec.gpu(), w.matrix, n, false);
    let runs = if rec.gpu().order_is_fixed() {
        vec![(0, x.n, Cut::EXACT)]
    } else {
        cut::runs(x.n, cut(x.n), cut)
    };
    for (at, n, cut) in runs {
        let x = Rows { first: x.first + at, n, ..x };
        product(rec, x, How { w, act, store, cut }, (out, at));
    }
}

/// Records the product by a given cut: `x` → rows `to..to + x.n` of `out`.
pub(crate) fn product(rec: &mut Recorder, x: Rows, how: How, (out, to): (&Tensor, usize)) {
    let Rows { tensor, first, n } = x;
    assert_eq!((tensor.cols, out.cols), (how.w.matrix.cols, how.w.matrix.rows), "matmul: widths");
    assert!(to + n <= out.rows, "matmul: {n} tokens to {to}");
    let tokens = how.cut.tokens as usize;
    if how.cut.via != Via::Window {
        return dispatch(rec, tensor, x, how, (out, to));
    }
    for at in (0..n).step_by(tokens) {
        let count = tokens.min(n - at);
        if first + at + tokens <= tensor.rows {
            dispatch(
                rec,
                &Window::new(tensor, first + at, tokens),
                Rows { tensor, first: 0, n: count },
                how,
                (out, to + at),
            );
        } else {
            // The window would end beyond the tensor.
            let how = How { cut: Cut { via: Via::Lanes, ..how.cut }, ..how };
            dispatch(
                rec,
                tensor,
                Rows { tensor, first: first + at, n: count },
                how,
                (out, to + at),
            );
        }
    }
}

/// What a product does beside reading its activations.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) w: Weights<'a>,
    pub(crate) act: Act,
    pub(crate) store: Store,
    pub(crate) cut: Cut,
}

impl<'a> How<'a> {
    /// The plain product: no bias, no activation function, nothing added.
    pub(crate) fn plain(w: &'a Matrix, cut: Cut) -> How<'a> {
        How { w: w.into(), act: Act::None, store: Store::Replace, cut }
    }
}

/// One dispatch for each part of the matrix. `bound` stands for the tensor of `x`, whose rows count
/// from the start of what is bound.
fn dispatch(rec: &mut Recorder, bound: &dyn Bind, x: Rows, how: How, (out, to): (&Tensor, usize)) {
    let How { w: Weights { matrix, bias }, act, store, cut } = how;
    let (kernel, preludes) = (kernel_of(cut), preludes(rec.gpu(), cut, matrix));
    let constants = constants(cut, matrix.cols, bias.is_some(), act, store);
    // A dispatch has at most 65 535 workgroups in y; so many tokens are far beyond any chunk.
    for part in &matrix.parts {
        let params = Params {
            n_tokens: x.n as u32,
            rows: part.rows as u32,
            blocks: (padded_cols(matrix.cols) / BLOCK) as u32,
            x_stride: x.tensor.stride() as u32,
            out_stride: out.stride() as u32,
            first_row: part.first_row as u32,
            first_token: x.first as u32,
            to_token: to as u32,
        };
        // Without a bias the scales stand in for it: a binding must exist, the constant BIAS keeps
        // it unread.
        let bias = bias.map_or(&part.scales, |b| &b.storage);
        let grid =
            [part.rows.div_ceil(cut.group_rows()) as u32, (x.n as u32).div_ceil(cut.tokens), 1];
        rec.dispatch(
            kernel,
            &preludes,
            &constants,
            params,
            &[bound, &part.data, &part.scales, bias, out],
            grid,
        );
    }
}

/// The twin: x [n, cols] → [n, rows]; in four interleaved sums, whatever the kernel's cut.
pub fn reference(x: &[f32], w: &Packed, bias: Option<&[f32]>, act: Act) -> Vec<f32> {
    let n = x.len() / w.cols;
    let stride = padded_cols(w.cols);
    let mut padded = vec![0.0; n * stride];
    for (to, from) in padded.chunks_exact_mut(stride).zip(x.chunks_exact(w.cols)) {
        to[..w.cols].copy_from_slice(from);
    }
    let panels = crate::parallel::map(w.panels(), |panel| reference_panel(&padded, n, w, panel));
    let mut out = vec![0.0; n * w.rows];
    for (panel, sums) in panels.iter().enumerate() {
        for row in panel * PANEL..w.rows.min((panel + 1) * PANEL) {
            for t in 0..n {
                let v = sums[(row % PANEL) * n + t] + bias.map_or(0.0, |b| b[row]);
                out[t * w.rows + row] = activate(v, act);
            }
        }
    }
    out
}

/// One panel of the twin: x [n, padded cols] → [32 rows, n].
fn reference_panel(x: &[f32], n: usize, w: &Packed, panel: usize) -> Vec<f32> {
    let stride = padded_cols(w.cols);
    let mut out = vec![0.0; PANEL * n];
    let mut row = vec![0.0; stride];
    for lane in 0..PANEL.min(w.rows - panel * PANEL) {
        w.unpack_row(panel, lane, &mut row);
        for (t, x) in x.chunks_exact(stride).enumerate() {
            let mut sum = [0.0f32; 4];
            for (x, w) in x.chunks_exact(4).zip(row.chunks_exact(4)) {
                for i in 0..4 {
                    sum[i] += x[i] * w[i];
                }
            }
            out[lane * n + t] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
    }
    out
}

pub(super) fn activate(v: f32, act: Act) -> f32 {
    match act {
        Act::None => v,
        Act::QuickGelu => v / (1.0 + (-1.702 * v).exp()),
        Act::Gelu => 0.5 * v * (1.0 + erf(v * std::f32::consts::FRAC_1_SQRT_2)),
    }
}

/// Abramowitz and Stegun 7.1.26, as in the shader.
fn erf(v: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * v.abs());
    let poly = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    v.signum() * (1.0 - poly * (-v * v).exp())
}

/// x [n, cols], weights, bias → [n, rows].
pub(super) type Twin = fn(&[f32], &Packed, Option<&[f32]>, Act) -> Vec<f32>;

/// A cut's twin, and how close the kernel comes to it.
pub(super) fn twin(cut: Cut) -> (f64, Twin) {
    if cut.via == Via::Bytes {
        (matmul_i8::LIMIT, matmul_i8::reference)
    } else {
        (F32_LIMIT, reference)
    }
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

pub(crate) fn cases() -> Vec<Case> {
    cases_by(KERNEL.name)
}

/// Cases of those cuts that are the kernel `kernel`: this one, `gemm` or `matmul_i8`.
pub(super) fn cases_by(kernel: &'static str) -> Vec<Case> {
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
    for (f, format) in [Format::F32, Format::F16, Format::Q8, Format::Q4].into_iter().enumerate() {
        let cuts = |cols: usize| {
            cut::all()
                .into_iter()
                .filter(move |cut| cut.takes(format, cols) && cut.is_for(false))
                .enumerate()
        };
        let mut add = |i: usize, c: usize, (n, rows, cols): (usize, usize, usize), cut: Cut| {
            let act = [Act::None, Act::QuickGelu, Act::Gelu][i % 3];
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
        for (i, &shape) in large.iter().enumerate() {
            for (c, cut) in
                cuts(64).filter(|(_, cut)| matches!(cut.via, Via::Tile | Via::Bytes) && mine(cut))
            {
                add(i + f, i + c, shape, cut);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_multiplies() {
        let (n, rows, cols) = (3, 40, 70);
        let (values, x) = (random(5, rows * cols), random(6, n * cols));
        let got = reference(&x, &Packed::pack(Format::F32, &values, rows, cols), None, Act::None);
        for t in 0..n {
            for r in 0..rows {
                let want: f64 = (0..cols)
                    .map(|c| f64::from(x[t * cols + c]) * f64::from(values[r * cols + c]))
                    .sum();
                assert!((f64::from(got[t * rows + r]) - want).abs() < 1e-5);
            }
        }
    }

    /// A row's bits do not depend on the tokens beside it: the ground under "the first m of M equal
    /// a run with m".
    #[cfg(feature = "native")]
    #[test]
    fn a_row_does_not_see_its_neighbours() {
        let Some(gpu) = crate::kernels::check::gpu_or_skip() else {
            return;
        };
        gpu.fix_order();
        let (rows, cols) = (70, 136);
        for format in [Format::F32, Format::F16, Format::Q8, Format::Q4] {
            let w = Packed::pack(format, &random(7, rows * cols), rows, cols);
            let x = random(8, 9 * cols);
            let run = |first: usize, n: usize| {
                pollster::block_on(async {
                    let (x, w) = (
                        gpu.upload("x", &x, 9, cols).await.unwrap(),
                        gpu.upload_matrix("w", &w).await.unwrap(),
                    );
                    let out = gpu.tensor("out", n, rows).await.unwrap();
                    let mut rec = gpu.recorder();
                    linear(&mut rec, x.slice(first..first + n), &w, &out);
                    rec.submit();
                    gpu.read_rows(&out, 0, n).await.unwrap()
                })
            };
            let all = run(0, 9);
            for (first, n) in [(0, 1), (3, 1), (8, 1), (2, 3), (5, 4), (0, 8)] {
                assert!(
                    run(first, n) == all[first * rows..(first + n) * rows],
                    "{} {first} {n}",
                    format.name()
                );
            }
        }
    }
}
