//! Checking every byte of a pack.

use crate::error::Result;
use crate::future::Callback;
use crate::model::Progress;
use crate::untrusted::one_line;
use crate::weights::Supply;
use crate::weights::files::Disk;
use crate::weights::layout::layout;
use crate::weights::pack::Pack;
use crate::weights::plan::is_vector;
use std::path::Path;

/// What [`verify`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The pack's name.
    pub name: String,
    /// Shards whose SHA-256 is right: all of them.
    pub shards: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Tensors found with the right shape.
    pub tensors: usize,
}

impl std::fmt::Display for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shards = if self.shards == 1 { "shard" } else { "shards" };
        write!(
            f,
            "{}: {} tensors in {} {shards}, {} bytes, every SHA-256 right",
            one_line(&self.name),
            self.tensors,
            self.shards,
            self.bytes
        )
    }
}

/// Reads every byte of a pack and checks sizes, SHA-256 and shapes.
///
/// # Errors
/// The first thing that is wrong, naming the shard or tensor.
pub async fn verify(pack: &Path, on_progress: &mut Callback<'_, Progress>) -> Result<Verified> {
    let pack = Pack::open(Box::new(Disk::open(pack)?)).await?;
    pack.tokenizer().await?;
    let total = pack.manifest.shards.iter().map(|s| s.bytes).sum();
    let mut progress = Progress { phase: "verifying", done: 0, total };
    for index in 0..pack.manifest.shards.len() {
        progress.done += pack.read_shard(index).await?.len() as u64;
        on_progress(&progress);
    }
    let entries = layout(&pack.manifest.architecture);
    for entry in &entries {
        if is_vector(entry) {
            pack.vector(entry).await?;
        } else {
            pack.matrix(entry).await?;
        }
    }
    Ok(Verified {
        name: pack.manifest.name.clone(),
        shards: pack.manifest.shards.len(),
        bytes: progress.done,
        tensors: entries.len(),
    })
}
