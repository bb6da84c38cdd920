//! Matryoshka Query Transformer vision-language models on WebGPU.
//!
//! A picture becomes up to M image tokens, and the first m of them are enough, for any m; a
//! quantised LLaMA answers. The public path: load a [`Model`], open a [`Session`] on it, let it
//! [`look`](Session::look) at a [`Picture`](image::Picture), [`ask`](Session::ask):
//!
//! ```
//! # #[cfg(feature = "native")]
//! # fn main() -> mqt::Result<()> {
//! use mqt::model::{LoadOptions, ModelSource};
//! use mqt::{Budget, Request, blocking};
//!
//! let model = blocking::load(&ModelSource::Bundled, &LoadOptions::default())?;
//! let mut session = blocking::Session::new(model)?;
//! session.look(&blocking::picture("models/toybox/samples/toybox-1.png")?)?;
//!
//! let mut request = Request::new("How many things are there?");
//! request.budget = Budget::Fixed(16); // else as many as this device can read in time
//! let answer = session.ask(&request)?;
//! assert_eq!((answer.text.as_str(), answer.image_tokens), ("3", 16));
//!
//! request.budget = Budget::Fixed(64); // more of the same picture
//! session.start_anew();
//! assert_eq!(session.ask(&request)?.vision_runs, 0); // which is not encoded again
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "native"))]
//! # fn main() {}
//! ```
//!
//! More are in `examples/`: `ask`, `stream`, `compare`, `frames`.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `native` | files on disk, threads, [`blocking`], converting checkpoints |
//! | `cli` (default) | the program `mqt`, and `native` |
//! | `serve` | the program's command `mqt serve`; `cli` has it |
//! | `grammar` | answers by a JSON schema or from a list of choices; `cli` has it |
//!
//! Without any of them, the library can do what a browser can do.
//!
//! m is chosen in one place, [`Request::budget`]. An answered turn is a [`Turn`], and
//! [`Session::resume`] continues from earlier turns. A [`Cancel`] stops whatever is being computed,
//! from any thread. Futures are `Send` natively. Functions that wait for a device or for files are
//! async: natively [`blocking`] waits for them, in the browser the page's event loop does. Waiting
//! for a graphics device never blocks the thread. Computing on the processor does, and so does
//! reading from disk; between pieces of such work a [`Cancel`] can let other tasks run.

mod attention;
mod bench;
#[cfg(feature = "native")]
pub mod blocking;
pub mod budget;
mod camel;
pub mod cancel;
mod catalogue;
pub mod config;
#[cfg(feature = "native")]
pub mod convert;
mod cpu;
pub mod defaults;
pub mod error;
pub mod future;
pub mod gpu;
pub mod grammar;
pub mod image;
#[cfg(feature = "native")]
pub mod inspect;
#[doc(hidden)]
pub mod internals;
mod kernels;
pub mod model;
mod parallel;
mod plain;
mod quant;
mod sample;
mod select;
pub mod session;
mod settings;
#[cfg(feature = "native")]
mod synth;
pub mod text;
mod untrusted;
mod weights;

pub use budget::Budget;
pub use cancel::Cancel;
pub use config::Config;
pub use error::{Error, ErrorCode, Result};
pub use model::Model;
pub use sample::{Likely, Sampling};
pub use select::Select;
pub use session::{Answer, Request, Session, Turn};
