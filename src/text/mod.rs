//! Text ↔ token ids: the tokenizer in both of its file formats, a streaming decoder, and the
//! prompt, exactly as the PyTorch reference builds them.

mod bounded;
mod build;
pub mod chat;
mod clean;
mod huggingface;
pub mod pieces;
pub mod prompt;
mod sentencepiece;
pub mod spans;
mod steps;
mod stream;
#[cfg(test)]
mod tests;
mod tiled;
pub mod tokenizer;

pub use self::prompt::{Part, Template, TemplateChoice};
#[cfg(feature = "native")]
pub(crate) use self::sentencepiece::synthetic_model;
pub(crate) use self::sentencepiece::{SentencePieces, sentencepiece_model};
pub use self::tokenizer::{TextStream, Tokenizer};
