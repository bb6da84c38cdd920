//! Instruction sets: which ones the processor has, and which one is used.

#![allow(
    unsafe_code,
    reason = "a function that is compiled for an instruction set is called only after the \
              processor was asked for it"
)]

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
use super::simd::neon;
use super::simd::{Job, plain};
#[cfg(target_arch = "x86_64")]
use super::simd::{avx2, avx512};
use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Isa {
    /// Plain Rust: every processor.
    Plain,
    /// AVX2 with FMA: x86 processors from 2013 on.
    Avx2,
    /// AVX-512 with VNNI: x86 servers from 2019 on, and some others.
    Avx512,
    /// WebAssembly's SIMD128, if the module is compiled for it.
    Simd128,
    /// NEON: 64-bit ARM processors.
    Neon,
    /// NEON with products of bytes: 64-bit ARM processors from 2017 on, Apple's among them.
    Dotprod,
}

/// 0, or one more than the instruction set that [`Isa::force`] was told.
static FORCED: AtomicU8 = AtomicU8::new(0);

impl Isa {
    /// Every instruction set, the fastest last.
    pub const ALL: [Isa; 6] =
        [Isa::Plain, Isa::Simd128, Isa::Neon, Isa::Dotprod, Isa::Avx2, Isa::Avx512];

    /// The name used in settings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Plain => "plain",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Simd128 => "simd128",
            Isa::Neon => "neon",
            Isa::Dotprod => "dotprod",
        }
    }

    /// Whether this processor has it.
    pub fn is_there(self) -> bool {
        match self {
            Isa::Plain => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                has_avx2()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
            Isa::Simd128 => cfg!(target_feature = "simd128"),
            Isa::Neon => cfg!(all(target_arch = "aarch64", target_endian = "little")),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Isa::Dotprod => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(not(all(target_arch = "aarch64", target_endian = "little")))]
            Isa::Dotprod => false,
        }
    }

    /// The fastest that this processor has.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_there()).unwrap_or(Isa::Plain)
    }

    /// Lets models that are loaded from now on use this one; `false`, and nothing happens, where
    /// the processor does not have it.
    pub fn force(isa: Isa) -> bool {
        let there = isa.is_there();
        if there {
            FORCED.store(isa as u8 + 1, Ordering::Relaxed);
        }
        there
    }

    /// The one that models are loaded for: the best, unless another was forced.
    pub fn chosen() -> Isa {
        let forced = FORCED.load(Ordering::Relaxed);
        Isa::ALL.into_iter().find(|isa| *isa as u8 + 1 == forced).unwrap_or_else(Isa::best)
    }

    /// Whether products of bytes are faster with it than those of floats.
    pub(crate) fn rounds(self) -> bool {
        self != Isa::Plain
    }

    /// Runs a job with it, or in plain Rust where the processor does not have it.
    pub(super) fn run<J: Job>(self, job: J) -> J::Out {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if self.is_there() => {
                // SAFETY: the processor has just been asked.
                unsafe { avx512::enter(job) }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if self.is_there() => {
                // SAFETY: the processor has just been asked.
                unsafe { avx2::enter(job) }
            }
            #[cfg(target_feature = "simd128")]
            Isa::Simd128 => super::simd::simd128::enter(job),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Isa::Dotprod if self.is_there() => {
                // SAFETY: the processor has just been asked.
                unsafe { neon::enter_dot(job) }
            }
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Isa::Neon => neon::enter(job),
            _ => plain::enter(job),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}
