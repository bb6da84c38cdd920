//! One process at a time: a lock on a file that ends with the process, however it ends.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Between two looks at a lock that somebody else holds.
const PAUSE: Duration = Duration::from_millis(100);

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Locks the file at `path`, which is made if there is none and never removed: a lock on a
    /// removed file locks nobody out. `Ok(None)`: another process holds it.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Lock>> {
        let lock = Lock::on(File::options().create(true).append(true).open(path)?)?;
        // Whoever held it may have removed it with its folder: then others lock another file.
        Ok(lock.filter(|lock| is_at(&lock.file, path)))
    }

    /// Like [`Lock::at`], and writes into the file who holds it.
    pub(crate) fn signed(path: &Path) -> io::Result<Option<Lock>> {
        let Some(mut lock) = Lock::at(path)? else { return Ok(None) };
        lock.file.set_len(0)?;
        writeln!(lock.file, "{}", std::process::id())?;
        Ok(Some(lock))
    }

    /// Waits for a signed lock; `busy` is told once who holds it, if somebody does.
    pub(crate) fn wait(path: &Path, busy: impl FnOnce(String)) -> io::Result<Lock> {
        let mut busy = Some(busy);
        loop {
            if let Some(lock) = Lock::signed(path)? {
                return Ok(lock);
            }
            if let Some(busy) = busy.take() {
                busy(Lock::owner(path));
            }
            sleep(PAUSE);
        }
    }

    /// Who holds a signed lock, in words.
    pub(crate) fn owner(path: &Path) -> String {
        let mut text = String::new();
        // Where locked files cannot be read, nobody is named.
        let read = File::open(path).and_then(|file| file.take(32).read_to_string(&mut text));
        match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
            Some(process) => format!("another mqt (process {process})"),
            None => "another mqt".into(),
        }
    }

    /// Locks an open file. File systems that know no locks (some network ones) grant every one.
    pub(crate) fn on(file: File) -> io::Result<Option<Lock>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(Lock { file }))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The locked file: some systems let nothing else write it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// Whether `file` is still the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |meta: &fs::Metadata| (meta.dev(), meta.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(open), Ok(there)) if identity(&open) == identity(&there))
}

/// Elsewhere an open file's name cannot be given to another one.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::at(&path).unwrap().unwrap();
        assert!(Lock::at(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::at(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_says_who_holds_it_and_a_removed_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::signed(&path).unwrap().unwrap();
        assert_eq!(Lock::owner(&path), format!("another mqt (process {})", std::process::id()));
        let late = File::options().append(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        drop(first);
        assert!(!is_at(&Lock::on(late).unwrap().unwrap().file, &path));
        assert!(Lock::signed(&path).unwrap().is_some());
    }
}
