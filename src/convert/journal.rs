//! What an interrupted conversion has finished: a line per shard, valid for the very same checkpoint files and settings.

use super::{Conversion, failed};
use crate::error::Result;
use crate::weights::checkpoint::Checkpoint;
use crate::weights::pack::{FORMAT, Shard, hex};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const FILE: &str = "convert.journal";

/// Names what is being converted, and how: checkpoint files by size and time, formats, this program's version.
pub(super) fn key(checkpoint: &Checkpoint, what: &Conversion) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{FORMAT} {} {} {} {}\n", env!("CARGO_PKG_VERSION"), what.weights, what.shard_bytes, checkpoint.fingerprint()));
    let mut paths = checkpoint.paths();
    paths.sort();
    for path in paths {
        let meta = std::fs::metadata(&path).ok();
        let facts = meta.map(|m| (m.len(), m.modified().ok()));
        hash.update(format!("{} {facts:?}\n", path.display()));
    }
    hex(&hash.finalize())
}

/// The journal of one pack folder.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    shards: HashMap<String, Shard>,
}

impl Journal {
    /// Opens the journal of `folder`; what it says is forgotten if it is of another conversion.
    pub(super) fn open(folder: &Path, key: &str) -> Result<Journal> {
        let path = folder.join(FILE);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let mut lines = old.lines();
        let mut shards = HashMap::new();
        if lines.next() == Some(key) {
            // A last line that a kill cut short is no JSON, and its shard is made again.
            for shard in lines.map_while(|line| serde_json::from_str::<Shard>(line).ok()) {
                shards.insert(shard.file.clone(), shard);
            }
        }
        let mut text = format!("{key}\n");
        for shard in shards.values() {
            text += &line(shard);
        }
        super::write(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|e| failed(&path, &e))?;
        Ok(Journal { path, file, shards })
    }

    /// A finished shard that still has the content it had.
    pub(super) fn find(&mut self, file: &str) -> Option<Shard> {
        let shard = self.shards.remove(file)?;
        let bytes = std::fs::read(self.path.with_file_name(file)).ok()?;
        (Shard::of(file, &bytes) == shard).then_some(shard)
    }

    /// Notes a finished shard.
    pub(super) fn add(&mut self, shard: &Shard) -> Result<()> {
        self.file.write_all(line(shard).as_bytes()).map_err(|e| failed(&self.path, &e))
    }

    /// Forgets everything: the pack is complete.
    pub(super) fn remove(folder: &Path) {
        // Left behind it would be in nobody's way.
        let _ = std::fs::remove_file(folder.join(FILE));
    }
}

fn line(shard: &Shard) -> String {
    serde_json::to_string(shard).expect("a shard serialises") + "\n"
}
