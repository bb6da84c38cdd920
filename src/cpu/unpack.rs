//! A panel's 64 columns as floats, column by column.

use super::matrix::{Row, Words};
use super::simd::Simd;
use crate::quant::{BLOCK, CHUNK_WORDS, Format, PANEL};

/// What becomes of a column of the lanes' rows.
pub(super) trait Sink<S: Simd> {
    /// Column `c` of the block, of the rows from `LANES` · `group` on.
    fn column(&mut self, s: S, c: usize, group: usize, values: S::F);
}

/// Columns of a tile, for the product of many tokens.
pub(super) struct Tile<'a>(pub(super) &'a mut [Row]);

impl<S: Simd> Sink<S> for Tile<'_> {
    #[inline(always)]
    fn column(&mut self, s: S, c: usize, group: usize, values: S::F) {
        s.store(values, &mut self.0[c].0[group * S::LANES..]);
    }
}

/// Scale and −zero · scale of the lanes' rows for half a block, of a format with codes.
#[inline(always)]
pub(super) fn params<S: Simd>(s: S, words: S::I, half: usize, bits: u32) -> (S::F, S::F) {
    let words = if half == 0 { words } else { s.shr::<16>(words) };
    let byte = s.splat_bits(255);
    let scale = s.shl::<20>(s.and(s.shr::<8>(words), byte));
    let scale = s.as_float(s.add_bits(scale, s.splat_bits(102 << 23)));
    let unit = s.splat(-1.0 / (1u32 << (8 - bits)) as f32);
    (scale, s.mul(s.float(s.and(words, byte)), unit))
}

/// Feeds `sink` the 64 columns of a block, in order; `data` and `scales` are the block's.
#[inline(always)]
pub(super) fn block<S: Simd>(
    s: S,
    format: Format,
    data: &[Words],
    scales: &[Words],
    sink: &mut impl Sink<S>,
) {
    for group in 0..PANEL / S::LANES {
        let at = group * S::LANES;
        match format {
            Format::F32 => {
                for (c, words) in data[..BLOCK].iter().enumerate() {
                    sink.column(s, c, group, s.as_float(s.load_bits(&words.0[at..])));
                }
            }
            Format::F16 => {
                for (j, words) in data[..BLOCK / 2].iter().enumerate() {
                    let words = s.load_bits(&words.0[at..]);
                    sink.column(s, 2 * j, group, s.half(words));
                    sink.column(s, 2 * j + 1, group, s.half(s.shr::<16>(words)));
                }
            }
            Format::Q8 => {
                let scale = s.as_float(s.load_bits(&scales[0].0[at..]));
                let zero = s.mul(scale, s.splat(-128.0));
                for (j, words) in data[..BLOCK / 4].iter().enumerate() {
                    let words = s.load_bits(&words.0[at..]);
                    let byte = s.splat_bits(255);
                    let mut put = |i: usize, codes: S::I| {
                        sink.column(s, 4 * j + i, group, s.fma(s.float(codes), scale, zero));
                    };
                    put(0, s.and(words, byte));
                    put(1, s.and(s.shr::<8>(words), byte));
                    put(2, s.and(s.shr::<16>(words), byte));
                    put(3, s.shr::<24>(words));
                }
            }
            Format::Q4 => {
                let words = s.load_bits(&scales[0].0[at..]);
                for half in 0..2 {
                    let (scale, zero) = params(s, words, half, 4);
                    let zero = s.mul(zero, scale);
                    let data = &data[half * CHUNK_WORDS..][..CHUNK_WORDS];
                    for (j, words) in data.iter().enumerate() {
                        let words = s.load_bits(&words.0[at..]);
                        let mut put = |i: usize, codes: S::I| {
                            let value = s.fma(s.nibble(codes), scale, zero);
                            sink.column(s, 32 * half + 4 * j + i, group, value);
                        };
                        put(0, words);
                        put(1, s.shr::<8>(words));
                        put(2, s.shr::<16>(words));
                        put(3, s.shr::<24>(words));
                    }
                    for (j, words) in data.iter().enumerate() {
                        let words = s.load_bits(&words.0[at..]);
                        let mut put = |i: usize, codes: S::I| {
                            let value = s.fma(s.nibble(codes), scale, zero);
                            sink.column(s, 32 * half + 16 + 4 * j + i, group, value);
                        };
                        put(0, s.shr::<4>(words));
                        put(1, s.shr::<12>(words));
                        put(2, s.shr::<20>(words));
                        put(3, s.shr::<28>(words));
                    }
                }
            }
            Format::Q5 => {
                let words = s.load_bits(&scales[0].0[at..]);
                for half in 0..2 {
                    let (scale, zero) = params(s, words, half, 5);
                    let zero = s.mul(zero, scale);
                    let mut fifth = s.load_bits(&scales[1 + half].0[at..]);
                    let data = &data[half * CHUNK_WORDS..][..CHUNK_WORDS];
                    for j in 0..2 * CHUNK_WORDS {
                        let words = s.load_bits(&data[j % CHUNK_WORDS].0[at..]);
                        let low = if j < CHUNK_WORDS { words } else { s.shr::<4>(words) };
                        let mut put = |i: usize, low: S::I, bit: S::I| {
                            let low = s.and(low, s.splat_bits(15));
                            let bit = s.shl::<4>(s.and(bit, s.splat_bits(1)));
                            let value = s.fma(s.float(s.or(low, bit)), scale, zero);
                            sink.column(s, 32 * half + 4 * j + i, group, value);
                        };
                        put(0, low, fifth);
                        put(1, s.shr::<8>(low), s.shr::<8>(fifth));
                        put(2, s.shr::<16>(low), s.shr::<16>(fifth));
                        put(3, s.shr::<24>(low), s.shr::<24>(fifth));
                        fifth = s.shr::<1>(fifth);
                    }
                }
            }
        }
    }
}
