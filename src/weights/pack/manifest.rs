//! `manifest.json`: what a pack holds, and what is checked of it before anything is used.

use super::hex;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::quant::Format;
use crate::text::Template;
use crate::untrusted::{check_file_name, limits};
use crate::weights::Weights;
use crate::weights::importance::Grade;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The version this code writes.
pub const FORMAT: &str = "mqt.pack/2";
/// The one before it, which is read where its matrices lie as they do now: all but q4's.
pub(super) const BEFORE: &str = "mqt.pack/1";
/// Largest shard.
pub const SHARD_BYTES: u64 = 64 << 20;
/// Room left in a shard for its header.
pub(in crate::weights) const HEADER_BYTES: u64 = 1 << 20;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// The model's name.
    pub name: String,
    /// Licence of the weights, as far as the source says.
    pub licence: String,
    /// What the pack was made from.
    pub source: String,
    /// Formats of the matrices.
    pub weights: Weights,
    /// How the importance of columns was got that errors were weighed by; no pack before version 2
    /// says.
    #[serde(default)]
    pub importance: Grade,
    /// The prompt template.
    pub template: Template,
    /// The numbers.
    pub architecture: Config,
    /// Every tensor.
    pub tensors: BTreeMap<String, Stored>,
    /// The small files beside the shards: the tokenizer's.
    pub files: Vec<Shard>,
    /// Every shard.
    pub shards: Vec<Shard>,
}

/// What every version's manifest says.
#[derive(serde::Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) format: serde_json::Value,
}

impl Manifest {
    /// Checks the numbers, names and sizes that what follows relies on.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`] about `file`.
    pub(super) fn check(&self, file: &str) -> Result<()> {
        let corrupt = |problem: String| Err(Error::ModelCorrupt { file: file.into(), problem });
        self.architecture.check(file)?;
        self.template.check().or_else(corrupt)?;
        let all = self.shards.len() + self.files.len();
        if all > limits::FILES {
            return corrupt(format!(
                "it lists {all} files, more than the {} of any model",
                limits::FILES
            ));
        }
        // A shard is read whole; one panel may exceed the usual size a little.
        let shards = self.shards.iter().map(|shard| (shard, 4 * SHARD_BYTES));
        let small = self.files.iter().map(|small| (small, limits::of(&small.file)));
        for (listed, most) in shards.chain(small) {
            check_file_name(&listed.file, file)?;
            if listed.bytes > most {
                return corrupt(format!(
                    "{} claims {} bytes; a file of this kind has at most {most}",
                    listed.file, listed.bytes
                ));
            }
        }
        Ok(())
    }
}

impl Manifest {
    /// Whether some matrix has codes of 4 or 5 bits.
    pub(super) fn has_codes(&self) -> bool {
        matches!(self.weights, Weights::Q5 | Weights::Q4)
            || self.tensors.values().any(|stored| stored.format.code_bits().is_some())
    }
}

/// Where a tensor is.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Stored {
    /// How values are stored.
    pub format: Format,
    /// Logical rows.
    pub rows: usize,
    /// Logical columns.
    pub cols: usize,
    /// The pieces, in order of rows.
    pub parts: Vec<Part>,
}

/// A run of whole panels (of a matrix), or a whole vector.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// Index into the shards.
    pub shard: usize,
    /// Rows in this part.
    pub rows: usize,
}

/// One file of weights.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shard {
    /// File name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
}

impl Shard {
    /// The entry for a file with this content.
    pub fn of(file: &str, content: &[u8]) -> Shard {
        Shard {
            file: file.into(),
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        }
    }
}
