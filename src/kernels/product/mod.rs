//! `out[t, r] = act(Σ_c x[t, c] · w[r, c] + bias[r])`, for every weight format and any number of
//! tokens: how it is recorded, and which of its kernels computes it.
//!
//! `lanes` serves any number of tokens, `tiles` and `bytes` many at once, `step` the one
//! token of a decoding step. A `cut::Cut` says which, and how the work is shared.

pub(super) mod bytes;
mod cases;
pub mod cut;
pub(crate) mod lanes;
pub mod step;
#[cfg(test)]
mod tests;
pub(super) mod tiles;
mod twin;

use super::{data_prelude, params, weight_prelude};
use crate::gpu::{Bind, Gpu, Kernel, Matrix, Recorder, Rows, Tensor, Window};
use crate::quant::{BLOCK, padded_cols};
#[cfg(test)]
pub(crate) use bytes::reference as bytes_reference;
use cut::{Cut, Via};
use twin::activate;
pub use twin::reference;

params! { n_tokens: u32, rows: u32, blocks: u32, x_stride: u32, out_stride: u32, first_row: u32, first_token: u32, to_token: u32 }

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
    /// x · ½(1 + tanh(√(2/π)(x + 0.044715 x³))): SigLIP's.
    GeluTanh,
}

impl Act {
    /// In the order of `ACT` in the shaders.
    pub const ALL: [Act; 4] = [Act::None, Act::QuickGelu, Act::Gelu, Act::GeluTanh];
}

/// What the `i`th variant of a product does with a sum; every [`Act`] has its turn.
fn epilogue(i: usize) -> (bool, Act, Store) {
    let store = if i % 2 == 1 { Store::Add } else { Store::Replace };
    (i > 0, Act::ALL[i % Act::ALL.len()], store)
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

/// What the kernels share: which token is read, and what becomes of a sum.
pub(super) const PRODUCT: &str = include_str!("../../../shaders/common/product.wgsl");

/// The tile of a lane.
pub(super) const TILE: &str = include_str!("../../../shaders/common/tile.wgsl");

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
        Via::Tile => &tiles::KERNEL,
        Via::Bytes => &bytes::KERNEL,
        Via::Lanes | Via::Window => &lanes::KERNEL,
    }
}

/// The texts in front of it.
fn preludes(gpu: &Gpu, cut: Cut, w: &Matrix) -> Vec<&'static str> {
    let mut all =
        vec![cut.prelude(), data_prelude(w.in_textures()), weight_prelude(w.format), PRODUCT];
    match cut.via {
        Via::Tile => {}
        Via::Bytes => all.extend(bytes::preludes(gpu.has_packed_dot())),
        Via::Lanes | Via::Window => all.push(TILE),
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
    assert_eq!((tensor.cols, out.cols), (how.w.matrix.cols, how.w.matrix.rows), "product: widths");
    assert!(to + n <= out.rows, "product: {n} tokens to {to}");
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
