//! A panel's weights as floats, column by column.

use super::matrix::{Row, Words};
use super::simd::Simd;
use crate::quant::{BLOCK, CHUNK_WORDS, Format, PANEL};

/// What becomes of a column of the lanes' rows.
pub(super) trait Sink<S: Simd> {
    /// Column `c` of half a block.
    fn column(&mut self, s: S, c: usize, values: S::F);
}

/// Columns of a tile, for the product of many tokens: its rows from the second on.
struct Tile<'a>(&'a mut [Row], usize);

impl<S: Simd> Sink<S> for Tile<'_> {
    #[inline(always)]
    fn column(&mut self, s: S, c: usize, values: S::F) {
        s.store(values, &mut self.0[c].0[self.1..]);
    }
}

/// Unpacks a block of a panel into 64 columns of a tile.
#[inline(always)]
pub(super) fn block<S: Simd>(
    s: S,
    format: Format,
    data: &[Words],
    scales: &[Words],
    tile: &mut [Row],
) {
    for (i, tile) in tile[..BLOCK].chunks_exact_mut(HALF).enumerate() {
        for group in 0..PANEL / S::LANES {
            let at = group * S::LANES;
            half(s, format, i, at, data, scales, &mut Tile(tile, at));
        }
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

/// Columns of half a block.
pub(super) const HALF: usize = BLOCK / 2;

/// Feeds `sink` 32 of the 64 columns of a block, in order, of the lanes' rows from `at` on; `data`
/// and `scales` are the block's.
#[inline(always)]
pub(super) fn half<S: Simd>(
    s: S,
    format: Format,
    half: usize,
    at: usize,
    data: &[Words],
    scales: &[Words],
    sink: &mut impl Sink<S>,
) {
    let first = half * HALF;
    match format {
        Format::F32 => {
            for (c, words) in data[first..first + HALF].iter().enumerate() {
                sink.column(s, c, s.as_float(s.load_bits(&words.0[at..])));
            }
        }
        Format::F16 => {
            for (j, words) in data[first / 2..][..HALF / 2].iter().enumerate() {
                let words = s.load_bits(&words.0[at..]);
                sink.column(s, 2 * j, s.half(words));
                sink.column(s, 2 * j + 1, s.half(s.shr::<16>(words)));
            }
        }
        Format::Q8 => {
            let scale = s.as_float(s.load_bits(&scales[0].0[at..]));
            let affine = (scale, s.mul(scale, s.splat(-128.0)));
            let byte = s.splat_bits(255);
            for (j, words) in data[first / 4..][..HALF / 4].iter().enumerate() {
                let words = s.load_bits(&words.0[at..]);
                let codes = [
                    s.float(s.and(words, byte)),
                    s.float(s.and(s.shr::<8>(words), byte)),
                    s.float(s.and(s.shr::<16>(words), byte)),
                    s.float(s.shr::<24>(words)),
                ];
                four(s, 4 * j, codes, affine, sink);
            }
        }
        Format::Q4 | Format::Q5 => {
            let bits = if format == Format::Q4 { 4 } else { 5 };
            let words = s.load_bits(&scales[0].0[at..]);
            let (scale, zero) = params(s, words, half, bits);
            let affine = (scale, s.mul(zero, scale));
            let data = &data[half * CHUNK_WORDS..][..CHUNK_WORDS];
            let mut fifth = s.splat_bits(0);
            if bits == 5 {
                fifth = s.load_bits(&scales[1 + half].0[at..]);
            }
            for j in 0..2 * CHUNK_WORDS {
                let words = s.load_bits(&data[j % CHUNK_WORDS].0[at..]);
                let low = if j < CHUNK_WORDS { words } else { s.shr::<4>(words) };
                let low = [low, s.shr::<8>(low), s.shr::<16>(low), s.shr::<24>(low)];
                let codes = if bits == 4 {
                    [s.nibble(low[0]), s.nibble(low[1]), s.nibble(low[2]), s.nibble(low[3])]
                } else {
                    [
                        five(s, low[0], fifth),
                        five(s, low[1], s.shr::<8>(fifth)),
                        five(s, low[2], s.shr::<16>(fifth)),
                        five(s, low[3], s.shr::<24>(fifth)),
                    ]
                };
                four(s, 4 * j, codes, affine, sink);
                fifth = s.shr::<1>(fifth);
            }
        }
    }
}

/// Codes of four columns from `c` on, as floats, times a scale, and more by −zero · scale.
#[inline(always)]
fn four<S: Simd>(
    s: S,
    c: usize,
    codes: [S::F; 4],
    (scale, zero): (S::F, S::F),
    sink: &mut impl Sink<S>,
) {
    for (i, code) in codes.into_iter().enumerate() {
        sink.column(s, c + i, s.fma(code, scale, zero));
    }
}

/// The code of the lowest four bits of `low` and the lowest of `fifth`.
#[inline(always)]
fn five<S: Simd>(s: S, low: S::I, fifth: S::I) -> S::F {
    let fifth = s.shl::<4>(s.and(fifth, s.splat_bits(1)));
    s.float(s.or(s.and(low, s.splat_bits(15)), fifth))
}
