//! What a forward pass is given and asked for, and how it computes.

use crate::error::Result;

/// What slots call a picture: the start of its hash, and how it is cut.
pub type PictureTag = [u8; 16];

/// One position of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A token of the vocabulary.
    Token(u32),
    /// An image token: the picture and which of its M.
    Visual {
        /// The picture's name here.
        picture: PictureTag,
        /// 0-based.
        index: u32,
    },
}

impl Slot {
    /// The token, if it is one.
    pub fn token(&self) -> Option<u32> {
        match self {
            Slot::Token(id) => Some(*id),
            Slot::Visual { .. } => None,
        }
    }
}

/// What a forward pass returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing: only the cache matters.
    Nothing,
    /// The next token, picked as [`crate::Model::begin`] said and left where it was picked: see
    /// [`super::Generation`]. Its logits are handed back after `Model::show_logits`.
    Pick,
    /// The logits of the last position.
    Logits,
    /// The logits of every position.
    AllLogits,
    /// What the slots attend to: see [`Wanted::Attention`].
    Attention,
}

/// What it handed back.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Nothing.
    Nothing,
    /// One per token of the vocabulary, or [positions, vocab] for [`Want::AllLogits`].
    Logits(Vec<f32>),
    /// How much of their attention the slots computed give to each position of the cache,
    /// \[positions\]: the mean over the slots, the heads and the middle third of the decoder's
    /// layers. They sum to 1.
    Attention(Vec<f32>),
}

/// How numbers are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arithmetic {
    /// Float activations and caches; a row's result does not depend on its neighbours.
    Exact,
    /// Whatever measures fastest within the documented quality: keys and values kept as halves;
    /// where the device multiplies bytes faster, the decoder's activations rounded to those in
    /// products with q8 and q4.
    #[default]
    Fast,
}

impl std::fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Arithmetic::Exact { "exact" } else { "fast" })
    }
}

impl std::str::FromStr for Arithmetic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Arithmetic::Exact),
            "fast" => Ok(Arithmetic::Fast),
            _ => Err(format!("{text:?} is neither exact nor fast")),
        }
    }
}

/// Milliseconds of loading, by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoadTimes {
    /// Finding the adapter and opening the device.
    pub device: f64,
    /// Reading, checking and uploading weights.
    pub weights: f64,
    /// Compiling and choosing kernels, as far as it was not hidden behind the weights.
    pub pipelines: f64,
}

/// What looking at a picture took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Looked {
    /// Squares that the tower encoded; 0 if the picture was the same as before.
    pub vision_runs: u32,
    /// Milliseconds of the tower.
    pub vision_ms: f64,
    /// Milliseconds of the connector, and of ordering its tokens.
    pub resample_ms: f64,
    /// Milliseconds of both that nobody waited for, as the decoder's weights were read meanwhile.
    pub hidden_ms: f64,
}

impl Looked {
    /// Milliseconds of all of it.
    pub fn ms(&self) -> f64 {
        self.vision_ms + self.resample_ms
    }

    /// Milliseconds that somebody waited for it.
    #[doc(hidden)]
    pub fn waited_ms(&self) -> f64 {
        (self.ms() - self.hidden_ms).max(0.0)
    }

    /// Both together.
    #[must_use]
    #[doc(hidden)]
    pub fn and(self, other: Looked) -> Looked {
        Looked {
            vision_runs: self.vision_runs + other.vision_runs,
            vision_ms: self.vision_ms + other.vision_ms,
            resample_ms: self.resample_ms + other.resample_ms,
            hidden_ms: self.hidden_ms + other.hidden_ms,
        }
    }
}
