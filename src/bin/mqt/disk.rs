//! How much room a disk has, where the system says so.

use std::path::Path;

/// Bytes that this user may still write beside `path`; `None` where nobody knows.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let data = rustix::fs::statvfs(path).ok()?;
    // Some network file systems say that they have no blocks at all.
    (data.f_blocks > 0).then(|| data.f_bavail.saturating_mul(data.f_frsize))
}

/// Bytes that this user may still write beside `path`; `None` where nobody knows.
#[cfg(not(unix))]
pub(crate) fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_written_to_has_room_and_one_that_is_not_there_has_none_known() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        assert_eq!(free_bytes(&folder.path().join("no such folder")), None);
    }
}
