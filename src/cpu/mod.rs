//! The processor's own kernels: products, attention and everything between them, for the vector
//! instructions that the processor has.
//!
//! They are tested against the twins in [`crate::kernels`]. Sums have a fixed order for each
//! instruction set, which does not depend on how many rows are computed together.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes of several arrays of vectors go by one index, and such loops are unrolled"
)]

mod attend;
mod bytes;
pub(crate) mod ceilings;
mod dots;
mod elementwise;
mod floats;
mod isa;
mod matrix;
mod mix;
mod norm;
mod product;
mod simd;
#[cfg(test)]
mod tests;
mod unpack;
mod weights;

pub(crate) use attend::{KvRows, Memory, attend};
pub(crate) use dots::{ROWS, dots};
pub(crate) use elementwise::swiglu;
pub use isa::Isa;
pub(crate) use matrix::Matrix;
pub(crate) use mix::mix;
pub(crate) use norm::{layer_norm, rms_norm};
pub(crate) use product::{Product, Scratch, Store};
pub(crate) use weights::attention_weights;

/// How many threads share the processor's work.
pub fn threads() -> usize {
    crate::parallel::threads()
}

/// Shares the processor's work among so many threads, at least one; `false`, and nothing happens,
/// once some work was shared already or where there is one thread only.
#[cfg(feature = "native")]
pub fn use_threads(n: usize) -> bool {
    crate::parallel::use_threads(n)
}
