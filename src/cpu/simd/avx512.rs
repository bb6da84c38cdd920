//! AVX-512 with VNNI: 16 lanes, 32 registers, four products of bytes in one instruction.

#![allow(
    unsafe_code,
    reason = "a value of Avx512 is proof that the processor has the instructions, and slices are \
              cut to a vector's length before their pointers are read"
)]

use super::{Job, Simd};
use std::arch::x86_64::*;

const LANES: usize = 16;

/// Proof that the processor has the instructions; only [`enter`] makes one.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Avx512(());

/// Runs a job.
///
/// # Safety
/// The processor has avx512f, avx512bw, avx512vl, avx512vnni, avx2, fma.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
#[inline(never)]
pub(in crate::cpu) unsafe fn enter<J: Job>(job: J) -> J::Out {
    job.run(Avx512(()))
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    const LANES: usize = LANES;
    const TOKENS: usize = 12;
    const BYTE_TOKENS: usize = 6;
    const BYTE_ZERO: f32 = 128.0;

    #[inline(always)]
    fn call<J: Job>(self, job: J) -> J::Out {
        // SAFETY: this value exists, so the processor has the instructions.
        unsafe { enter(job) }
    }
    #[inline(always)]
    fn splat(self, v: f32) -> Self::F {
        unsafe { _mm512_set1_ps(v) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F {
        unsafe { _mm512_loadu_ps(from[..LANES].as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32]) {
        unsafe { _mm512_storeu_ps(to[..LANES].as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn splat_bits(self, v: u32) -> Self::I {
        unsafe { _mm512_set1_epi32(v as i32) }
    }
    #[inline(always)]
    fn load_bits(self, from: &[u32]) -> Self::I {
        unsafe { _mm512_loadu_si512(from[..LANES].as_ptr().cast()) }
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { _mm512_or_si512(a, b) }
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn shl<const N: u32>(self, v: Self::I) -> Self::I {
        unsafe { _mm512_sll_epi32(v, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    fn shr<const N: u32>(self, v: Self::I) -> Self::I {
        unsafe { _mm512_srl_epi32(v, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    fn float(self, v: Self::I) -> Self::F {
        unsafe { _mm512_cvtepi32_ps(v) }
    }
    #[inline(always)]
    fn as_float(self, v: Self::I) -> Self::F {
        unsafe { _mm512_castsi512_ps(v) }
    }
    #[inline(always)]
    fn as_bits(self, v: Self::F) -> Self::I {
        unsafe { _mm512_castps_si512(v) }
    }
    #[inline(always)]
    fn dot_codes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        unsafe { _mm512_dpbusd_epi32(sum, codes, x) }
    }
    #[inline(always)]
    fn dot_bytes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        unsafe { _mm512_dpbusd_epi32(sum, codes, x) }
    }

    #[inline(always)]
    fn nibble(self, v: Self::I) -> Self::F {
        // A table of 16 floats, of which the lowest four bits choose.
        unsafe {
            let table = _mm512_setr_ps(
                0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0,
                15.0,
            );
            _mm512_permutexvar_ps(v, table)
        }
    }
}
