//! Mechanism only: adapters, buffers, pipelines, recording, read-back. Knows no formula.
//!
//! The only folder that names `wgpu`, and, beside `future.rs`, the only one with
//! `cfg(target_arch)`.

mod adapter;
pub(crate) mod bind;
mod chosen;
pub(crate) mod device;
pub(crate) mod pace;
pub(crate) mod pipeline;
pub(crate) mod profile;
pub(crate) mod readback;
pub(crate) mod recorder;
pub(crate) mod tensor;
#[cfg(all(test, feature = "native"))]
mod tests;

pub(crate) use adapter::Picked;
pub use adapter::{AdapterChoice, AdapterInfo, Reason, adapters};
pub(crate) use bind::{Bind, Window};
pub use chosen::{Choices, Learned};
pub(crate) use device::Gpu;
pub(crate) use pace::Paced;
#[cfg(test)]
pub(crate) use pipeline::assemble;
pub(crate) use pipeline::{Access, Kernel};
pub(crate) use profile::{PASSES, Timed, Watch};
pub(crate) use readback::{Letter, Mailbox};
pub(crate) use recorder::{Counters, Recorder, Tape};
pub(crate) use tensor::{Matrix, Rows, Storage, Tensor};
