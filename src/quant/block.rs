//! A block of `q4` or `q5`: 32 columns of a row, codes 0 … 2ⁿ − 1, a byte of scale and a byte of
//! zero.
//!
//! ```text
//! value = scale · (code − zero)
//! scale = 2^(e − 25) · (1 + m / 8), e the upper five bits of its byte, m the lower three
//! zero  = its byte in 256ths of the codes' span: byte / 16 (q4), byte / 8 (q5)
//! ```
//!
//! A scale is the f16 with the bits `byte << 7`, times 2⁻¹⁰; none is subnormal, infinite or NaN. A
//! block of zeros has zeros for codes and zero, whatever its scale.

use half::f16;

/// Columns that share a scale and a zero.
pub const COLS: usize = 32;

/// The scale that a byte stands for.
pub fn scale_of(byte: u8) -> f32 {
    f32::from_bits((u32::from(byte) << 20) + (102 << 23))
}

/// The nearest scale's byte, ties to even; 0 for what is nearer to none.
fn scale_byte(scale: f32) -> u8 {
    // Beyond these the format has no scales; the bytes from 248 on are left unused.
    let bits = f16::from_f32((scale * 1024.0).clamp(0.0, 61440.0)).to_bits();
    let byte = (bits + 63 + (bits >> 7 & 1)) >> 7;
    if byte < 8 { 0 } else { byte as u8 }
}

/// What a block stores beside its codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// See [`scale_of`].
    pub scale: u8,
    /// In 256ths of the codes' span.
    pub zero: u8,
}

impl Params {
    /// The nearest scale, and a zero in the middle of the codes.
    pub fn of_scale(scale: f32) -> Params {
        Params { scale: scale_byte(scale), zero: 128 }
    }

    /// The half word that holds both.
    pub fn word(self) -> u32 {
        u32::from(self.zero) | u32::from(self.scale) << 8
    }

    /// The two in half `half` (0 or 1) of a word.
    pub fn of(word: u32, half: usize) -> Params {
        let half = word >> (16 * half);
        Params { zero: half as u8, scale: (half >> 8) as u8 }
    }

    /// Scale and zero of codes of `bits` bits.
    pub fn values(self, bits: u32) -> (f32, f32) {
        (scale_of(self.scale), f32::from(self.zero) / (1u32 << (8 - bits)) as f32)
    }

    /// The least value that codes of `bits` bits stand for, and what values are multiplied with to
    /// become codes; 0 for a block of zeros.
    fn grid(self, bits: u32) -> (f32, f32, f32) {
        if self.scale == 0 {
            return (0.0, 0.0, 0.0);
        }
        let (scale, zero) = self.values(bits);
        (scale, -zero * scale, 1.0 / scale)
    }
}

/// Some columns of a row, and how much an error in each counts.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// At most [`COLS`].
    pub values: &'a [f32],
    /// One for each value.
    pub importance: &'a [f32],
}

/// The codes of a block and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// Scale and zero.
    pub params: Params,
    /// One for each column; those beyond the block's values stand for 0.
    pub codes: [u8; COLS],
}

/// Rounds a block to codes of `bits` bits (4 or 5) so that its errors' squares, weighed, add up to
/// the least that a search finds: spans wider and narrower than the values', each refined twice by
/// least squares.
pub fn fit(block: Block, bits: u32) -> Fitted {
    let none = Fitted { params: Params::default(), codes: [0; COLS] };
    let Some((lo, hi)) = range(block.values) else { return none };
    let mut search = Search::new(block, bits);
    let top = search.top;
    for i in 0..12 {
        let span = (-1.0 + f64::from(i) * (4.0 / 11.0)) * (f64::from(top) / 15.0);
        let scale = (hi - lo) / (f64::from(top) + span) as f32;
        search.refine((scale, lo + scale * (span / 2.0) as f32));
    }
    if lo > 0.0 || hi < 0.0 {
        // The zero is a code or nearly one: the span has to reach it.
        search.refine(((hi.max(0.0) - lo.min(0.0)) / top, lo.min(0.0)));
    }
    let params = search.best.1;
    if params.scale == 0 {
        return none;
    }
    let (_, least, inverse) = params.grid(bits);
    let mut codes = [params.zero >> (8 - bits); COLS];
    for (code, value) in codes.iter_mut().zip(block.values) {
        *code = ((value - least) * inverse).round_ties_even().clamp(0.0, top) as u8;
    }
    Fitted { params, codes }
}

