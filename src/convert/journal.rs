//! What an interrupted conversion has finished: a line per shard, valid for the very same
//! checkpoint files and settings.

use super::{Conversion, failed};
use crate::error::{Error, Result};
use crate::untrusted::limits;
use crate::weights::checkpoint::Checkpoint;
use crate::weights::pack::{FORMAT, Shard, hex};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub(super) const FILE: &str = "convert.journal";
/// Hexadecimal digits of a key.
const KEY_BYTES: u64 = 64;

/// Names what is being converted, and how: checkpoint files by size and time, formats, this
/// program's version.
pub(super) fn key(checkpoint: &Checkpoint, what: &Conversion) -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{FORMAT} {} {} {} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        checkpoint.weights,
        what.calibration.mark(),
        what.shard_bytes,
        checkpoint.fingerprint()
    ));
    let mut paths = checkpoint.paths();
    paths.sort();
    for path in paths {
        let meta = std::fs::metadata(&path).ok();
        let facts = meta.map(|m| (m.len(), m.modified().ok()));
        hash.update(format!("{} {facts:?}\n", path.display()));
    }
    hex(&hash.finalize())
}

/// Whether a folder's journal is one: it is empty, or begins with a key.
pub(super) fn is_one(folder: &Path) -> bool {
    let path = folder.join(FILE);
    if !std::fs::metadata(&path).is_ok_and(|data| data.is_file()) {
        return false;
    }
    let mut start = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(KEY_BYTES).read_to_end(&mut start));
    read.is_ok() && start.iter().all(u8::is_ascii_hexdigit)
}

/// The journal of one pack folder. While it is open, no other conversion writes there.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    shards: HashMap<String, Shard>,
}

impl Journal {
    /// Opens the journal of `folder`; what it says is forgotten if it is of another conversion.
    pub(super) fn open(folder: &Path, key: &str) -> Result<Journal> {
        let path = folder.join(FILE);
        let file = locked(&path)?;
        let mut journal = Journal { path, file, shards: HashMap::new() };
        journal.read(key).map_err(|e| failed(&journal.path, &e))?;
        Ok(journal)
    }

    fn read(&mut self, key: &str) -> std::io::Result<()> {
        let mut old = Vec::new();
        // One that is longer is none of ours; its shards are made again.
        (&self.file).take(limits::NOTE + 1).read_to_end(&mut old)?;
        if old.len() as u64 > limits::NOTE {
            old.clear();
        }
        let mut lines = old.split_inclusive(|byte| *byte == b'\n');
        let mut good = 0;
        if lines.next().is_some_and(|first| first == format!("{key}\n").as_bytes()) {
            good = key.len() + 1;
            // A last line that a kill cut short is no JSON, and its shard is made again.
            for line in lines.take_while(|line| line.ends_with(b"\n")) {
                let Ok(shard) = serde_json::from_slice::<Shard>(line) else { break };
                self.shards.insert(shard.file.clone(), shard);
                good += line.len();
            }
        }
        self.file.set_len(good as u64)?;
        self.file.seek(SeekFrom::End(0))?;
        if good == 0 { self.file.write_all(format!("{key}\n").as_bytes()) } else { Ok(()) }
    }

    /// A finished shard that still has the content it had.
    pub(super) fn find(&mut self, file: &str) -> Option<Shard> {
        let shard = self.shards.remove(file)?;
        let path = self.path.with_file_name(file);
        // Another file may lie there by now: of any size, or none that ends.
        std::fs::metadata(&path).ok().filter(|d| d.is_file() && d.len() == shard.bytes)?;
        let bytes = std::fs::read(path).ok()?;
        (Shard::of(file, &bytes) == shard).then_some(shard)
    }

    /// Notes a finished shard.
    pub(super) fn add(&mut self, shard: &Shard) -> Result<()> {
        self.file.write_all(line(shard).as_bytes()).map_err(|e| failed(&self.path, &e))
    }

    /// Forgets everything: the pack is complete.
    pub(super) fn remove(self) {
        // Left behind it would be in nobody's way.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the journal, or makes it, and locks it until it is closed.
fn locked(path: &Path) -> Result<File> {
    let cannot = |e: std::io::Error| failed(path, &e);
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = path.parent().unwrap_or(path).to_owned();
                return Err(Error::OutputFailed {
                    path: folder,
                    why: "it is in use by another mqt".into(),
                });
            }
            // Some network file systems know no locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        // A conversion that has just ended has removed the file.
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

/// Whether the open file is still the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let there = std::fs::metadata(path);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        there.is_ok_and(|there| {
            file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
        })
    }
    #[cfg(not(unix))]
    {
        there.is_ok() && file.metadata().is_ok()
    }
}

fn line(shard: &Shard) -> String {
    serde_json::to_string(shard).expect("a shard serialises") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_is_too_long_to_be_ours_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let key = "0".repeat(64);
        let bytes = vec![7; 100];
        let shard = Shard::of("weights-00001.safetensors", &bytes);
        std::fs::write(folder.path().join(&shard.file), &bytes).unwrap();
        let mut text = format!("{key}\n{}", line(&shard)).into_bytes();
        std::fs::write(folder.path().join(FILE), &text).unwrap();
        assert!(Journal::open(folder.path(), &key).unwrap().find(&shard.file).is_some());
        text.resize(limits::NOTE as usize + 1, b'x');
        std::fs::write(folder.path().join(FILE), &text).unwrap();
        assert!(Journal::open(folder.path(), &key).unwrap().find(&shard.file).is_none());
        assert_eq!(std::fs::metadata(folder.path().join(FILE)).unwrap().len(), 65);
    }

    #[test]
    fn another_file_in_a_shards_place_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let key = "0".repeat(64);
        let shard = Shard::of("weights-00001.safetensors", &[7; 100]);
        std::fs::write(folder.path().join(FILE), format!("{key}\n{}", line(&shard))).unwrap();
        std::fs::create_dir(folder.path().join(&shard.file)).unwrap();
        assert!(Journal::open(folder.path(), &key).unwrap().find(&shard.file).is_none());
    }
}
