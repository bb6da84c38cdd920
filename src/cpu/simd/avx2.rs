//! AVX2 with FMA: 8 lanes, 16 registers, products of bytes in three instructions.

#![allow(
    unsafe_code,
    reason = "a value of Avx2 is proof that the processor has the instructions, and slices are \
              cut to a vector's length before their pointers are read"
)]

use super::{Job, Simd};
use std::arch::x86_64::*;

const LANES: usize = 8;

/// Proof that the processor has the instructions; only [`enter`] makes one.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Avx2(());

/// Runs a job.
///
/// # Safety
/// The processor has avx2, fma.
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
pub(in crate::cpu) unsafe fn enter<J: Job>(job: J) -> J::Out {
    job.run(Avx2(()))
}

impl Simd for Avx2 {
    type F = __m256;
    type I = __m256i;
    const LANES: usize = LANES;
    const TOKENS: usize = 6;
    const BYTE_TOKENS: usize = 2;
    const BYTE_ZERO: f32 = 0.0;

    #[inline(always)]
    fn call<J: Job>(self, job: J) -> J::Out {
        // SAFETY: this value exists, so the processor has the instructions.
        unsafe { enter(job) }
    }
    #[inline(always)]
    fn splat(self, v: f32) -> Self::F {
        unsafe { _mm256_set1_ps(v) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F {
        unsafe { _mm256_loadu_ps(from[..LANES].as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32]) {
        unsafe { _mm256_storeu_ps(to[..LANES].as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn splat_bits(self, v: u32) -> Self::I {
        unsafe { _mm256_set1_epi32(v as i32) }
    }
    #[inline(always)]
    fn load_bits(self, from: &[u32]) -> Self::I {
        unsafe { _mm256_loadu_si256(from[..LANES].as_ptr().cast()) }
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { _mm256_or_si256(a, b) }
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn shl<const N: u32>(self, v: Self::I) -> Self::I {
        unsafe { _mm256_sll_epi32(v, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    fn shr<const N: u32>(self, v: Self::I) -> Self::I {
        unsafe { _mm256_srl_epi32(v, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    fn float(self, v: Self::I) -> Self::F {
        unsafe { _mm256_cvtepi32_ps(v) }
    }
    #[inline(always)]
    fn as_float(self, v: Self::I) -> Self::F {
        unsafe { _mm256_castsi256_ps(v) }
    }
    #[inline(always)]
    fn as_bits(self, v: Self::F) -> Self::I {
        unsafe { _mm256_castps_si256(v) }
    }
    #[inline(always)]
    fn dot_codes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        // Two products of 31 · 127 fit into 16 bits.
        unsafe {
            let pairs = _mm256_maddubs_epi16(codes, x);
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
    #[inline(always)]
    fn dot_bytes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        // Two products of 128 · 127 fit into 16 bits, two of 255 · 127 would not: the sign goes
        // over to the other side.
        unsafe {
            let w = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
}
