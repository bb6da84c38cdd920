//! From files to the numbers that the network needs: checkpoint folders as published, llama.cpp's
//! pairs of GGUF files, and our own packs.

mod check;
pub mod checkpoint;
mod choice;
mod described;
pub mod files;
pub mod fold;
pub mod gguf;
pub mod importance;
pub mod layout;
pub mod names;
pub mod pack;
pub mod plan;
mod quantised;
pub mod recipe;
#[cfg(feature = "native")]
mod remembered;
pub mod safetensors;
#[cfg(feature = "native")]
pub(crate) mod synthetic;
pub(crate) mod template;
pub mod tensors;
mod tower;

use crate::config::Config;
use crate::error::Result;
use crate::future::{Boxed, MaybeSend, MaybeSync};
use crate::quant::{Format, Packed};

/// How matrices are stored on the device and in packs (`--weights`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Weights {
    /// As exact as the checkpoint.
    F32,
    /// Halves.
    F16,
    /// 8 bits, for every matrix.
    Q8,
    /// 5 bits for the decoder's layers, 8 for the rest.
    Q5,
    /// 4 bits for the decoder's layers but the last, which has 5, and 8 for the rest.
    Q4,
}

/// What `--weights` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightsChoice {
    /// What the decoder's size says.
    #[default]
    Auto,
    /// These.
    Of(Weights),
}

impl WeightsChoice {
    /// Decoders with this many parameters or more are held in 4 bits, smaller ones in 5: those are
    /// the fewest bits that keep nine of ten likeliest tokens of a small one
    /// (docs/quantisation.md).
    pub const LARGE: u64 = 2_000_000_000;

    /// The choice for a model.
    #[doc(hidden)]
    pub fn settle(self, config: &Config) -> Weights {
        match self {
            WeightsChoice::Of(weights) => weights,
            WeightsChoice::Auto if layout::decoder_parameters(config) >= WeightsChoice::LARGE => {
                Weights::Q4
            }
            WeightsChoice::Auto => Weights::Q5,
        }
    }
}

impl From<Weights> for WeightsChoice {
    fn from(weights: Weights) -> WeightsChoice {
        WeightsChoice::Of(weights)
    }
}

impl std::str::FromStr for WeightsChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(WeightsChoice::Auto);
        }
        text.parse().map(WeightsChoice::Of).map_err(|_: String| {
            format!("{text:?} is none of auto, {}", Weights::ALL.map(|w| w.to_string()).join(", "))
        })
    }
}

impl Weights {
    /// All of them, the most exact first.
    pub const ALL: [Weights; 5] =
        [Weights::F32, Weights::F16, Weights::Q8, Weights::Q5, Weights::Q4];

    /// The format of a matrix with this role.
    pub(crate) fn format(self, role: layout::Role) -> Format {
        use layout::Role;
        match (self, role) {
            (Weights::F32, _) => Format::F32,
            (Weights::F16, _) | (_, Role::Map | Role::Patch) => Format::F16,
            (Weights::Q4, Role::Layer) => Format::Q4,
            (Weights::Q4, Role::LastLayer) => Format::Q5,
            (Weights::Q5, Role::Layer | Role::LastLayer) => Format::Q5,
            (Weights::Q8 | Weights::Q5 | Weights::Q4, _) => Format::Q8,
        }
    }
}

impl std::fmt::Display for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Weights::F32 => "f32",
            Weights::F16 => "f16",
            Weights::Q8 => "q8",
            Weights::Q5 => "q5",
            Weights::Q4 => "q4",
        })
    }
}

impl std::str::FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let named = Weights::ALL.into_iter().find(|w| text.eq_ignore_ascii_case(&w.to_string()));
        named.ok_or_else(|| {
            format!("{text:?} is none of {}", Weights::ALL.map(|w| w.to_string()).join(", "))
        })
    }
}

/// Where a network's tensors come from, one at a time: a checkpoint (converted on the way) or a
/// pack.
pub trait Supply: MaybeSend + MaybeSync {
    /// The matrix of this entry, in panel layout.
    fn matrix<'a>(&'a self, entry: &'a layout::Entry) -> Boxed<'a, Result<Packed>>;
    /// The vector or small table of this entry, row-major.
    fn vector<'a>(&'a self, entry: &'a layout::Entry) -> Boxed<'a, Result<Vec<f32>>>;
}
