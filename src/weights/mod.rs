//! From files to the numbers the network wants: checkpoint folders as published, llama.cpp's pairs
//! of GGUF files, and our own packs.

mod check;
pub mod checkpoint;
mod choice;
mod described;
pub mod files;
pub mod fold;
pub mod gguf;
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
pub mod tensors;
mod tower;

use crate::error::Result;
use crate::future::{Boxed, MaybeSend, MaybeSync};
use crate::quant::{Format, Packed};

/// How matrices are stored on the device and in packs (`--weights`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// As exact as the checkpoint.
    F32,
    /// Halves.
    F16,
    /// 8 bits, for every matrix.
    Q8,
    /// 4 bits for the language model's layers, 8 for the rest.
    #[default]
    Q4,
}

impl Weights {
    /// The format of a matrix with this role.
    pub fn format(self, role: layout::Role) -> Format {
        use layout::Role;
        match (self, role) {
            (Weights::F32, _) => Format::F32,
            (Weights::F16, _) | (_, Role::Map | Role::Patch) => Format::F16,
            (Weights::Q4, Role::Layer) => Format::Q4,
            (Weights::Q8 | Weights::Q4, _) => Format::Q8,
        }
    }
}

impl std::fmt::Display for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Weights::F32 => "f32",
            Weights::F16 => "f16",
            Weights::Q8 => "q8",
            Weights::Q4 => "q4",
        })
    }
}

impl std::str::FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "f32" => Ok(Weights::F32),
            "f16" => Ok(Weights::F16),
            "q8" => Ok(Weights::Q8),
            "q4" => Ok(Weights::Q4),
            _ => Err(format!("{text:?} is none of f32, f16, q8, q4")),
        }
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
