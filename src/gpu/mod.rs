//! Mechanism only: adapters, buffers, pipelines, recording, read-back. Knows no formula.
//!
//! The only folder that names `wgpu`, and, beside `future.rs`, the only one with
//! `cfg(target_arch)`.

mod adapter;
mod bind;
mod chosen;
mod device;
mod pace;
mod pipeline;
mod profile;
mod readback;
mod recorder;
mod tensor;
#[cfg(all(test, feature = "native"))]
mod tests;

pub(crate) use adapter::Picked;
pub use adapter::{AdapterChoice, AdapterInfo, Reason};
pub use bind::{Bind, Bound, Window};
pub use chosen::{Choices, Learned};
pub use device::Gpu;
pub use pace::Paced;
#[cfg(test)]
pub(crate) use pipeline::assemble;
pub use pipeline::{Access, Kernel};
pub use profile::{PASSES, Timed, Watch};
pub use readback::{Letter, Mailbox};
pub use recorder::{Counters, Recorder, Tape};
pub use tensor::{Matrix, MatrixPart, Plane, Rows, Storage, Tensor, Texture};
