//! ARM's NEON: 4 lanes, 32 registers; four products of bytes in one instruction where the processor
//! has `dotprod`.

#![allow(
    unsafe_code,
    reason = "every 64-bit ARM processor has NEON, a value of Neon<true> is proof of dotprod, and \
              slices are cut to a vector's length before their pointers are read"
)]

use super::{Job, Simd};
use std::arch::aarch64::*;
use std::arch::asm;

const LANES: usize = 4;

/// With `dotprod` or without; only [`enter`] and [`enter_dot`] make one.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Neon<const DOT: bool>(());

/// Runs a job without `dotprod`.
#[inline(never)]
pub(in crate::cpu) fn enter<J: Job>(job: J) -> J::Out {
    job.run(Neon::<false>(()))
}

/// Runs a job.
///
/// # Safety
/// The processor has dotprod.
#[target_feature(enable = "dotprod")]
#[inline(never)]
pub(in crate::cpu) unsafe fn enter_dot<J: Job>(job: J) -> J::Out {
    job.run(Neon::<true>(()))
}

impl<const DOT: bool> Simd for Neon<DOT> {
    type F = float32x4_t;
    type I = uint32x4_t;
    const LANES: usize = LANES;
    const TOKENS: usize = 12;
    const BYTE_TOKENS: usize = 4;
    const BYTE_ZERO: f32 = 0.0;

    #[inline(always)]
    fn call<J: Job>(self, job: J) -> J::Out {
        if DOT {
            // SAFETY: this value exists, so the processor has the instruction.
            unsafe { enter_dot(job) }
        } else {
            enter(job)
        }
    }
    #[inline(always)]
    fn splat(self, v: f32) -> Self::F {
        unsafe { vdupq_n_f32(v) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F {
        unsafe { vld1q_f32(from[..LANES].as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32]) {
        unsafe { vst1q_f32(to[..LANES].as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // `vmaxq_f32` would give NaN where one of them is.
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn splat_bits(self, v: u32) -> Self::I {
        unsafe { vdupq_n_u32(v) }
    }
    #[inline(always)]
    fn load_bits(self, from: &[u32]) -> Self::I {
        unsafe { vld1q_u32(from[..LANES].as_ptr()) }
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { vandq_u32(a, b) }
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { vorrq_u32(a, b) }
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { vaddq_u32(a, b) }
    }
    #[inline(always)]
    fn shl<const N: u32>(self, v: Self::I) -> Self::I {
        unsafe { vshlq_u32(v, vdupq_n_s32(N as i32)) }
    }
    #[inline(always)]
    fn shr<const N: u32>(self, v: Self::I) -> Self::I {
        unsafe { vshlq_u32(v, vdupq_n_s32(-(N as i32))) }
    }
    #[inline(always)]
    fn float(self, v: Self::I) -> Self::F {
        unsafe { vcvtq_f32_s32(vreinterpretq_s32_u32(v)) }
    }
    #[inline(always)]
    fn as_float(self, v: Self::I) -> Self::F {
        unsafe { vreinterpretq_f32_u32(v) }
    }
    #[inline(always)]
    fn as_bits(self, v: Self::F) -> Self::I {
        unsafe { vreinterpretq_u32_f32(v) }
    }
    #[inline(always)]
    fn dot_codes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        signed_dot::<DOT>(codes, x, sum)
    }
    #[inline(always)]
    fn dot_bytes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        signed_dot::<DOT>(unsafe { veorq_u32(codes, vdupq_n_u32(0x8080_8080)) }, x, sum)
    }
}

/// sum + the four products of signed bytes in each lane.
#[inline(always)]
fn signed_dot<const DOT: bool>(a: uint32x4_t, b: uint32x4_t, mut sum: uint32x4_t) -> uint32x4_t {
    if DOT {
        // The intrinsic of this instruction is not stable yet.
        // SAFETY: only Neon<true> gets here, and the instruction touches no memory.
        unsafe {
            asm!(
                "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
                sum = inout(vreg) sum,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        return sum;
    }
    unsafe {
        let (a, b) = (vreinterpretq_s8_u32(a), vreinterpretq_s8_u32(b));
        let low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
        let high = vpaddlq_s16(vmull_high_s8(a, b));
        vaddq_u32(sum, vreinterpretq_u32_s32(vpaddq_s32(low, high)))
    }
}
