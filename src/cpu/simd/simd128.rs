//! WebAssembly's SIMD128: 4 lanes.

use super::{Job, Simd};
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
    const TOKENS: usize = 6;
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
}

/// sum + the four products of signed bytes in each lane.
#[inline(always)]
fn signed_dot(a: v128, b: v128, sum: v128) -> v128 {
    let low = i16x8_extmul_low_i8x16(a, b);
    let high = i16x8_extmul_high_i8x16(a, b);
    let (low, high) = (i32x4_extadd_pairwise_i16x8(low), i32x4_extadd_pairwise_i16x8(high));
    let even = i32x4_shuffle::<0, 2, 4, 6>(low, high);
    let odd = i32x4_shuffle::<1, 3, 5, 7>(low, high);
    i32x4_add(sum, i32x4_add(even, odd))
}
