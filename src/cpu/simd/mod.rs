//! Vectors of floats and integers, one type for each instruction set.
//!
//! A kernel is written once, over [`Simd`], and compiled for every instruction set. A value of such
//! a type is proof that the processor has the instructions: only [`super::Isa::run`] makes one,
//! after checking the processor, and calls the kernel from a function that is compiled for them.
//! Everything called from there must be `#[inline(always)]`, or it would be compiled without them.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub(super) mod neon;
pub(super) mod plain;
#[cfg(target_feature = "simd128")]
pub(super) mod simd128;

/// One instruction set. Slices must have [`Simd::LANES`] values at least.
pub(super) trait Simd: Copy + Send + Sync {
    /// Floats.
    type F: Copy;
    /// 32-bit integers.
    type I: Copy;
    /// Values in a vector; divides 32.
    const LANES: usize;
    /// Tokens whose sums fit into registers in the float product, at most 12.
    const TOKENS: usize;
    /// The same for the product of bytes, at most 6.
    const BYTE_TOKENS: usize;
    /// What [`Simd::dot_bytes`] counts a byte 128 too much by.
    const BYTE_ZERO: f32;

    /// Runs a job in a function of its own: one that is large, or that several others need.
    fn call<J: Job>(self, job: J) -> J::Out;

    fn splat(self, v: f32) -> Self::F;
    fn load(self, from: &[f32]) -> Self::F;
    fn store(self, v: Self::F, to: &mut [f32]);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger; `b` where one of them is no number.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller; `b` where one of them is no number.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// a · b + c, rounded once where the instruction set has that.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;

    fn splat_bits(self, v: u32) -> Self::I;
    fn load_bits(self, from: &[u32]) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn or(self, a: Self::I, b: Self::I) -> Self::I;
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I;
    fn shl<const N: u32>(self, v: Self::I) -> Self::I;
    /// Zeros come in from the left.
    fn shr<const N: u32>(self, v: Self::I) -> Self::I;
    /// Signed integers as floats.
    fn float(self, v: Self::I) -> Self::F;
    /// The same bits as a float.
    fn as_float(self, v: Self::I) -> Self::F;
    /// The same bits as an integer.
    fn as_bits(self, v: Self::F) -> Self::I;
    /// sum + the four products of bytes of `codes`, 0 to 31, with signed bytes of `x`, −127 to 127.
    fn dot_codes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I;
    /// The same for any bytes b in `codes`, which stand for b − 128 + [`Simd::BYTE_ZERO`].
    fn dot_bytes(self, codes: Self::I, x: Self::I, sum: Self::I) -> Self::I;

    /// Sums over some dwords of four products each, for `T` tokens and `V` vectors of rows: what
    /// [`Simd::dot_bytes`] gives one after the other, or [`Simd::dot_codes`]. x [dwords][T].
    #[inline(always)]
    fn dots<const T: usize, const V: usize, const BYTES: bool>(
        self,
        codes: &impl Codes<Self>,
        x: &[[u32; T]],
    ) -> [[Self::I; V]; T] {
        let mut sums = [[self.splat_bits(0); V]; T];
        for (d, x) in x.iter().enumerate() {
            for v in 0..V {
                let w = codes.of(self, d, v);
                for t in 0..T {
                    let (x, sum) = (self.splat_bits(x[t]), sums[t][v]);
                    sums[t][v] =
                        if BYTES { self.dot_bytes(w, x, sum) } else { self.dot_codes(w, x, sum) };
                }
            }
        }
        sums
    }

    /// The lowest four bits as a float.
    #[inline(always)]
    fn nibble(self, v: Self::I) -> Self::F {
        self.float(self.and(v, self.splat_bits(15)))
    }

    /// A half in the lower 16 bits, finite; those above do not matter.
    #[inline(always)]
    fn half(self, v: Self::I) -> Self::F {
        let size = self.shl::<13>(self.and(v, self.splat_bits(0x7fff)));
        // 2^112: the difference of the exponents' offsets.
        let size = self.mul(self.as_float(size), self.splat(f32::from_bits(0x7780_0000)));
        let sign = self.shl::<16>(self.and(v, self.splat_bits(0x8000)));
        self.as_float(self.or(self.as_bits(size), sign))
    }

    /// eˣ, within 2 units in the last place; below −87 about 10⁻³⁸, above 88 about 10³⁸.
    #[inline(always)]
    fn exp(self, x: Self::F) -> Self::F {
        /// Adding and subtracting 1.5 · 2²³ rounds a small float to the nearest integer.
        const ROUND: f32 = 12_582_912.0;
        let x = self.min(self.splat(88.0), self.max(self.splat(-87.0), x));
        let shifted = self.fma(x, self.splat(std::f32::consts::LOG2_E), self.splat(ROUND));
        let n = self.sub(shifted, self.splat(ROUND));
        // ln 2 in two parts, the first with so few digits that its product with n is exact.
        let r = self.fma(n, self.splat(-0.693_359_4), x);
        let r = self.fma(n, self.splat(2.121_944_4e-4), r);
        let mut p = self.splat(1.987_569_1e-4);
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
            p = self.fma(p, r, self.splat(c));
        }
        let p = self.add(self.fma(p, self.mul(r, r), r), self.splat(1.0));
        let power = self.shl::<23>(self.as_bits(shifted));
        self.as_float(self.add_bits(self.as_bits(p), power))
    }
}

/// A matrix's codes, four to each lane.
pub(super) trait Codes<S: Simd> {
    /// Those of dword `d` for the rows of vector `v`. Must be `#[inline(always)]`.
    fn of(&self, s: S, d: usize, v: usize) -> S::I;
}

/// What runs on an instruction set.
pub(super) trait Job {
    type Out;
    /// Must be `#[inline(always)]`.
    fn run<S: Simd>(self, s: S) -> Self::Out;
}
