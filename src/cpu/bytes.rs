//! The product with activations rounded to bytes, in blocks of 64 that are scaled by their largest
//! value, like the `product/bytes` kernel. Sums over 32 columns are integer sums.

use super::floats::groups;
use super::matrix::{Matrix, Row, Words};
use super::simd::{Codes, Job, Simd};
use super::unpack;
use crate::quant::{BLOCK, Format, PANEL};

/// Columns of an integer sum.
const HALF: usize = BLOCK / 2;
/// Words of four bytes in those.
const DWORDS: usize = HALF / 4;

/// Rounded activations, groups of tokens one after the other.
#[derive(Default)]
pub(super) struct Rounded {
    /// Of each group [cols / 32][8][tokens]: four bytes.
    codes: Vec<u32>,
    /// Of each group [cols / 32][tokens]: what a byte stands for, and the sum of the bytes.
    steps: Vec<f32>,
    totals: Vec<f32>,
}

/// Rounds x [n, cols] for groups of at most `BYTE_TOKENS` tokens.
pub(super) struct Round<'a> {
    pub(super) x: &'a [f32],
    pub(super) cols: usize,
    pub(super) to: &'a mut Rounded,
}

impl Job for Round<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (n, halves) = (self.x.len() / self.cols, self.cols.div_ceil(BLOCK) * 2);
        let Rounded { codes, steps, totals } = self.to;
        codes.resize(n * halves * DWORDS, 0);
        steps.resize(n * halves, 0.0);
        totals.resize(n * halves, 0.0);
        for (first, count) in groups(n, S::BYTE_TOKENS) {
            for t in 0..count {
                let row = &self.x[(first + t) * self.cols..][..self.cols];
                for (block, values) in row.chunks(BLOCK).enumerate() {
                    let mut padded = [0.0f32; BLOCK];
                    padded[..values.len()].copy_from_slice(values);
                    let (bytes, step) = round(&padded);
                    for half in 0..2 {
                        let bytes = &bytes[half * HALF..][..HALF];
                        let at = first * halves + (2 * block + half) * count + t;
                        steps[at] = step;
                        totals[at] = bytes.iter().sum::<i32>() as f32;
                        for (d, four) in bytes.as_chunks::<4>().0.iter().enumerate() {
                            codes[(at - t) * DWORDS + d * count + t] =
                                u32::from_le_bytes(four.map(|b| b as u8));
                        }
                    }
                }
            }
        }
    }
}

/// Codes in −127…127, and the step: no number where a value is none, so that all sums over the
/// block are none either, as they are with floats.
#[inline(always)]
fn round(block: &[f32; BLOCK]) -> ([i32; BLOCK], f32) {
    /// Adding and subtracting 1.5 · 2²³ rounds a small float to the nearest integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    let (mut peaks, mut marks) = ([0.0f32; 16], [0.0f32; 16]);
    for values in block.as_chunks::<16>().0 {
        for ((peak, mark), v) in peaks.iter_mut().zip(&mut marks).zip(values) {
            *peak = if v.abs() > *peak { v.abs() } else { *peak };
            // 0 for a finite value, and no number for any other.
            *mark += v * 0.0;
        }
    }
    let mark: f32 = marks.iter().sum();
    let peak = peaks.iter().fold(0.0f32, |peak, v| peak.max(*v));
    let inverse = if peak > 1e-30 { 127.0 / peak } else { 0.0 };
    let mut codes = [0; BLOCK];
    for (code, v) in codes.iter_mut().zip(block) {
        let scaled = v * inverse;
        let scaled = if scaled > 127.0 { 127.0 } else { scaled };
        let scaled = if scaled < -127.0 { -127.0 } else { scaled };
        *code = ((scaled + ROUND) - ROUND) as i32;
    }
    (codes, peak / 127.0 + mark)
}

/// Panels from `first` on for any number of tokens.
pub(super) struct Panels<'a> {
    pub(super) w: &'a Matrix,
    pub(super) first: usize,
    pub(super) x: &'a Rounded,
    /// Tokens.
    pub(super) n: usize,
    /// [panels, tokens]
    pub(super) out: &'a mut [Row],
}

impl Job for Panels<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.w.format {
            Format::Q8 => self.of::<S, 8>(s),
            Format::Q5 => self.of::<S, 5>(s),
            Format::Q4 => self.of::<S, 4>(s),
            Format::F32 | Format::F16 => unreachable!("floats are not multiplied with bytes"),
        }
    }
}

impl Panels<'_> {
    #[inline(always)]
    fn of<S: Simd, const BITS: u32>(self, s: S) {
        let halves = self.w.blocks() * 2;
        for (i, out) in self.out.chunks_exact_mut(self.n).enumerate() {
            let (data, scales) = self.w.panel(self.first + i);
            for (at, count) in groups(self.n, S::BYTE_TOKENS) {
                let from = at * halves;
                let x = Group {
                    codes: &self.x.codes[from * DWORDS..][..count * halves * DWORDS],
                    steps: &self.x.steps[from..][..count * halves],
                    totals: &self.x.totals[from..][..count * halves],
                };
                let out = &mut out[at..at + count];
                match count {
                    1 => tokens::<S, BITS, 1>(s, data, scales, x, out),
                    2 => tokens::<S, BITS, 2>(s, data, scales, x, out),
                    3 if S::BYTE_TOKENS > 2 => tokens::<S, BITS, 3>(s, data, scales, x, out),
                    4 if S::BYTE_TOKENS > 2 => tokens::<S, BITS, 4>(s, data, scales, x, out),
                    5 if S::BYTE_TOKENS > 2 => tokens::<S, BITS, 5>(s, data, scales, x, out),
                    6 if S::BYTE_TOKENS > 2 => tokens::<S, BITS, 6>(s, data, scales, x, out),
                    _ => unreachable!("groups have at most 6 tokens"),
                }
            }
        }
    }
}

