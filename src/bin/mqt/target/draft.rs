//! How an output is written: under a temporary name first, so that it is never half a file; and
//! what is removed if that fails.

use super::{folder_of, is_open_at};
use crate::lock::Lock;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use tempfile::NamedTempFile;

/// Makes a file that was not there: all of it under its name, or nothing.
pub(super) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = Draft::write(path, bytes, None)?;
    match draft.file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            Err(io::Error::other("another program has made it meanwhile"))
        }
        // Some file systems can rename, but not without replacing.
        Err(error) if !fs::exists(path)? => {
            error.file.persist(path).map(drop).map_err(|error| error.error)
        }
        Err(error) => Err(error.error),
    }
}

/// Gives a file new content. Its mode, owner and other names stay; if the disc is full, its old
/// content does too.
pub(super) fn replace(path: &Path, file: &File, bytes: &[u8]) -> io::Result<()> {
    let old = file.metadata()?;
    if has_one_name(&old) {
        match Draft::write(path, bytes, Some(&old)).map(|draft| draft.file.persist(path)) {
            Ok(Ok(_)) => return Ok(()),
            Err(error)
                if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                return Err(error);
            }
            // The folder takes no new file, or none of that owner, or the file is mounted by
            // itself.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    overwrite(file, bytes)
}

/// Gives an open file new content where it is.
pub(super) fn overwrite(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()
        .or_else(|error| if error.kind() == ErrorKind::Unsupported { Ok(()) } else { Err(error) })
}

fn has_one_name(data: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        data.nlink() == 1
    }
    #[cfg(not(unix))]
    {
        data.is_file()
    }
}

/// A whole file under a temporary name beside its own.
struct Draft {
    file: NamedTempFile,
    _leftover: Leftover,
}

impl Draft {
    /// `like`: whose mode and owner it takes over; else it is a new file like any other.
    fn write(path: &Path, bytes: &[u8], like: Option<&Metadata>) -> io::Result<Draft> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".mqt-").suffix(".tmp");
        #[cfg(unix)]
        if like.is_none() {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder_of(path))?;
        let leftover = Leftover::note(file.path());
        file.as_file_mut().write_all(bytes)?;
        if let Some(old) = like {
            #[cfg(unix)]
            {
                use std::os::unix::fs::{MetadataExt, fchown};
                let new = file.as_file().metadata()?;
                if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                    fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
                }
            }
            file.as_file().set_permissions(old.permissions())?;
        }
        file.as_file().sync_all()?;
        Ok(Draft { file, _leftover: leftover })
    }
}

/// A lock on a file that does not exist yet: on another one beside it, which goes when the lock
/// does.
pub(super) struct LockBeside {
    _lock: Lock,
    leftover: Leftover,
}

impl LockBeside {
    /// `None`: another process holds it.
    pub(super) fn of(path: &Path) -> io::Result<Option<LockBeside>> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".mqt-lock");
        if name.len() > 255 {
            name = format!(".{}.mqt-lock", digest(&name)).into();
        }
        let beside = path.with_file_name(name);
        loop {
            // Somebody else's link would have us make a file elsewhere.
            if fs::symlink_metadata(&beside).is_ok_and(|data| !data.is_file()) {
                return Err(io::Error::other(format!("{} is no lock of mqt", beside.display())));
            }
            let Some(lock) = Lock::at(&beside)? else { return Ok(None) };
            // Whoever held it before has removed the file.
            if is_open_at(lock.file(), &beside) {
                return Ok(Some(LockBeside { _lock: lock, leftover: Leftover::note(&beside) }));
            }
        }
    }
}

impl Drop for LockBeside {
    fn drop(&mut self) {
        // Still locked: nobody else can be between opening and locking it and take it for theirs.
        let _ = fs::remove_file(&self.leftover.0);
    }
}

fn digest(name: &OsStr) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(name.as_encoded_bytes())
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Files beside the outputs that have to go if the program ends early.
static LEFTOVERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn leftovers() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LEFTOVERS.lock().unwrap_or_else(|error| error.into_inner())
}

struct Leftover(PathBuf);

impl Leftover {
    fn note(path: &Path) -> Leftover {
        leftovers().insert(path.to_owned());
        Leftover(path.to_owned())
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        leftovers().remove(&self.0);
    }
}

/// Removes what an output that was not written has left beside it: for an end without a return,
/// such as Ctrl-C.
pub(crate) fn clean_up() {
    for path in leftovers().iter() {
        let _ = fs::remove_file(path);
    }
}
