//! The folder that a pack is written into: only files that a conversion of the same model has made
//! are ever replaced.

use super::{failed, journal};
use crate::error::{Error, Result};
use crate::untrusted::limits;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The pack's last file: a folder without it is unfinished.
pub(super) const MANIFEST: &str = "manifest.json";

/// Checks that `out` holds none of `files`, unless they are of the pack of the same name, or of its
/// unfinished conversion.
pub(super) fn check(out: &Path, name: &str, files: impl Iterator<Item = String>) -> Result<()> {
    let refused =
        |why: String| Err(Error::InvalidSetting { what: format!("output {}", out.display()), why });
    if exists(&out.join(journal::FILE)) {
        // Before it was made, the rest was checked.
        return if journal::is_one(out) {
            Ok(())
        } else {
            refused(format!("its {} is of another program; choose another folder", journal::FILE))
        };
    }
    let own = match pack_in(out) {
        Some((earlier, _)) if earlier != name => {
            return refused(format!(
                "it holds the pack {earlier}, and this is {name}; choose another folder, or remove it first"
            ));
        }
        Some((_, own)) => own,
        None => Vec::new(),
    };
    let foreign = |file: &String| {
        !own.contains(file) && exists(&out.join(file)) || exists(&draft(&out.join(file)))
    };
    match [MANIFEST.to_owned()].into_iter().chain(files).find(foreign) {
        Some(file) => {
            refused(format!("there is a {file} that mqt has not made; choose another folder"))
        }
        None => Ok(()),
    }
}

/// Whether there is anything of that name, were it a link that leads nowhere.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The name of the pack in a folder, and its files.
fn pack_in(folder: &Path) -> Option<(String, Vec<String>)> {
    let path = folder.join(MANIFEST);
    fs::metadata(&path).ok().filter(|data| data.is_file() && data.len() <= limits::MANIFEST)?;
    let manifest: Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    manifest["format"].as_str().filter(|format| format.starts_with("mqt.pack/"))?;
    let listed = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    let files = listed("files")
        .into_iter()
        .chain(listed("shards"))
        .filter_map(|entry| entry["file"].as_str().map(str::to_owned));
    Some((manifest["name"].as_str()?.to_owned(), files.chain([MANIFEST.to_owned()]).collect()))
}

fn draft(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.part", path.file_name().unwrap_or_default().to_string_lossy()))
}

/// Writes a file under a temporary name first, so that a kill leaves no half file under the real
/// one. A link is followed; a file that exists keeps its mode.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let write = || -> io::Result<()> {
        let mode = match OpenOptions::new().write(true).open(&real).and_then(|file| file.metadata())
        {
            Ok(data) if data.is_file() => Some(data.permissions()),
            Ok(_) => return Err(io::Error::other("it is no regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let part = draft(&real);
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        if let Some(mode) = mode {
            file.set_permissions(mode)?;
        }
        file.sync_all()?;
        fs::rename(&part, &real)
    };
    write().map_err(|error| failed(path, &error))
}
