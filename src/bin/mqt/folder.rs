//! A folder that a model is fetched into: one process at a time, and never through a link inside
//! it.
//!
//! Our own files are in its subfolder `.mqt`, a name that no file of a model may have: the lock,
//! and incomplete files.

use crate::failure::{Failure, Result};
use crate::lock::Lock;
use mqt::internals::untrusted::limits;
use sha2::{Digest, Sha256};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Our own folder inside a model's.
const OWN: &str = ".mqt";

/// A folder that nobody else fetches into as long as this is held.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    _lock: Lock,
}

/// Who holds a folder.
pub(crate) struct Busy {
    /// The process, if it said which.
    pub(crate) owner: String,
}

impl Folder {
    /// Makes the folder if there is none and takes it; `wait` is told once who has it, if somebody
    /// has.
    pub(crate) fn take(path: &Path, wait: impl Fn(&Busy)) -> Result<Folder> {
        let failed = |error: io::Error| Failure::output(&path.display().to_string(), &error);
        loop {
            fs::create_dir_all(path).map_err(failed)?;
            match Lock::wait(&lock_file(path)?, |owner| wait(&Busy { owner })) {
                Ok(lock) => return Ok(Folder { path: path.to_owned(), _lock: lock }),
                // Whoever had it removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Whether somebody has taken it before.
    pub(crate) fn was_taken(path: &Path) -> bool {
        find(path, &format!("{OWN}/lock")).is_ok_and(|meta| meta.is_some())
    }

    /// Takes a folder that exists, if nobody has it.
    pub(crate) fn try_take(path: &Path) -> Result<std::result::Result<Folder, Busy>> {
        let file = lock_file(path)?;
        let lock = Lock::signed(&file)
            .map_err(|error| Failure::output(&file.display().to_string(), &error))?;
        Ok(lock
            .map(|lock| Folder { path: path.to_owned(), _lock: lock })
            .ok_or_else(|| Busy { owner: Lock::owner(&file) }))
    }

    /// The file `name`, if there is one.
    ///
    /// # Errors
    /// Code 1 if a link or something else that is no plain file is in its place or on the way to
    /// it.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Metadata>> {
        find(&self.path, name).map_err(|why| Failure { code: 1, message: Some(why) })
    }

    /// Where `name` grows until it is complete.
    pub(crate) fn part(&self, name: &str) -> Result<PathBuf> {
        let sum: String =
            Sha256::digest(name).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let part = format!("{OWN}/{sum}.part");
        self.find(&part)?;
        self.find(&format!("{OWN}/{sum}.json"))?;
        Ok(self.path.join(part))
    }

    /// Gives a complete file its name.
    pub(crate) fn keep(&self, part: &Path, name: &str) -> Result<PathBuf> {
        self.find(name)?;
        let path = self.path.join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::rename(part, &path))
            .map_err(|error| Failure::output(&path.display().to_string(), &error))?;
        let _ = fs::remove_file(part.with_extension("json"));
        Ok(path)
    }

    /// Removes what is left of files that are no longer wanted.
    pub(crate) fn clear(&self) {
        let entries = fs::read_dir(self.path.join(OWN)).into_iter().flatten().flatten();
        for path in entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "part" || e == "json"))
        {
            let _ = fs::remove_file(path);
        }
    }
}

impl Busy {
    /// One sentence about `folder`.
    pub(crate) fn sentence(&self, folder: &Path) -> String {
        format!("{} is fetching into {}", self.owner, folder.display())
    }

    /// For those who do not wait.
    pub(crate) fn refusal(&self, folder: &Path) -> Failure {
        Failure {
            code: 1,
            message: Some(format!(
                "{}; wait until it has ended, or stop it",
                self.sentence(folder)
            )),
        }
    }
}

/// The lock of a folder; our own folder is made for it.
fn lock_file(path: &Path) -> Result<PathBuf> {
    let failed = |error: io::Error| Failure::output(&path.display().to_string(), &error);
    let own = path.join(OWN);
    match fs::create_dir(&own) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let lock = format!("{OWN}/lock");
    find(path, &lock).map_err(|why| Failure { code: 1, message: Some(why) })?;
    Ok(path.join(lock))
}

/// The plain file `folder`/`name`, if there is one; no link below `folder` is followed.
pub(crate) fn find(folder: &Path, name: &str) -> std::result::Result<Option<Metadata>, String> {
    let mut path = folder.to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        let last = parts.peek().is_none();
        if last && meta.is_file() {
            return Ok(Some(meta));
        }
        if last || !meta.is_dir() {
            let what = if meta.is_symlink() {
                "a link"
            } else if meta.is_dir() {
                "a folder"
            } else {
                "no plain file or folder"
            };
            return Err(format!(
                "{} is {what}, where a {} of the model would be; move it away",
                path.display(),
                if last { "file" } else { "folder" }
            ));
        }
    }
    Ok(None)
}

/// A note of our own; `None` if there is none, or something that cannot be one.
pub(crate) fn read_small(path: &Path) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(path).ok()?;
    if !meta.is_file() || meta.len() > limits::NOTE {
        return None;
    }
    fs::read(path).ok()
}

/// SHA-256 of a plain file, in hex. Anything else might never end.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}
