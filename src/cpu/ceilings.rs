//! The best that the processor can do with an instruction set: the denominators of ratios.

use super::Isa;
use super::matrix::Row;
use super::simd::{Job, Simd};
use crate::parallel;
use crate::quant::PANEL;
use std::hint::black_box;

/// Sums in registers at once: more than a multiply-add takes cycles, times those that start in one.
const CHAINS: usize = 12;

/// Multiply-adds of 32 lanes, so many times [`CHAINS`] on every thread; gives how many operations
/// that were.
pub(crate) fn multiply_add(isa: Isa, turns: usize) -> f64 {
    let mut each = vec![0u8; parallel::threads()];
    parallel::chunks(&mut each, 1, |_, _| {
        black_box(isa.run(MultiplyAdd(turns)));
    });
    (each.len() * turns * CHAINS) as f64 * 2.0 * isa.run(Lanes) as f64
}

/// The same for sums of four products of bytes.
pub(crate) fn dot(isa: Isa, turns: usize) -> f64 {
    let mut each = vec![0u8; parallel::threads()];
    parallel::chunks(&mut each, 1, |_, _| {
        black_box(isa.run(Dot(turns)));
    });
    (each.len() * turns * CHAINS) as f64 * 8.0 * isa.run(Lanes) as f64
}

/// Memory to read from.
pub(crate) struct Large(Vec<Row>);

impl Large {
    pub(crate) fn new(bytes: usize) -> Large {
        Large(vec![Row([1.0; PANEL]); bytes / size_of::<Row>()])
    }

    /// Reads all of it, on all threads; gives how many bytes that were.
    pub(crate) fn read(&mut self, isa: Isa) -> f64 {
        let bytes = size_of_val(&self.0[..]);
        parallel::chunks(&mut self.0, 1024, |_, part| {
            black_box(isa.run(Read(part)));
        });
        bytes as f64
    }
}

struct Lanes;

impl Job for Lanes {
    type Out = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

struct MultiplyAdd(usize);

impl Job for MultiplyAdd {
    type Out = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let (a, b) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
        let mut sums = [a; CHAINS];
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = s.fma(*sum, a, b);
            }
        }
        let mut all = sums[0];
        for sum in sums {
            all = s.add(all, sum);
        }
        let mut out = Row::ZERO;
        s.store(all, &mut out.0);
        out.0[0]
    }
}

struct Dot(usize);

impl Job for Dot {
    type Out = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let a = s.splat_bits(black_box(0x0102_0304));
        let mut sums = [s.splat_bits(black_box(0x0403_0201)); CHAINS];
        for _ in 0..self.0 {
            for sum in &mut sums {
                // With a sum as a factor no product is the same as one before.
                *sum = s.dot_codes(a, *sum, *sum);
            }
        }
        let mut all = s.splat(0.0);
        for sum in sums {
            all = s.add(all, s.float(sum));
        }
        let mut out = Row::ZERO;
        s.store(all, &mut out.0);
        out.0[0]
    }
}

struct Read<'a>(&'a [Row]);

impl Job for Read<'_> {
    type Out = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(0.0); PANEL / 4];
        for row in self.0 {
            for (group, sum) in sums.iter_mut().take(PANEL / S::LANES).enumerate() {
                *sum = s.add(*sum, s.load(&row.0[group * S::LANES..]));
            }
        }
        super::norm::together(&super::norm::stored(s, sums))
    }
}
