//! Plain Rust, for processors without any of the other instruction sets; compilers make vector
//! instructions of it where a target always has some.

use super::{Job, Simd};

const LANES: usize = 4;

/// Proof of nothing: every processor has it.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Plain;

/// Runs a job.
#[inline(never)]
pub(in crate::cpu) fn enter<J: Job>(job: J) -> J::Out {
    job.run(Plain)
}

#[inline(always)]
fn each<A: Copy, B: Copy, R: Copy + Default>(
    a: [A; LANES],
    b: [B; LANES],
    f: impl Fn(A, B) -> R,
) -> [R; LANES] {
    let mut out = [R::default(); LANES];
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

#[inline(always)]
fn map<A: Copy, R: Copy + Default>(a: [A; LANES], f: impl Fn(A) -> R) -> [R; LANES] {
    each(a, a, |a, _| f(a))
}

#[inline(always)]
fn dot(codes: u32, x: u32, zero: i32) -> u32 {
    let (codes, x) = (codes.to_le_bytes(), x.to_le_bytes());
    let mut sum = 0i32;
    for i in 0..4 {
        sum += (i32::from(codes[i]) - zero) * i32::from(x[i] as i8);
    }
    sum as u32
}

impl Simd for Plain {
    type F = [f32; LANES];
    type I = [u32; LANES];
    const LANES: usize = LANES;
    const TOKENS: usize = 6;
    const BYTE_TOKENS: usize = 2;
    const BYTE_ZERO: f32 = 0.0;

    #[inline(always)]
    fn call<J: Job>(self, job: J) -> J::Out {
        enter(job)
    }
    #[inline(always)]
    fn splat(self, v: f32) -> Self::F {
        [v; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F {
        [from[0], from[1], from[2], from[3]]
    }
    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&v);
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // `mul_add` would be a call into a library.
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn splat_bits(self, v: u32) -> Self::I {
        [v; LANES]
    }
    #[inline(always)]
    fn load_bits(self, from: &[u32]) -> Self::I {
        [from[0], from[1], from[2], from[3]]
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    fn shl<const N: u32>(self, v: Self::I) -> Self::I {
        map(v, |v| v << N)
    }
    #[inline(always)]
    fn shr<const N: u32>(self, v: Self::I) -> Self::I {
        map(v, |v| v >> N)
    }
    #[inline(always)]
    fn float(self, v: Self::I) -> Self::F {
        map(v, |v| v as i32 as f32)
    }
    #[inline(always)]
    fn as_float(self, v: Self::I) -> Self::F {
        map(v, f32::from_bits)
    }
    #[inline(always)]
    fn as_bits(self, v: Self::F) -> Self::I {
        map(v, f32::to_bits)
    }
    #[inline(always)]
    fn dot_codes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        self.add_bits(sum, each(codes, x, |codes, x| dot(codes, x, 0)))
    }
    #[inline(always)]
    fn dot_bytes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I {
        self.add_bits(sum, each(codes, x, |codes, x| dot(codes, x, 128)))
    }
}
