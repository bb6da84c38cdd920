//! Text ↔ token ids: the tokenizer in both of its file formats, a streaming decoder, and the
//! prompt, exactly as the PyTorch reference builds them.

mod bounded;
mod build;
pub(crate) mod chat;
mod clean;
mod huggingface;
mod jinja;
pub(crate) mod pieces;
pub(crate) mod prompt;
mod sentencepiece;
pub(crate) mod spans;
mod steps;
mod stream;
#[cfg(test)]
mod tests;
mod tiled;
mod tokenizer;
mod told;

pub(crate) use self::prompt::Part;
pub use self::prompt::{Template, TemplateChoice};
#[cfg(feature = "native")]
pub(crate) use self::sentencepiece::synthetic_model;
pub(crate) use self::sentencepiece::{SentencePieces, sentencepiece_model};
pub use self::tokenizer::{TextStream, Tokenizer};
