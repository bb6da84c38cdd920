//! Notes of what was pulled: which files, from where, with which SHA-256.
//!
//! They are in the cache's own folder, never in a model's, so nothing that a server sends can
//! become one. A note has one line of JSON for each file, so that a kill loses at most the last
//! line.

use crate::cache;
use crate::folder::read_small;
use mqt::internals::untrusted::check_path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The notes' folder in the cache. A model's name does not begin with a dot.
const NOTES: &str = ".notes";

/// A file as it was when it was complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pulled {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: u64,
    pub(crate) sha256: String,
    /// What the listing called this version of it.
    pub(crate) mark: Option<String>,
}

impl Pulled {
    /// Whether the file was not written to since, as far as size and time tell.
    pub(crate) fn is_untouched(&self, now: &Metadata) -> bool {
        self.bytes == now.len() && self.modified == modified(now)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Where the files are from.
    Source(String),
    /// Which version of it was asked for.
    Revision(String),
    File(Pulled),
    /// Whether the last pull came to its end.
    Finished(bool),
}

/// The note of one folder.
#[derive(Default)]
pub(crate) struct Note {
    /// `None`: there is nowhere to write it.
    path: Option<PathBuf>,
    pub(crate) source: Option<String>,
    /// The version that was asked for, where a source has several.
    pub(crate) revision: Option<String>,
    pub(crate) files: BTreeMap<String, Pulled>,
    pub(crate) finished: bool,
    /// Names in it that no pull writes.
    foreign: usize,
}

impl Note {
    /// Whether it names files, and none that a pull would not write.
    pub(crate) fn is_sound(&self) -> bool {
        self.foreign == 0 && !self.files.is_empty()
    }

    /// Reads the note of a folder; an empty one if there is none.
    pub(crate) fn of(folder: &Path) -> Note {
        let path = place(folder);
        let text = path.as_ref().and_then(|path| read_small(path)).unwrap_or_default();
        let mut note = Note { path, ..Note::default() };
        // A last line that a kill cut short is no JSON.
        for line in
            text.split(|&byte| byte == b'\n').map_while(|line| serde_json::from_slice(line).ok())
        {
            match line {
                Line::Source(source) => note.source = Some(source),
                Line::Revision(revision) => note.revision = Some(revision),
                // A path that no pull would write is not one to hash or to remove either.
                Line::File(pulled) if check_path(&pulled.file, NOTES).is_ok() => {
                    drop(note.files.insert(pulled.file.clone(), pulled))
                }
                Line::File(_) => note.foreign += 1,
                Line::Finished(finished) => note.finished = finished,
            }
        }
        note
    }

    /// Begins a pull from `source`: what was pulled from there before still counts.
    pub(crate) fn begin(&mut self, source: &str, revision: Option<&str>) {
        if self.source.as_deref() != Some(source) {
            self.files.clear();
        }
        self.source = Some(source.to_owned());
        self.revision = revision.map(str::to_owned);
        self.finished = false;
        let files = self.files.values().cloned().map(Line::File);
        let lines: Vec<u8> = std::iter::once(Line::Source(source.to_owned()))
            .chain(self.revision.clone().map(Line::Revision))
            .chain(files)
            .flat_map(|line| bytes(&line))
            .collect();
        // Where no note can be written, files are hashed again: slower, and as right.
        if let Some(path) = &self.path {
            let draft = path.with_extension(format!("{}.tmp", std::process::id()));
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            let _ = made
                .and_then(|()| fs::write(&draft, lines))
                .and_then(|()| fs::rename(&draft, path));
        }
    }

    /// Notes a file that is complete.
    pub(crate) fn add(&mut self, file: &str, now: &Metadata, sha256: String, mark: Option<String>) {
        let pulled = Pulled {
            file: file.to_owned(),
            bytes: now.len(),
            modified: modified(now),
            sha256,
            mark,
        };
        self.files.insert(file.to_owned(), pulled.clone());
        self.append(&Line::File(pulled));
    }

    /// Notes whether every file is there.
    pub(crate) fn finish(&mut self, finished: bool) {
        self.finished = finished;
        self.append(&Line::Finished(finished));
    }

    /// Forgets the folder.
    pub(crate) fn remove(self) {
        let _ = self.path.map(fs::remove_file);
    }

    fn append(&self, line: &Line) {
        let Some(path) = &self.path else { return };
        let _ = OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(&bytes(line)));
    }
}

fn bytes(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("our records have only string keys");
    bytes.push(b'\n');
    bytes
}

/// Time of the last change, in nanoseconds since 1970.
fn modified(meta: &Metadata) -> u64 {
    let since = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

/// The file with a folder's note: by its name if it is a model of the cache, else by its whole
/// path.
fn place(folder: &Path) -> Option<PathBuf> {
    let root = cache::root().ok()?;
    let folder = folder.canonicalize().ok()?;
    let inside =
        folder.parent().is_some_and(|parent| root.canonicalize().is_ok_and(|root| root == parent));
    let name = folder.file_name()?.to_str().filter(|_| inside);
    let hash = || {
        Sha256::digest(folder.as_os_str().as_encoded_bytes())
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let notes = root.join(NOTES);
    Some(match name {
        Some(name) => notes.join(format!("{name}.jsonl")),
        None => notes.join("elsewhere").join(format!("{}.jsonl", hash())),
    })
}
