//! One token's product with a matrix as a step of decoding: the norm before it and what follows it
//! in the same dispatch.
//!
//! RMSNorm costs no pass of its own: whoever wrote the residual stream also wrote it times the
//! norm's gain (`x`), so what is left is one factor, 1 / RMS, which a product's result is
//! multiplied by.

use super::cut::{self, Cut, Product, Via};
use super::twin::Twin;
use super::{Act, TILE, bytes};
use crate::gpu::{Bind, Kernel, Matrix, Recorder, Storage, Tensor, Window};
use crate::kernels::check::{Case, random};
use crate::kernels::state::{self, STATE};
use crate::kernels::{Variant, data_prelude, kernel, params, swiglu, weight_prelude};
use crate::quant::{BLOCK, Format, PANEL, Packed, padded_cols};

params! { rows: u32, blocks: u32, first_row: u32, cols: u32, eps: f32 }

static KERNEL: Kernel = kernel!("product/step", [Read, Read, Read, Read, Read, Read, Write, Write]);
/// What becomes of the product.
#[derive(Clone, Copy)]
pub enum End<'a> {
    /// `out = v`, plus a bias [1, rows].
    Store(Option<&'a Tensor>),
    /// `out += v`, `next = out · gain`: the residual stream, ready for the next norm. gain [1,
    /// rows], next [1, rows].
    Residual(&'a Tensor, &'a Tensor),
    /// `out[f] = silu(gate f) · up f`; rows hold gates and ups panel by panel.
    Gated,
}

/// The residual stream and ε of the norm in front, if there is one.
pub type Norm<'a> = Option<(&'a Tensor, f32)>;

fn constants(cut: Cut, cols: usize, norm: bool, end: u32, bias: bool) -> Vec<(&'static str, u32)> {
    let partial = if cut.slices > 1 { cut.lanes } else { 1 };
    let own =
        [("PARTIAL", partial), ("NORM", u32::from(norm)), ("END", end), ("BIAS", u32::from(bias))];
    cut.constants(cols).into_iter().chain(own).collect()
}

/// Cuts for one token whose rows come in pairs.
fn cuts(format: Format) -> Vec<Cut> {
    cut::candidates(
        Product { software: false, bytes: true, format, panels: usize::MAX, cols: PANEL },
        1,
        true,
    )
}

/// The texts in front of the kernel.
fn preludes(cut: Cut, format: Format, in_textures: bool, packed_dot: bool) -> Vec<&'static str> {
    let mut all =
        vec![STATE, cut.prelude(), data_prelude(in_textures), weight_prelude(format), TILE];
    if cut.via == Via::Bytes {
        all.extend(bytes::preludes(packed_dot));
        all.push(include_str!("../../../shaders/common/sum_bytes.wgsl"));
    } else {
        all.push(include_str!("../../../shaders/common/sum_floats.wgsl"));
    }
    all
}

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for (f, format) in Format::ALL.into_iter().enumerate() {
        for (i, cut) in cuts(format).into_iter().enumerate() {
            // Bytes of all columns lie in workgroup memory: the widest matrix shows whether they
            // fit.
            let cols = if cut.via == Via::Bytes { widest(format, cut) } else { 128 };
            for end in 0..3 {
                let constants = constants(cut, cols, end != 1, end, i % 2 == 0 && end == 0);
                all.push(Variant {
                    kernel: &KERNEL,
                    preludes: preludes(cut, format, (f + i) % 2 == 0, end == 0),
                    constants,
                });
            }
        }
    }
    all
}

/// The most columns that a cut takes.
fn widest(format: Format, cut: Cut) -> usize {
    (1..)
        .map(|blocks| blocks * BLOCK)
        .take_while(|&cols| cut.takes(format, cols))
        .last()
        .unwrap_or(BLOCK)
}

/// Records the product of `x` [1, w.cols] with `w`, and its end, into `out`. `spare` is a buffer
/// that nobody reads.
#[allow(clippy::too_many_arguments, reason = "one argument per operand of the formula")]
pub fn product_step(
    rec: &mut Recorder,
    state: &Storage,
    x: &Tensor,
    norm: Norm,
    w: &Matrix,
    end: End,
    out: &Tensor,
    spare: &Storage,
) {
    let mut cut = cut::cut(rec.gpu(), w, 1, true);
    if !cut.is_for(true) {
        cut = cut::guess(rec.gpu().is_software(), w.rows, w.cols, 1);
    }
    step_cut(rec, state, x, norm, w, end, out, spare, cut);
}