/// One group of [`Rounded`].
#[derive(Clone, Copy)]
struct Group<'a> {
    codes: &'a [u32],
    steps: &'a [f32],
    totals: &'a [f32],
}

const VECTORS: usize = 2;

#[inline(always)]
fn tokens<S: Simd, const BITS: u32, const T: usize>(
    s: S,
    data: &[Words],
    scales: &[Words],
    x: Group,
    out: &mut [Row],
) {
    let out = &mut out[..T];
    let codes = x.codes.as_chunks::<T>().0.as_chunks::<DWORDS>().0;
    let (steps, totals) = (x.steps.as_chunks::<T>().0, x.totals.as_chunks::<T>().0);
    for group in 0..PANEL / (VECTORS * S::LANES) {
        let at = [group * VECTORS * S::LANES, (group * VECTORS + 1) * S::LANES];
        let mut sums = [[s.splat(0.0); VECTORS]; T];
        for (half, ((codes, steps), totals)) in codes.iter().zip(steps).zip(totals).enumerate() {
            let (scale, zero) = scale_and_zero::<S, BITS>(s, scales, half, at);
            let w = Half::<BITS> { data, scales, half, at };
            let ints = match BITS {
                8 => s.dots::<T, VECTORS, true>(&w, codes),
                _ => s.dots::<T, VECTORS, false>(&w, codes),
            };
            for t in 0..T {
                let (step, total) = (s.splat(steps[t]), s.splat(totals[t]));
                for v in 0..VECTORS {
                    let value = s.fma(zero[v], total, s.float(ints[t][v]));
                    sums[t][v] = s.fma(value, s.mul(scale[v], step), sums[t][v]);
                }
            }
        }
        for t in 0..T {
            for v in 0..VECTORS {
                s.store(sums[t][v], &mut out[t].0[at[v]..]);
            }
        }
    }
}

/// Scales, and zeros less than 0, of half a block for the rows from `at` on.
#[inline(always)]
fn scale_and_zero<S: Simd, const BITS: u32>(
    s: S,
    scales: &[Words],
    half: usize,
    at: [usize; VECTORS],
) -> ([S::F; VECTORS], [S::F; VECTORS]) {
    let words = if BITS == 5 { 3 } else { 1 };
    let row = &scales[half / 2 * words].0;
    let mut found = ([s.splat(0.0); VECTORS], [s.splat(-S::BYTE_ZERO); VECTORS]);
    for v in 0..VECTORS {
        let word = s.load_bits(&row[at[v]..]);
        if BITS == 8 {
            found.0[v] = s.as_float(word);
        } else {
            (found.0[v], found.1[v]) = unpack::params(s, word, half % 2, BITS);
        }
    }
    found
}

/// The codes of half a block, for some vectors of rows.
struct Half<'a, const BITS: u32> {
    data: &'a [Words],
    scales: &'a [Words],
    half: usize,
    at: [usize; VECTORS],
}

impl<S: Simd, const BITS: u32> Codes<S> for Half<'_, BITS> {
    #[inline(always)]
    fn of(&self, s: S, d: usize, v: usize) -> S::I {
        codes_of::<S, BITS>(s, self.data, self.scales, self.half, d, self.at[v])
    }
}

/// Codes of columns 4d to 4d + 3 of half a block, a byte each, for the rows from `at` on.
#[inline(always)]
fn codes_of<S: Simd, const BITS: u32>(
    s: S,
    data: &[Words],
    scales: &[Words],
    half: usize,
    d: usize,
    at: usize,
) -> S::I {
    if BITS == 8 {
        return s.load_bits(&data[half * DWORDS + d].0[at..]);
    }
    let word = s.load_bits(&data[half * 4 + d % 4].0[at..]);
    let word = if d < 4 { word } else { s.shr::<4>(word) };
    let low = s.and(word, s.splat_bits(0x0f0f_0f0f));
    if BITS == 4 {
        return low;
    }
    let fifth = s.load_bits(&scales[half / 2 * 3 + 1 + half % 2].0[at..]);
    let fifth = match d {
        0 => s.shl::<4>(fifth),
        1 => s.shl::<3>(fifth),
        2 => s.shl::<2>(fifth),
        3 => s.shl::<1>(fifth),
        4 => fifth,
        5 => s.shr::<1>(fifth),
        6 => s.shr::<2>(fifth),
        _ => s.shr::<3>(fifth),
    };
    s.or(low, s.and(fifth, s.splat_bits(0x1010_1010)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_number_stays_visible() {
        let mut block = [0.5f32; BLOCK];
        block[3] = -2.0;
        let (codes, step) = round(&block);
        assert_eq!((codes[3], codes[0], step), (-127, 32, 2.0 / 127.0));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 17, BLOCK - 1] {
                let mut block = block;
                block[at] = bad;
                assert!(round(&block).1.is_nan(), "{bad} at {at}");
            }
        }
    }
}
