//! One process at a time: a lock on a file that ends with the process, however it ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Locks the file at `path`, which is made if there is none and never removed: a lock on a removed file locks nobody out.
    /// `Ok(None)`: another process holds it.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Lock>> {
        Lock::on(File::options().create(true).append(true).open(path)?)
    }

    /// Locks an open file. File systems that know no locks (some network ones) grant every one.
    pub(crate) fn on(file: File) -> io::Result<Option<Lock>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(Lock { file })),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The locked file: some systems let nothing else write it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
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
}