/// The least and the largest of finite values that are not all 0.
fn range(values: &[f32]) -> Option<(f32, f32)> {
    let (lo, hi) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    let finite = values.iter().all(|v| v.is_finite()) && (hi - lo).is_finite();
    (finite && (lo != 0.0 || hi != 0.0)).then_some((lo, hi))
}

/// One block's search.
struct Search {
    x: [f32; COLS],
    w: [f32; COLS],
    /// Σ w and Σ w x.
    sw: f32,
    sx: f32,
    bits: u32,
    top: f32,
    /// Zeros are whole codes: where columns are missing, one of them has to stand for 0.
    whole: bool,
    best: (f32, Params),
}

impl Search {
    fn new(block: Block, bits: u32) -> Search {
        let (mut x, mut w) = ([0.0; COLS], [0.0; COLS]);
        x[..block.values.len()].copy_from_slice(block.values);
        w[..block.values.len()].copy_from_slice(block.importance);
        if w.iter().all(|w| *w == 0.0) {
            // Nothing reaches these columns; they are kept as well as the others all the same.
            w[..block.values.len()].fill(1.0);
        }
        Search {
            sw: w.iter().sum(),
            sx: x.iter().zip(&w).map(|(x, w)| x * w).sum(),
            x,
            w,
            bits,
            top: ((1u32 << bits) - 1) as f32,
            whole: block.values.len() < COLS,
            best: (f32::INFINITY, Params::default()),
        }
    }

    fn refine(&mut self, candidate: (f32, f32)) {
        let better = self.consider(candidate);
        self.consider(better);
    }

    /// The nearest that can be stored.
    fn stored(&self, (scale, least): (f32, f32)) -> Params {
        let scale = scale_byte(scale);
        if scale == 0 {
            return Params::default();
        }
        let parts = (1u32 << (8 - self.bits)) as f32;
        let zero = -least * (1.0 / scale_of(scale));
        let zero = if self.whole {
            zero.round_ties_even().clamp(0.0, self.top) * parts
        } else {
            (zero * parts).round_ties_even().clamp(0.0, 255.0)
        };
        Params { scale, zero: zero as u8 }
    }

    /// Keeps a scale and a least value where they are better; gives back the least squares fit to
    /// the codes they lead to.
    ///
    /// Eight sums side by side and rounding by a large constant, so that compilers make vector
    /// instructions of it; it is nearly all of the time that quantising takes.
    fn consider(&mut self, candidate: (f32, f32)) -> (f32, f32) {
        const LANES: usize = 8;
        /// Adding and subtracting 1.5 · 2²³ rounds a small float to the nearest integer.
        const ROUND: f32 = 12_582_912.0;
        let params = self.stored(candidate);
        let (scale, least, inverse) = params.grid(self.bits);
        let mut sums = [[0.0f32; LANES]; 4];
        for (x, w) in self.x.chunks_exact(LANES).zip(self.w.chunks_exact(LANES)) {
            for i in 0..LANES {
                let q = (((x[i] - least) * inverse).max(0.0).min(self.top) + ROUND) - ROUND;
                let d = x[i] - (q * scale + least);
                let wq = w[i] * q;
                sums[0][i] += w[i] * d * d;
                sums[1][i] += wq;
                sums[2][i] += wq * q;
                sums[3][i] += wq * x[i];
            }
        }
        let [error, q, qq, xq] = sums.map(add);
        if error < self.best.0 {
            self.best = (error, params);
        }
        let (sw, sx) = (self.sw, self.sx);
        let det = sw * qq - q * q;
        if det > 1e-6 * sw * qq {
            ((sw * xq - sx * q) / det, (qq * sx - q * xq) / det)
        } else {
            (scale, least)
        }
    }
}

/// Eight partial sums, pair by pair.
fn add(s: [f32; 8]) -> f32 {
    ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}
