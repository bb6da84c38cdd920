//! What happens to values one by one: bias, activation function, residual, SwiGLU.

use super::Isa;
use super::matrix::Row;
use super::product::{Product, Store};
use super::simd::{Job, Simd};
use crate::kernels::product::Act;
use crate::parallel;
use crate::quant::{PANEL, padded_rows};

/// Token `t` of `n` of a product's sums [panels, tokens].
pub(super) struct Sums<'a> {
    pub(super) sums: &'a [Row],
    pub(super) n: usize,
    pub(super) t: usize,
}

/// Brings a token's sums into its row of the result.
pub(super) struct Finish<'a> {
    pub(super) sums: Sums<'a>,
    pub(super) of: &'a Product<'a>,
    pub(super) store: Store,
    /// [rows]
    pub(super) out: &'a mut [f32],
}

impl Job for Finish<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Sums { sums, n, t } = self.sums;
        for (panel, out) in self.out.chunks_mut(PANEL).enumerate() {
            let mut row = sums[panel * n + t];
            if let Some(bias) = self.of.bias {
                add_to(s, &mut row.0[..out.len()], &bias[panel * PANEL..][..out.len()]);
            }
            activate(s, &mut row, self.of.act);
            match self.store {
                Store::Replace => out.copy_from_slice(&row.0[..out.len()]),
                Store::Add => add_to(s, out, &row.0[..out.len()]),
            }
        }
    }
}

#[inline(always)]
fn add_to<S: Simd>(s: S, to: &mut [f32], what: &[f32]) {
    let (chunks, rest) = (to.len() / S::LANES, to.len() % S::LANES);
    for i in 0..chunks {
        let (to, what) = (&mut to[i * S::LANES..], &what[i * S::LANES..]);
        s.store(s.add(s.load(to), s.load(what)), to);
    }
    let at = chunks * S::LANES;
    for i in at..at + rest {
        to[i] += what[i];
    }
}

/// 2 √(2/π).
const TWICE_ROOT_2_PI: f32 = 1.595_769;

/// The formulas of [`crate::kernels::product`]'s twin.
#[inline(always)]
fn activate<S: Simd>(s: S, row: &mut Row, act: Act) {
    for group in 0..PANEL / S::LANES {
        let to = &mut row.0[group * S::LANES..];
        let v = s.load(to);
        let v = match act {
            Act::None => return,
            Act::QuickGelu => s.mul(v, sigmoid(s, s.mul(v, s.splat(1.702)))),
            Act::GeluTanh => {
                // ½(1 + tanh u) is the sigmoid of 2u.
                let cube = s.mul(s.mul(v, v), v);
                let inner = s.add(v, s.mul(cube, s.splat(0.044_715)));
                s.mul(v, sigmoid(s, s.mul(inner, s.splat(TWICE_ROOT_2_PI))))
            }
            Act::Gelu => {
                let half = s.mul(v, s.splat(0.5));
                let erf = erf(s, s.mul(v, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
                s.mul(half, s.add(s.splat(1.0), erf))
            }
        };
        s.store(v, to);
    }
}

#[inline(always)]
fn sigmoid<S: Simd>(s: S, v: S::F) -> S::F {
    let one = s.splat(1.0);
    s.div(one, s.add(one, s.exp(s.sub(s.splat(0.0), v))))
}

/// Abramowitz and Stegun 7.1.26.
#[inline(always)]
fn erf<S: Simd>(s: S, v: S::F) -> S::F {
    let one = s.splat(1.0);
    let bits = s.as_bits(v);
    let size = s.as_float(s.and(bits, s.splat_bits(0x7fff_ffff)));
    let t = s.div(one, s.fma(size, s.splat(0.327_591_1), one));
    let mut poly = s.splat(1.061_405_4);
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        poly = s.fma(poly, t, s.splat(c));
    }
    let tail = s.exp(s.sub(s.splat(0.0), s.mul(v, v)));
    let size = s.sub(one, s.mul(s.mul(poly, t), tail));
    s.as_float(s.or(s.as_bits(size), s.and(bits, s.splat_bits(0x8000_0000))))
}

/// x [n, 2 · padded_rows(ffn)], panels of gates and their ups in turn → out [n, ffn].
pub(crate) fn swiglu(isa: Isa, x: &[f32], ffn: usize, out: &mut [f32]) {
    let wide = 2 * padded_rows(ffn);
    parallel::chunks(out, ffn, |t, out| isa.run(Swiglu { x: &x[t * wide..][..wide], out }));
}

struct Swiglu<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Job for Swiglu<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (x, out) in self.x.chunks_exact(2 * PANEL).zip(self.out.chunks_mut(PANEL)) {
            let mut row = Row::ZERO;
            for group in 0..PANEL / S::LANES {
                let at = group * S::LANES;
                let (gate, up) = (s.load(&x[at..]), s.load(&x[PANEL + at..]));
                s.store(s.mul(s.mul(gate, sigmoid(s, gate)), up), &mut row.0[at..]);
            }
            out.copy_from_slice(&row.0[..out.len()]);
        }
    }
}
