//! RMSNorm and LayerNorm. Sums are made in 32 lanes, whatever the length of the vectors, and then
//! over the lanes.

use super::Isa;
use super::matrix::Row;
use super::simd::{Job, Simd};
use crate::parallel;
use crate::quant::PANEL;

/// x [n, cols] → out [n, cols]: `x / √(mean of x² + ε) · weight`.
pub(crate) fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let cols = weight.len();
    parallel::chunks(out, cols, |t, out| {
        let x = &x[t * cols..][..cols];
        isa.run(Norm { x, mean: false, weight: Some(weight), bias: None, eps, out });
    });
}

/// x [n, cols] → out [n, cols]: `(x − mean) / √(variance + ε) · weight + bias`.
pub(crate) fn layer_norm(
    isa: Isa,
    x: &[f32],
    cols: usize,
    affine: Option<(&[f32], &[f32])>,
    eps: f32,
    out: &mut [f32],
) {
    let (weight, bias) = affine.unzip();
    parallel::chunks(out, cols, |t, out| {
        isa.run(Norm { x: &x[t * cols..][..cols], mean: true, weight, bias, eps, out });
    });
}

struct Norm<'a> {
    x: &'a [f32],
    /// Whether the mean is taken off.
    mean: bool,
    weight: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
    eps: f32,
    out: &'a mut [f32],
}

impl Job for Norm<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cols = self.x.len() as f32;
        let mean = if self.mean { sum(s, self.x) / cols } else { 0.0 };
        let scale = 1.0 / (squares(s, self.x, mean) / cols + self.eps).sqrt();
        for (i, out) in self.out.chunks_mut(PANEL).enumerate() {
            let at = i * PANEL..i * PANEL + out.len();
            let x = &self.x[at.clone()];
            let weight = self.weight.map(|w| &w[at.clone()]);
            let bias = self.bias.map(|b| &b[at.clone()]);
            for (d, out) in out.iter_mut().enumerate() {
                let v = (x[d] - mean) * scale * weight.map_or(1.0, |w| w[d]);
                *out = v + bias.map_or(0.0, |b| b[d]);
            }
        }
    }
}

/// Σ x.
#[inline(always)]
fn sum<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut lanes = [s.splat(0.0); PANEL / 4];
    let (rows, rest) = x.as_chunks::<PANEL>();
    for row in rows {
        for group in 0..PANEL / S::LANES {
            lanes[group] = s.add(lanes[group], s.load(&row[group * S::LANES..]));
        }
    }
    let mut all = stored(s, lanes);
    all.iter_mut().zip(rest).for_each(|(sum, v)| *sum += v);
    together(&all)
}

/// Σ (x − mean)².
#[inline(always)]
fn squares<S: Simd>(s: S, x: &[f32], mean: f32) -> f32 {
    let mut lanes = [s.splat(0.0); PANEL / 4];
    let (rows, rest) = x.as_chunks::<PANEL>();
    for row in rows {
        for group in 0..PANEL / S::LANES {
            let v = s.sub(s.load(&row[group * S::LANES..]), s.splat(mean));
            lanes[group] = s.fma(v, v, lanes[group]);
        }
    }
    let mut all = stored(s, lanes);
    all.iter_mut().zip(rest).for_each(|(sum, v)| *sum += (v - mean) * (v - mean));
    together(&all)
}

#[inline(always)]
pub(super) fn stored<S: Simd>(s: S, lanes: [S::F; PANEL / 4]) -> [f32; PANEL] {
    let mut all = Row::ZERO.0;
    for group in 0..PANEL / S::LANES {
        s.store(lanes[group], &mut all[group * S::LANES..]);
    }
    all
}

/// The sum of 32 values, halves first.
#[inline(always)]
pub(super) fn together(all: &[f32; PANEL]) -> f32 {
    let mut sums = *all;
    let mut n = PANEL / 2;
    while n > 0 {
        for i in 0..n {
            sums[i] += sums[i + n];
        }
        n /= 2;
    }
    sums[0]
}
