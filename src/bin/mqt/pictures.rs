//! Encoded pictures on disk, so that no picture is encoded twice: one file each, in a separate
//! folder beside the models.
//!
//! It is a cache: a file that cannot be read, is damaged or is not ours is removed and ignored; if
//! one cannot be written, nothing fails. Only the user can read the files, because they reveal what
//! was in a picture.

use crate::cache;
use half::f16;
use mqt::future::Boxed;
use mqt::model::{PictureKey, PictureStore};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Within the cache's folder; a leading dot, as no model's name has.
const FOLDER: &str = ".pictures";
/// What all of them may take: 256 pictures of a 7B model. Those used least recently go first.
const LIMIT: u64 = 512 << 20;
/// A file begins with this, the version, and the SHA-256 of what follows.
const MAGIC: &[u8; 8] = b"mqt-pic\x01";
const HEADER: usize = 8 + 32;

/// The pictures below one folder.
pub(crate) struct Pictures {
    folder: PathBuf,
    limit: u64,
}

/// A file of ours.
struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Pictures {
    /// Those of this user; `None` without a home.
    pub(crate) fn here() -> Option<Pictures> {
        Some(Pictures { folder: cache::base()?.join(FOLDER), limit: LIMIT })
    }

    /// Those of this user, for a session; `None` too if they are not wanted.
    pub(crate) fn shared(unwanted: bool) -> Option<Arc<dyn PictureStore>> {
        let here = Pictures::here().filter(|_| !unwanted)?;
        Some(Arc::new(here))
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many there are, and their bytes.
    pub(crate) fn size(&self) -> (usize, u64) {
        let kept = self.kept(|_| {});
        (kept.len(), kept.iter().map(|file| file.bytes).sum())
    }

    /// Removes all of them; how many bytes that frees.
    pub(crate) fn clear(&self) -> io::Result<u64> {
        let mut freed = 0;
        for file in self.kept(remove) {
            match fs::remove_file(&file.path) {
                // Another process was quicker.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                done => done?,
            }
            freed += file.bytes;
        }
        Ok(freed)
    }

    /// Our files; the others, which nobody but us should have put there, go to `on_foreign`.
    /// Folders are left alone.
    fn kept(&self, on_foreign: impl Fn(&Path)) -> Vec<Kept> {
        let mut kept = Vec::new();
        if !self.is_a_folder() {
            return kept;
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            // Of a link: of the link itself.
            let Ok(data) = entry.metadata() else { continue };
            let path = entry.path();
            if data.is_file() && is_ours(&entry.file_name().to_string_lossy()) {
                let used = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                kept.push(Kept { path, bytes: data.len(), used });
            } else if !data.is_dir() && !is_draft(&data, &path) {
                on_foreign(&path);
            }
        }
        kept
    }

    /// Not a link: what that leads to is not ours to fill and to empty.
    fn is_a_folder(&self) -> bool {
        fs::symlink_metadata(&self.folder).is_ok_and(|data| data.is_dir())
    }

    fn path(&self, key: &PictureKey) -> PathBuf {
        self.folder.join(key.name())
    }

    fn read(&self, key: &PictureKey, len: usize) -> Option<Vec<f16>> {
        let path = self.path(key);
        let data = fs::symlink_metadata(&path).ok().filter(|_| self.is_a_folder())?;
        let values = read_file(&path, &data, len);
        match &values {
            // What was used lately is kept longest.
            Some(_) => drop(File::options().append(true).open(&path).map(touch)),
            None if !data.is_dir() => remove(&path),
            None => {}
        }
        values
    }

    fn write(&self, key: &PictureKey, values: &[f16]) -> io::Result<()> {
        let payload: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes = (HEADER + payload.len()) as u64;
        if bytes > self.limit {
            return Ok(());
        }
        make_private(&self.folder)?;
        if !self.is_a_folder() {
            return Ok(());
        }
        self.make_room(bytes);
        // Mode 0600, and whole under its name or not there.
        let mut draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(&self.folder)?;
        draft.write_all(MAGIC)?;
        draft.write_all(&Sha256::digest(&payload))?;
        draft.write_all(&payload)?;
        draft.persist(self.path(key))?;
        Ok(())
    }

    /// Removes those used least recently until `bytes` more fit the limit, and what is not ours.
    fn make_room(&self, bytes: u64) {
        let mut kept = self.kept(remove);
        kept.sort_by_key(|file| file.used);
        let mut total: u64 = kept.iter().map(|file| file.bytes).sum();
        for file in kept {
            if total + bytes <= self.limit {
                break;
            }
            remove(&file.path);
            total -= file.bytes;
        }
    }
}

impl PictureStore for Pictures {
    fn get<'a>(&'a self, key: &'a PictureKey, len: usize) -> Boxed<'a, Option<Vec<f16>>> {
        Box::pin(async move { self.read(key, len) })
    }

    fn put<'a>(&'a self, key: &'a PictureKey, values: &'a [f16]) -> Boxed<'a, ()> {
        Box::pin(async move { drop(self.write(key, values)) })
    }
}

