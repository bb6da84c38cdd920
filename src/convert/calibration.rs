//! The text that is used to measure which inputs of a matrix matter.

use crate::error::{Error, Result};
use crate::weights::checkpoint::Checkpoint;
use crate::weights::importance;
use crate::weights::pack::Shard;
use std::path::Path;

/// What the importance of a matrix's columns is measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Calibration<'a> {
    /// Nothing: it is guessed from the weights.
    Off,
    /// A text of our own.
    #[default]
    BuiltIn,
    /// The text of a file.
    File(&'a Path),
}

/// The built-in text: prose, talk and something technical.
const TEXT: &str = include_str!("calibration.txt");
/// The largest text that is read; no more than [`importance::TOKENS`] tokens of it are used.
const TEXT_BYTES: u64 = 1 << 20;

impl Calibration<'_> {
    /// Names the text, by its content.
    pub(super) fn mark(self) -> String {
        let text = match self {
            Calibration::Off => return "guessed".into(),
            Calibration::BuiltIn => TEXT.to_owned(),
            Calibration::File(path) => read_text(path).unwrap_or_default(),
        };
        Shard::of("", text.as_bytes()).sha256
    }

    /// Token ids of the text's pieces; none without a text.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a file that cannot be read or that holds no text.
    pub(super) fn texts(self, checkpoint: &Checkpoint) -> Result<Vec<Vec<u32>>> {
        let text = match self {
            Calibration::Off => return Ok(Vec::new()),
            Calibration::BuiltIn => TEXT.to_owned(),
            Calibration::File(path) => read_text(path)?,
        };
        let longest = checkpoint.config.language.max_positions;
        Ok(importance::windows(&checkpoint.tokenizer, text.trim(), longest))
    }
}

fn read_text(path: &Path) -> Result<String> {
    use std::io::Read;
    let refused =
        |why: String| Error::InvalidSetting { what: format!("calibrate {}", path.display()), why };
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(TEXT_BYTES).read_to_end(&mut bytes));
    read.map_err(|e| refused(format!("it cannot be read: {e}")))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.trim().is_empty() {
        return Err(refused("it holds no text".into()));
    }
    Ok(text)
}