/// The same with a given cut.
#[allow(clippy::too_many_arguments, reason = "one argument per operand of the formula")]
pub fn step_cut(
    rec: &mut Recorder,
    state: &Storage,
    x: &Tensor,
    norm: Norm,
    w: &Matrix,
    end: End,
    out: &Tensor,
    spare: &Storage,
    cut: Cut,
) {
    assert_eq!(x.cols, w.cols, "product step: widths");
    let (kind, extra, next) = match end {
        End::Store(bias) => (0, bias, spare),
        End::Residual(gain, next) => (1, Some(gain), &next.storage),
        End::Gated => (2, None, spare),
    };
    assert!(kind == 2 || out.cols == w.rows, "product step: {} rows into {}", w.rows, out.cols);
    let constants = constants(cut, w.cols, norm.is_some(), kind, extra.is_some());
    let window = (cut.via == Via::Window).then(|| Window::new(x, 0, 1));
    let bound: &dyn Bind = window.as_ref().map_or(x, |window| window);
    let (stream, eps) = norm.unwrap_or((x, 0.0));
    for part in &w.parts {
        let params = Params {
            rows: part.rows as u32,
            blocks: (padded_cols(w.cols) / BLOCK) as u32,
            first_row: part.first_row as u32,
            cols: w.cols as u32,
            eps,
        };
        // What is not there still has to be bound; the constants keep it unread.
        let extra = extra.map_or(&part.scales, |e| &e.storage);
        let binds: [&dyn Bind; 8] =
            [bound, &part.data, &part.scales, state, stream, extra, out, next];
        let grid = [part.rows.div_ceil(cut.group_rows()) as u32, 1, 1];
        let preludes = preludes(cut, w.format, w.in_textures(), rec.gpu().has_packed_dot());
        rec.dispatch(&KERNEL, &preludes, &constants, params, &binds, grid);
    }
}

/// The twin's product: x \[cols\] (times the gain), scaled by 1 / RMS of `stream` \[cols\] if there
/// is one → \[rows\].
pub fn reference(
    x: &[f32],
    stream: Option<(&[f32], f32)>,
    w: &Packed,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    reference_of(super::reference, x, stream, w, bias)
}

fn reference_of(
    product: Twin,
    x: &[f32],
    stream: Option<(&[f32], f32)>,
    w: &Packed,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let scale = stream.map_or(1.0, |(s, eps)| {
        1.0 / (s.iter().map(|v| v * v).sum::<f32>() / s.len() as f32 + eps).sqrt()
    });
    let products = product(x, w, None, Act::None);
    products.iter().enumerate().map(|(r, v)| v * scale + bias.map_or(0.0, |b| b[r])).collect()
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes: [(usize, usize); 5] = [(1, 1), (63, 65), (320, 72), (704, 136), (96, 588)];
    for (f, format) in Format::ALL.into_iter().enumerate() {
        for (i, cut) in cuts(format).into_iter().enumerate() {
            let (limit, twin) = super::cases::twin(cut);
            // Bytes: enough rows for every panel of a lane, more blocks than slices.
            let (rows, cols) =
                if cut.via == Via::Bytes { (320, 588) } else { shapes[i % shapes.len()] };
            for end in 0..3 {
                // Gates and ups come in whole panels.
                let rows = if end == 2 { rows.next_multiple_of(64) } else { rows };
                cases.push(Case::new(
                    format!("product/step {} {cut} {cols} by {rows} end {end}", format.name()),
                    limit,
                    async move |gpu| {
                        let w = Packed::pack(format, &random(1, rows * cols), rows, cols);
                        let (x, stream, extra, before) =
                            (random(2, cols), random(3, cols), random(4, rows), random(5, rows));
                        let state = state::upload(gpu, |_| ()).await?;
                        let (x_gpu, stream_gpu) = (
                            gpu.upload("x", &x, 1, cols).await?,
                            gpu.upload("stream", &stream, 1, cols).await?,
                        );
                        let (extra_gpu, next) = (
                            gpu.upload("extra", &extra, 1, rows).await?,
                            gpu.tensor("next", 1, rows).await?,
                        );
                        let spare = gpu.storage("spare", 16).await?;
                        let w_gpu = gpu.upload_matrix_as("w", &w, (f + i) % 2 == 0).await?;
                        let out = if end == 2 {
                            gpu.tensor("out", 1, rows / 2).await?
                        } else {
                            gpu.upload("out", &before, 1, rows).await?
                        };
                        let norm = (end != 1).then_some((&stream_gpu, 1e-5));
                        let how = [
                            End::Store(Some(&extra_gpu)),
                            End::Residual(&extra_gpu, &next),
                            End::Gated,
                        ][end];
                        let mut rec = gpu.recorder();
                        step_cut(&mut rec, &state, &x_gpu, norm, &w_gpu, how, &out, &spare, cut);
                        rec.submit();
                        let product = reference_of(
                            twin,
                            &x,
                            norm.map(|n| (&stream[..], n.1)),
                            &w,
                            (end == 0).then_some(&extra[..]),
                        );
                        let mut got = gpu.read_rows(&out, 0, 1).await?;
                        let want = match end {
                            0 => product,
                            1 => {
                                got.extend(gpu.read_rows(&next, 0, 1).await?);
                                let sum: Vec<f32> =
                                    product.iter().zip(&before).map(|(v, b)| v + b).collect();
                                let next: Vec<f32> =
                                    sum.iter().zip(&extra).map(|(s, g)| s * g).collect();
                                [sum, next].concat()
                            }
                            _ => swiglu::reference(&product, rows / 2),
                        };
                        Ok((got, want))
                    },
                ));
            }
        }
    }
    cases
}