/// A file's halves, if it is whole, of the expected size, and what was written.
fn read_file(path: &Path, data: &fs::Metadata, len: usize) -> Option<Vec<f16>> {
    let bytes = HEADER + 2 * len;
    if !data.is_file() || data.len() != bytes as u64 {
        return None;
    }
    let mut content = Vec::with_capacity(bytes);
    File::open(path).ok()?.take(bytes as u64).read_to_end(&mut content).ok()?;
    let (header, payload) = content.split_at_checked(HEADER)?;
    let (magic, sum) = header.split_at(MAGIC.len());
    if magic != MAGIC || payload.len() != 2 * len || sum != Sha256::digest(payload).as_slice() {
        return None;
    }
    Some(payload.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect())
}

const DRAFT: &str = ".draft-";

/// Names that [`PictureKey::name`] gives.
fn is_ours(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A file that another process is writing: one that has lain there for an hour is nobody's.
fn is_draft(data: &fs::Metadata, path: &Path) -> bool {
    let age = data.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    let is_named = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(DRAFT));
    is_named && age.as_secs() < 3600
}

fn touch(file: File) -> io::Result<()> {
    file.set_modified(SystemTime::now())
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// A folder that only the user can look into; one that is there stays as it is.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> PictureKey {
        PictureKey::new([number; 32], "model", 0)
    }

    fn values(number: u8) -> Vec<f16> {
        (0..100).map(|i| f16::from_f32(f32::from(number) + i as f32 / 8.0)).collect()
    }

    /// A store with room for three pictures of 100 halves.
    fn store() -> (tempfile::TempDir, Pictures) {
        let folder = tempfile::tempdir().unwrap();
        let limit = 3 * (HEADER as u64 + 200);
        let pictures = Pictures { folder: folder.path().join("new/pictures"), limit };
        (folder, pictures)
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let (_folder, store) = store();
        assert_eq!((store.read(&key(1), 100), store.size()), (None, (0, 0)));
        store.write(&key(1), &values(1)).unwrap();
        assert_eq!(store.read(&key(1), 100), Some(values(1)));
        assert_eq!(store.read(&key(2), 100), None);
        let other = PictureKey::new([1; 32], "another", 0);
        assert_eq!(store.read(&other, 100), None);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&store.path(&key(1))), mode(store.folder())), (0o600, 0o700));
        }
        assert_eq!(store.clear().unwrap(), HEADER as u64 + 200);
        assert_eq!(store.read(&key(1), 100), None);
    }

    #[test]
    fn those_used_least_recently_go_first() {
        let (_folder, store) = store();
        let at = |number: u8, seconds: u64| {
            let file = File::options().append(true).open(store.path(&key(number))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
                .unwrap();
        };
        for number in 1..=3 {
            store.write(&key(number), &values(number)).unwrap();
            at(number, 1000 + u64::from(number));
        }
        // The oldest is used again, so the second has to go.
        assert!(store.read(&key(1), 100).is_some());
        store.write(&key(4), &values(4)).unwrap();
        let there = |number| fs::exists(store.path(&key(number))).unwrap();
        assert_eq!([1, 2, 3, 4].map(there), [true, false, true, true]);
        // More than the limit is not kept, and pushes nothing out.
        store.write(&key(5), &vec![f16::ONE; 1000]).unwrap();
        assert_eq!(store.size().0, 3);
    }

    #[test]
    fn damaged_files_are_removed_and_count_as_missing() {
        let (_folder, store) = store();
        let path = store.path(&key(1));
        store.write(&key(1), &values(1)).unwrap();
        let good = fs::read(&path).unwrap();
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        };
        for bad in [flipped(0), flipped(7), flipped(20), flipped(HEADER + 50), Vec::new()] {
            fs::write(&path, bad).unwrap();
            assert_eq!((store.read(&key(1), 100), path.exists()), (None, false));
        }
        for bad in [&good[..good.len() - 1], &[&good[..], b"x"].concat()] {
            fs::write(&path, bad).unwrap();
            assert_eq!((store.read(&key(1), 100), path.exists()), (None, false));
        }
        // Of another model that gives more tokens.
        fs::write(&path, &good).unwrap();
        assert_eq!((store.read(&key(1), 101), path.exists()), (None, false));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_removed_and_never_followed() {
        use std::os::unix::fs::symlink;
        let (folder, store) = store();
        store.write(&key(1), &values(1)).unwrap();
        let outside = folder.path().join("outside");
        fs::rename(store.path(&key(1)), &outside).unwrap();
        symlink(&outside, store.path(&key(1))).unwrap();
        assert_eq!(store.read(&key(1), 100), None);
        assert!(outside.exists() && !fs::exists(store.path(&key(1))).unwrap());
        symlink(&outside, store.folder().join("foreign")).unwrap();
        fs::write(store.folder().join("notes.txt"), "x").unwrap();
        fs::create_dir(store.folder().join("folder")).unwrap();
        store.write(&key(2), &values(2)).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(store.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [key(2).name().as_str(), "folder"]);
        assert!(outside.exists());
        // A link in the folder's place is somebody else's.
        fs::remove_dir_all(store.folder()).unwrap();
        symlink(folder.path(), store.folder()).unwrap();
        let _ = store.write(&key(3), &values(3));
        assert_eq!(
            (store.read(&key(3), 100), store.size(), store.clear().unwrap()),
            (None, (0, 0), 0)
        );
        assert!(outside.exists());
    }
}
