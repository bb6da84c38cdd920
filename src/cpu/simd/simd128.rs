//! WebAssembly's SIMD128: 4 lanes.

use super::{Codes, Job, Simd};
use core::arch::wasm32::*;

const LANES: usize = 4;

/// The module is compiled for it.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Simd128;

/// Runs a job.
#[inline(never)]
pub(in crate::cpu) fn enter<J: Job>(job: J) -> J::Out {
    job.run(Simd128)
}

impl Simd for Simd128 {
    type F = v128;
    type I = v128;
    const LANES: usize = LANES;
    // Eight sums, two vectors of weights and four of tokens are 14 of the 15 registers that V8
    // gives out. With six tokens sums were spilled, and the tower took twice as long.
    const TOKENS: usize = 4;
    const BYTE_TOKENS: usize = 2;
    const BYTE_ZERO: f32 = 0.0;

    #[inline(always)]
    fn call<J: Job>(self, job: J) -> J::Out {
        enter(job)
    }
    #[inline(always)]
    fn splat(self, v: f32) -> v128 {
        f32x4_splat(v)
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> v128 {
        let from = &from[..LANES];
        f32x4(from[0], from[1], from[2], from[3])
    }
    #[inline(always)]
    fn store(self, v: v128, to: &mut [f32]) {
        let to = &mut to[..LANES];
        to[0] = f32x4_extract_lane::<0>(v);
        to[1] = f32x4_extract_lane::<1>(v);
        to[2] = f32x4_extract_lane::<2>(v);
        to[3] = f32x4_extract_lane::<3>(v);
    }
    #[inline(always)]
    fn add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
    #[inline(always)]
    fn div(self, a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }
    #[inline(always)]
    fn max(self, a: v128, b: v128) -> v128 {
        f32x4_pmax(b, a)
    }
    #[inline(always)]
    fn min(self, a: v128, b: v128) -> v128 {
        f32x4_pmin(b, a)
    }
    #[inline(always)]
    fn fma(self, a: v128, b: v128, c: v128) -> v128 {
        f32x4_add(f32x4_mul(a, b), c)
    }
    #[inline(always)]
    fn splat_bits(self, v: u32) -> v128 {
        u32x4_splat(v)
    }
    #[inline(always)]
    fn load_bits(self, from: &[u32]) -> v128 {
        let from = &from[..LANES];
        u32x4(from[0], from[1], from[2], from[3])
    }
    #[inline(always)]
    fn and(self, a: v128, b: v128) -> v128 {
        v128_and(a, b)
    }
    #[inline(always)]
    fn or(self, a: v128, b: v128) -> v128 {
        v128_or(a, b)
    }
    #[inline(always)]
    fn add_bits(self, a: v128, b: v128) -> v128 {
        i32x4_add(a, b)
    }
    #[inline(always)]
    fn shl<const N: u32>(self, v: v128) -> v128 {
        u32x4_shl(v, N)
    }
    #[inline(always)]
    fn shr<const N: u32>(self, v: v128) -> v128 {
        u32x4_shr(v, N)
    }
    #[inline(always)]
    fn float(self, v: v128) -> v128 {
        f32x4_convert_i32x4(v)
    }
    #[inline(always)]
    fn as_float(self, v: v128) -> v128 {
        v
    }
    #[inline(always)]
    fn as_bits(self, v: v128) -> v128 {
        v
    }
    #[inline(always)]
    fn dot_codes(self, codes: v128, x: v128, sum: v128) -> v128 {
        signed_dot(codes, x, sum)
    }
    #[inline(always)]
    fn dot_bytes(self, codes: v128, x: v128, sum: v128) -> v128 {
        signed_dot(v128_xor(codes, u8x16_splat(128)), x, sum)
    }

    // There are products of pairs of 16 bits, added up. A lane's two pairs come together at the
    // end only: that is half the instructions.
    #[inline(always)]
    fn dots<const T: usize, const V: usize, const BYTES: bool>(
        self,
        codes: &impl Codes<Self>,
        x: &[[u32; T]],
    ) -> [[v128; V]; T] {
        let mut pairs = [[[i32x4_splat(0); 2]; V]; T];
        for (d, x) in x.iter().enumerate() {
            let x = x.map(|four| i16x8_extend_low_i8x16(u32x4_splat(four)));
            for v in 0..V {
                let w = codes.of(self, d, v);
                let w = if BYTES { v128_xor(w, u8x16_splat(128)) } else { w };
                let (low, high) = (i16x8_extend_low_i8x16(w), i16x8_extend_high_i8x16(w));
                for t in 0..T {
                    let [first, second] = &mut pairs[t][v];
                    *first = i32x4_add(*first, i32x4_dot_i16x8(low, x[t]));
                    *second = i32x4_add(*second, i32x4_dot_i16x8(high, x[t]));
                }
            }
        }
        pairs.map(|pairs| pairs.map(|[first, second]| added(first, second)))
    }
}

/// The sums of neighbours: those of `first`, then those of `second`.
#[inline(always)]
fn added(first: v128, second: v128) -> v128 {
    let even = i32x4_shuffle::<0, 2, 4, 6>(first, second);
    let odd = i32x4_shuffle::<1, 3, 5, 7>(first, second);
    i32x4_add(even, odd)
}

/// sum + the four products of signed bytes in each lane.
#[inline(always)]
fn signed_dot(a: v128, b: v128, sum: v128) -> v128 {
    let low = i16x8_extmul_low_i8x16(a, b);
    let high = i16x8_extmul_high_i8x16(a, b);
    let (low, high) = (i32x4_extadd_pairwise_i16x8(low), i32x4_extadd_pairwise_i16x8(high));
    i32x4_add(sum, added(low, high))
}
