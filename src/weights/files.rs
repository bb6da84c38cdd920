//! Named files read by ranges: a folder on disk, or the pack inside the binary. The browser brings
//! its own.

use crate::error::{Error, Result};
use crate::future::{Boxed, MaybeSend, MaybeSync};
use crate::plain;
use crate::untrusted::limits;
use std::ops::Range;

/// A flat set of files. Names never leave it: see
/// [`check_file_name`](crate::untrusted::check_file_name).
pub trait Files: MaybeSend + MaybeSync {
    /// For messages: the folder's path, or what it is.
    fn describe(&self) -> String;
    /// Size in bytes; `None` if there is no such file.
    fn size<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<u64>>>;
    /// Exactly these bytes, which lie inside the file.
    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Boxed<'a, Result<Vec<u8>>>;
    /// Names of the files at the top, sorted; empty if they cannot be listed.
    fn list(&self) -> Vec<String>;
    /// Where a file lies on disk, if it does.
    fn path(&self, _name: &str) -> Option<std::path::PathBuf> {
        None
    }
    /// Whether whoever hands out these files has compared them with their SHA-256 already.
    fn are_verified(&self) -> bool {
        false
    }
    /// The tensors in these files, where whoever hands them out knows them already.
    #[doc(hidden)]
    fn tensors(&self) -> Option<std::collections::BTreeMap<String, super::tensors::Tensor>> {
        None
    }
    /// A folder inside this one.
    fn folder(&self, name: &str) -> Option<Box<dyn Files>>;
}

/// A whole small file; `None` if there is none.
///
/// # Errors
/// [`Error::ModelCorrupt`] if it is larger than [`limits::of`] its name, or the system's reason.
pub async fn whole(files: &dyn Files, name: &str) -> Result<Option<Vec<u8>>> {
    match files.size(name).await? {
        None => Ok(None),
        Some(size) if size > limits::of(name) => {
            let problem = format!(
                "it has {size} bytes; a file of this kind has at most {}",
                limits::of(name)
            );
            Err(Error::ModelCorrupt { file: name.into(), problem })
        }
        Some(size) => files.read(name, 0..size).await.map(Some),
    }
}

/// A whole file that holds a JSON object; `None` if there is none.
///
/// # Errors
/// [`Error::ModelCorrupt`] with the position of the first mistake.
pub async fn json(files: &dyn Files, name: &str) -> Result<Option<serde_json::Value>> {
    let Some(bytes) = whole(files, name).await? else { return Ok(None) };
    let corrupt = |problem: String| Error::ModelCorrupt { file: name.into(), problem };
    plain::object(&bytes).map(Some).map_err(corrupt)
}

/// Files inside the binary.
pub struct Embedded {
    /// What it is, for messages.
    pub name: &'static str,
    /// (name, content)
    pub files: &'static [(&'static str, &'static [u8])],
}

impl Embedded {
    fn get(&self, name: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes)
    }
}

impl Files for Embedded {
    fn describe(&self) -> String {
        self.name.into()
    }

    fn size<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<u64>>> {
        Box::pin(async move { Ok(self.get(name).map(|b| b.len() as u64)) })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Boxed<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let bytes =
                self.get(name).and_then(|b| b.get(range.start as usize..range.end as usize));
            bytes.map(<[u8]>::to_vec).ok_or_else(|| Error::ModelCorrupt {
                file: name.into(),
                problem: "a range outside the file was asked for".into(),
            })
        })
    }

    fn list(&self) -> Vec<String> {
        self.files.iter().map(|(n, _)| (*n).to_owned()).collect()
    }

    fn folder(&self, _: &str) -> Option<Box<dyn Files>> {
        None
    }
}

/// A folder on disk.
#[cfg(feature = "native")]
pub struct Disk {
    root: std::path::PathBuf,
}

#[cfg(feature = "native")]
impl Disk {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`Error::ModelMissing`] if it does not exist or is not a folder.
    pub fn open(root: &std::path::Path) -> Result<Disk> {
        let missing = |why: &str| Error::ModelMissing { path: root.to_owned(), why: why.into() };
        match std::fs::metadata(root) {
            Ok(meta) if meta.is_dir() => Ok(Disk { root: root.to_owned() }),
            Ok(meta) if meta.is_file() && is_gguf(root) => Err(missing(
                "it is a GGUF file; what can be given is a pack made of it and its mmproj",
            )),
            Ok(_) => Err(missing("it is a file; give the folder of a pack or of a checkpoint")),
            Err(error) => Err(missing(&crate::plain::system_error(&error))),
        }
    }

    fn failed(&self, name: &str, error: &std::io::Error) -> Error {
        Error::ModelMissing { path: self.root.join(name), why: crate::plain::system_error(error) }
    }
}

/// Whether a regular file begins as GGUF files do.
#[cfg(feature = "native")]
pub fn is_gguf(path: &std::path::Path) -> bool {
    use std::io::Read;
    let mut first = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok()
        && first == *b"GGUF"
}

#[cfg(feature = "native")]
impl Files for Disk {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn size<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<u64>>> {
        Box::pin(async move {
            match std::fs::metadata(self.root.join(name)) {
                Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
                Ok(meta) if meta.is_dir() => {
                    Err(self.failed(name, &std::io::Error::other("it is a folder, not a file")))
                }
                // Reading a pipe or a device may never end.
                Ok(_) => Err(self.failed(name, &std::io::Error::other("it is not a regular file"))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    // The name of a link without its file is no absent file.
                    match std::fs::symlink_metadata(self.root.join(name)) {
                        Ok(_) => Err(self.failed(
                            name,
                            &std::io::Error::other("it is a link to a file that does not exist"),
                        )),
                        Err(_) => Ok(None),
                    }
                }
                Err(error) => Err(self.failed(name, &error)),
            }
        })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Boxed<'a, Result<Vec<u8>>> {
        use std::io::{Read, Seek, SeekFrom};
        Box::pin(async move {
            let read = || -> std::io::Result<Vec<u8>> {
                let mut file = std::fs::File::open(self.root.join(name))?;
                file.seek(SeekFrom::Start(range.start))?;
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact(&mut bytes)?;
                Ok(bytes)
            };
            read().map_err(|e| self.failed(name, &e))
        })
    }

    fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn path(&self, name: &str) -> Option<std::path::PathBuf> {
        Some(self.root.join(name))
    }

    fn folder(&self, name: &str) -> Option<Box<dyn Files>> {
        let path = std::path::Path::new(name);
        let inside = path
            .components()
            .all(|c| matches!(c, std::path::Component::Normal(_) | std::path::Component::CurDir));
        if !inside {
            return None;
        }
        Disk::open(&self.root.join(path)).ok().map(|d| Box::new(d) as Box<dyn Files>)
    }
}
