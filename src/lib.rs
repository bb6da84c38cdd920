//! Matryoshka Query Transformer vision-language models on WebGPU.
//!
//! A picture becomes up to M image tokens of which the first m suffice for any m; a quantised
//! LLaMA answers. The public path: load a [`Model`], open a [`Session`] on it, let it
//! [`look`](Session::look) at [`Pixels`](image::Pixels), [`ask`](Session::ask). What waits for a
//! device or for files is async; natively `pollster::block_on` drives it, in the browser the page's
//! event loop. Waiting for a graphics device never holds up the thread. Computing on the processor
//! does, and so does reading from disk; between pieces of such work a [`Cancel`] can let others in.

pub mod attention;
pub mod bench;
pub mod budget;
pub mod camel;
pub mod cancel;
pub mod catalogue;
pub mod config;
#[cfg(feature = "native")]
pub mod convert;
pub mod cpu;
pub mod defaults;
pub mod error;
pub mod future;
pub mod gpu;
pub mod image;
#[cfg(feature = "native")]
pub mod inspect;
pub mod kernels;
pub mod model;
mod parallel;
pub mod plain;
pub mod quant;
pub mod sample;
pub mod select;
pub mod session;
#[cfg(feature = "native")]
pub mod synth;
pub mod text;
pub mod untrusted;
pub mod weights;

pub use budget::Budget;
pub use cancel::Cancel;
pub use config::Config;
pub use error::{Error, ErrorCode, Result};
pub use gpu::Gpu;
pub use model::Model;
pub use session::{Answer, Request, Session, Turn};
