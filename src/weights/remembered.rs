//! Which files of a pack were verified before: a note in its folder, so that gigabytes are hashed
//! once and not at every start.
//!
//! A file counts as already hashed while its size, modification time and folder are the same. `mqt
//! verify` ignores the note and hashes everything.

use super::files::Files;
use super::pack::Shard;
use crate::parallel::Guarded;
use crate::untrusted::limits;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

const FILE: &str = "verified.json";
/// Smaller packs are hashed in less than half a second: no note is worth it.
const WORTH_BYTES: u64 = 256 << 20;
/// Time stamps are too coarse to tell a file from what it was a moment before.
const SETTLED: Duration = Duration::from_secs(2);

/// What is known of one folder's files.
pub(super) struct Remembered {
    /// `None`: not on disk, or not worth it.
    folder: Option<PathBuf>,
    note: Guarded<Note>,
}

#[derive(Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Note {
    /// Where it was written: a copied note says nothing of copied files.
    folder: PathBuf,
    files: BTreeMap<String, Seen>,
}

#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Seen {
    sha256: String,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u128,
}

impl Remembered {
    /// Reads the note beside the manifest, if these shards are worth one.
    pub(super) fn of(files: &dyn Files, shards: &[Shard]) -> Remembered {
        let worth = shards.iter().map(|s| s.bytes).fold(0, u64::saturating_add) >= WORTH_BYTES;
        let folder = files
            .path("manifest.json")
            .filter(|_| worth)
            .and_then(|path| path.parent()?.canonicalize().ok());
        Remembered::open(folder)
    }

    fn open(folder: Option<PathBuf>) -> Remembered {
        let fresh = Note { folder: folder.clone().unwrap_or_default(), files: BTreeMap::new() };
        let read = |folder: &PathBuf| {
            let path = folder.join(FILE);
            let meta = fs::metadata(&path).ok()?;
            // Not a pipe, nor a file that only looks like a note.
            if !meta.is_file() || meta.len() > limits::of(FILE) {
                return None;
            }
            serde_json::from_slice::<Note>(&fs::read(path).ok()?).ok()
        };
        let note = folder
            .as_ref()
            .and_then(read)
            .filter(|note| note.folder == fresh.folder)
            .unwrap_or(fresh);
        Remembered { folder, note: Guarded::new(note) }
    }

    /// Whether this very file was hashed before and had the right sum.
    pub(super) fn knows(&self, shard: &Shard) -> bool {
        let Some(folder) = &self.folder else { return false };
        self.note.lock().files.get(&shard.file).is_some_and(|seen| {
            seen.sha256 == shard.sha256 && Some(seen) == seen_now(folder, shard).as_ref()
        })
    }

    /// Notes a file whose sum was right.
    pub(super) fn add(&self, shard: &Shard) {
        let Some(folder) = &self.folder else { return };
        let Some(seen) = seen_now(folder, shard) else { return };
        let since =
            UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos().saturating_sub(seen.modified);
        if since < SETTLED.as_nanos() {
            return;
        }
        let mut note = self.note.lock();
        note.files.insert(shard.file.clone(), seen);
        let json = serde_json::to_vec_pretty(&*note).expect("our records have only string keys");
        // Where nothing may be written, everything is hashed again: slower, and as right.
        let part = folder.join(format!("{FILE}.{}.part", std::process::id()));
        let _ = fs::write(&part, json).and_then(|()| fs::rename(&part, folder.join(FILE)));
    }
}

fn seen_now(folder: &Path, shard: &Shard) -> Option<Seen> {
    let meta = fs::metadata(folder.join(&shard.file)).ok()?;
    let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(Seen { sha256: shard.sha256.clone(), bytes: meta.len(), modified })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_file_is_known_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let open = || Remembered::open(Some(path.clone()));
        let shard = Shard::of("a", b"abc");
        let write = |content: &[u8], seconds_ago: u64| {
            fs::write(path.join("a"), content).unwrap();
            let file = fs::File::options().write(true).open(path.join("a")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
        };
        write(b"abc", 0);
        open().add(&shard);
        assert!(!open().knows(&shard), "it may still change unseen");
        write(b"abc", 60);
        assert!(!open().knows(&shard));
        open().add(&shard);
        assert!(open().knows(&shard));
        assert!(!open().knows(&Shard::of("a", b"abd")), "another pack's manifest");
        write(b"abd", 30);
        assert!(!open().knows(&shard));

        // A copy of the folder, times of change and all.
        write(b"abc", 60);
        open().add(&shard);
        let copy = tempfile::tempdir().unwrap();
        let to = copy.path().canonicalize().unwrap();
        fs::copy(path.join(FILE), to.join(FILE)).unwrap();
        fs::copy(path.join("a"), to.join("a")).unwrap();
        let time = fs::metadata(path.join("a")).unwrap().modified().unwrap();
        fs::File::options().write(true).open(to.join("a")).unwrap().set_modified(time).unwrap();
        assert!(open().knows(&shard) && !Remembered::open(Some(to)).knows(&shard));
        fs::write(path.join(FILE), "{}").unwrap();
        assert!(!open().knows(&shard));

        // Neither is read: it would never end, or fill the memory.
        fs::File::create(path.join(FILE)).unwrap().set_len(1 << 40).unwrap();
        assert!(!open().knows(&shard));
        #[cfg(unix)]
        {
            fs::remove_file(path.join(FILE)).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path.join(FILE)).unwrap();
            assert!(!open().knows(&shard));
        }
    }
}
