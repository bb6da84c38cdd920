//! The product with float activations.
//!
//! The order of a sum, whatever the number of tokens: stretches of 256 columns, each one chain of
//! multiply-adds from 0 on, added up from the first to the last. A single token reads the weights
//! as they lie; for more, a stretch of a panel is unpacked once, into a tile that stays in the
//! nearest cache.

use super::matrix::{Matrix, Row};
use super::simd::{Job, Simd};
use super::unpack::{self, HALF, Sink};
use crate::quant::{BLOCK, PANEL};

/// Columns of a stretch.
pub(super) const STRETCH: usize = 256;
const BLOCKS: usize = STRETCH / BLOCK;

/// Vectors of rows whose sums are in registers at once.
const VECTORS: usize = 2;

/// `out[t] += Σ_k x[k][t] · w[k]` for `T` tokens: x [k, T].
#[inline(always)]
fn tokens<S: Simd, const T: usize>(s: S, x: &[f32], w: &[Row], out: &mut [Row]) {
    let out = &mut out[..T];
    for group in 0..PANEL / (VECTORS * S::LANES) {
        let at = group * VECTORS * S::LANES;
        let mut sums = [[s.splat(0.0); VECTORS]; T];
        for (x, w) in x.as_chunks::<T>().0.iter().zip(w) {
            let w0 = s.load(&w.0[at..]);
            let w1 = s.load(&w.0[at + S::LANES..]);
            for t in 0..T {
                let x = s.splat(x[t]);
                sums[t][0] = s.fma(x, w0, sums[t][0]);
                sums[t][1] = s.fma(x, w1, sums[t][1]);
            }
        }
        for t in 0..T {
            for v in 0..VECTORS {
                let to = &mut out[t].0[at + v * S::LANES..];
                let sum = s.add(s.load(to), sums[t][v]);
                s.store(sum, to);
            }
        }
    }
}

/// The same for a number of tokens that is known only now, at most [`Simd::TOKENS`].
#[inline(always)]
pub(super) fn tile<S: Simd>(s: S, n: usize, x: &[f32], w: &[Row], out: &mut [Row]) {
    s.call(Multiply { n, x, w, out });
}

struct Multiply<'a> {
    n: usize,
    x: &'a [f32],
    w: &'a [Row],
    out: &'a mut [Row],
}

impl Job for Multiply<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Multiply { n, x, w, out } = self;
        match n {
            1 => tokens::<S, 1>(s, x, w, out),
            2 => tokens::<S, 2>(s, x, w, out),
            3 => tokens::<S, 3>(s, x, w, out),
            4 => tokens::<S, 4>(s, x, w, out),
            5 => tokens::<S, 5>(s, x, w, out),
            6 => tokens::<S, 6>(s, x, w, out),
            7 if S::TOKENS > 6 => tokens::<S, 7>(s, x, w, out),
            8 if S::TOKENS > 6 => tokens::<S, 8>(s, x, w, out),
            9 if S::TOKENS > 6 => tokens::<S, 9>(s, x, w, out),
            10 if S::TOKENS > 6 => tokens::<S, 10>(s, x, w, out),
            11 if S::TOKENS > 6 => tokens::<S, 11>(s, x, w, out),
            12 if S::TOKENS > 6 => tokens::<S, 12>(s, x, w, out),
            _ => unreachable!("groups have at most 12 tokens"),
        }
    }
}

/// Cuts `n` tokens into as few groups as there can be of at most `most`, of nearly equal size:
/// (first, count).
pub(super) fn groups(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n.div_ceil(most).max(1);
    (0..count).map(move |i| (i * n / count, (i + 1) * n / count - i * n / count))
}

/// One panel for any number of tokens. `x` holds groups one after the other, [cols padded, tokens
/// of the group] each.
pub(super) struct Panel<'a> {
    pub(super) w: &'a Matrix,
    pub(super) panel: usize,
    pub(super) x: &'a [f32],
    /// [tokens]
    pub(super) out: &'a mut [Row],
}

impl Job for Panel<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (n, cols) = (self.out.len(), self.w.blocks() * BLOCK);
        let (data, scales) = self.w.panel(self.panel);
        let (data_words, scale_words) = self.w.block_words();
        let mut unpacked = [Row::ZERO; STRETCH];
        self.out.fill(Row::ZERO);
        for first in (0..self.w.blocks()).step_by(BLOCKS) {
            let blocks = BLOCKS.min(self.w.blocks() - first);
            for (i, block) in (first..first + blocks).enumerate() {
                let data = &data[block * data_words..][..data_words];
                let scales = &scales[block * scale_words..][..scale_words];
                unpack::block(s, self.w.format, data, scales, &mut unpacked[i * BLOCK..]);
            }
            let w = &unpacked[..blocks * BLOCK];
            for (at, count) in groups(n, S::TOKENS) {
                let x = &self.x[at * cols + first * BLOCK * count..][..w.len() * count];
                tile(s, count, x, w, &mut self.out[at..at + count]);
            }
        }
    }
}

/// Multiplies columns with one token's activations as they are unpacked.
struct Dot<'a, S: Simd> {
    x: &'a [f32],
    sum: S::F,
}

impl<S: Simd> Sink<S> for Dot<'_, S> {
    #[inline(always)]
    fn column(&mut self, s: S, c: usize, values: S::F) {
        self.sum = s.fma(s.splat(self.x[c]), values, self.sum);
    }
}

/// Panels from `first` on for one token: x [cols padded].
pub(super) struct Single<'a> {
    pub(super) w: &'a Matrix,
    pub(super) first: usize,
    pub(super) x: &'a [f32],
    /// [panels]
    pub(super) out: &'a mut [Row],
}

impl Job for Single<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Where registers are few, two panels' sums would not fit.
        let together = if S::TOKENS > 6 { 2 } else { 1 };
        for (i, out) in self.out.chunks_mut(together).enumerate() {
            let first = self.first + i * together;
            match out {
                [a, b] => panels(s, self.w, [first, first + 1], self.x, [a, b]),
                [a] => panels(s, self.w, [first], self.x, [a]),
                _ => unreachable!("chunks are of two at most"),
            }
        }
    }
}

/// Some panels, computed in turns, so that an addition need not wait for the one before.
#[inline(always)]
fn panels<S: Simd, const P: usize>(
    s: S,
    w: &Matrix,
    panels: [usize; P],
    x: &[f32],
    mut out: [&mut Row; P],
) {
    let (data_words, scale_words) = w.block_words();
    let from = panels.map(|panel| w.panel(panel));
    for out in &mut out {
        **out = Row::ZERO;
    }
    for first in (0..w.blocks()).step_by(BLOCKS) {
        let mut sums = [[s.splat(0.0); PANEL / 4]; P];
        for block in first..w.blocks().min(first + BLOCKS) {
            for half in 0..2 {
                let x = &x[block * BLOCK + half * HALF..][..HALF];
                for p in 0..P {
                    let data = &from[p].0[block * data_words..][..data_words];
                    let scales = &from[p].1[block * scale_words..][..scale_words];
                    for group in 0..PANEL / S::LANES {
                        let mut dot = Dot { x, sum: sums[p][group] };
                        unpack::half(s, w.format, half, group * S::LANES, data, scales, &mut dot);
                        sums[p][group] = dot.sum;
                    }
                }
            }
        }
        for p in 0..P {
            for group in 0..PANEL / S::LANES {
                let to = &mut out[p].0[group * S::LANES..];
                let sum = s.add(s.load(to), sums[p][group]);
                s.store(sum, to);
            }
        }
    }
}
