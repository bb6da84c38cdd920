//! `out[t, r] = act(Σ_c x[t, c] · w[r, c] + bias[r])` on the processor, for every weight format.
//!
//! Panels are shared among the threads; each gives sums [tokens, 32 rows], which a second pass
//! brings into rows, with bias, activation function and residual.

use super::bytes::{Panels, Round, Rounded};
use super::elementwise::Finish;
use super::floats::{Panel, Single, groups};
use super::matrix::{Matrix, Row};
use super::simd::{Job, Simd};
use super::{Isa, elementwise};
use crate::cancel::Cancel;
use crate::kernels::product::Act;
use crate::parallel;
use crate::quant::padded_cols;

/// Whether results replace what is there or are added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Replace,
    Add,
}

/// Memory that products use again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    x: Vec<f32>,
    rounded: Rounded,
    sums: Vec<Row>,
}

/// What activations are multiplied with.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub(crate) isa: Isa,
    pub(crate) w: &'a Matrix,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) act: Act,
    /// Whether activations may be rounded to bytes, where the matrix allows it too.
    pub(crate) rounds: bool,
}

impl Product<'_> {
    /// x [n, cols] → out [n, rows]; once `cancel` says so, what is left is not computed and `out`
    /// holds anything.
    pub(crate) fn run(
        &self,
        x: &[f32],
        store: Store,
        out: &mut [f32],
        scratch: &mut Scratch,
        cancel: &Cancel,
    ) {
        let (isa, w) = (self.isa, self.w);
        let n = x.len() / w.cols;
        assert!(x.len() == n * w.cols && out.len() == n * w.rows, "product of {n} tokens");
        if n == 0 {
            return;
        }
        let Scratch { x: packed, rounded, sums } = scratch;
        sums.resize(w.panels() * n, Row::ZERO);
        // One token: enough panels that sharing them costs less than computing them.
        let at_once = if n == 1 { (SHARE / padded_cols(w.cols)).max(2) } else { 1 };
        if self.rounds && w.may_round {
            isa.run(Round { x, cols: w.cols, to: rounded });
            let rounded = &*rounded;
            parallel::chunks(sums, at_once * n, |i, out| {
                if !cancel.is_cancelled() {
                    isa.run(Panels { w, first: i * at_once, x: rounded, n, out });
                }
            });
        } else {
            isa.run(Pack { x, cols: w.cols, to: packed });
            let packed = &packed[..];
            parallel::chunks(sums, at_once * n, |i, out| {
                if cancel.is_cancelled() {
                } else if n == 1 {
                    isa.run(Single { w, first: i * at_once, x: packed, out });
                } else {
                    isa.run(Panel { w, panel: i, x: packed, out });
                }
            });
        }
        let sums = &*sums;
        parallel::chunks(out, w.rows, |t, out| {
            isa.run(Finish { sums: elementwise::Sums { sums, n, t }, of: self, store, out });
        });
    }
}

/// Columns, all panels together, that one piece of work of a single token has.
const SHARE: usize = 4096;

/// Lays activations out for [`Panel`] and [`Single`].
struct Pack<'a> {
    x: &'a [f32],
    cols: usize,
    to: &'a mut Vec<f32>,
}

impl Job for Pack<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (n, stride) = (self.x.len() / self.cols, padded_cols(self.cols));
        self.to.resize(n * stride, 0.0);
        if n == 1 {
            self.to[..self.cols].copy_from_slice(self.x);
            self.to[self.cols..].fill(0.0);
            return;
        }
        let mut rest = &mut self.to[..];
        let mut parts = Vec::new();
        for (first, count) in groups(n, S::TOKENS) {
            let (part, behind) = rest.split_at_mut(count * stride);
            parts.push((first, count, part));
            rest = behind;
        }
        let (x, cols) = (self.x, self.cols);
        parallel::for_each(parts, |(first, count, part)| {
            let rows = &x[first * cols..][..count * cols];
            for (t, row) in rows.chunks_exact(cols).enumerate() {
                for (to, v) in part.iter_mut().skip(t).step_by(count).zip(row) {
                    *to = *v;
                }
            }
            part[cols * count..].fill(0.0);
        });
    }
}
