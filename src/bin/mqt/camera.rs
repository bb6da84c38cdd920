//! `mqt ask FOLDER --every SECONDS`: watches a folder that a camera writes stills into, and answers
//! about the newest one each time.

use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::frames::pictures;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How often a still that cannot be read is tried again: it may not be written to its end yet.
const TRIES: u8 = 3;

/// Calls `answer` with the newest still that is new, every `every` seconds, until it fails or the
/// program is told to end. Of a failure of the picture alone is told, and the next one is waited
/// for.
///
/// # Errors
/// The folder cannot be read; whatever else `answer` fails with.
pub(crate) fn watch(
    folder: &Path,
    every: Duration,
    console: &Console,
    mut answer: impl FnMut(&Path) -> Result<()>,
) -> Result<()> {
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let mut failed: Option<(PathBuf, u8)> = None;
    loop {
        let begun = Instant::now();
        let mut new: Vec<(SystemTime, PathBuf)> = pictures(folder)?
            .into_iter()
            .filter(|path| !seen.contains(path))
            .map(|path| (written(&path), path))
            .collect();
        new.sort();
        if let Some((_, newest)) = new.pop() {
            // What was there before the first look is nobody's question.
            if !seen.is_empty() && !new.is_empty() {
                let skipped = new.len();
                console.note(&format!(
                    "{skipped} more came meanwhile and {} skipped: this device takes longer for one",
                    if skipped == 1 { "is" } else { "are" }
                ));
            }
            seen.extend(new.into_iter().map(|(_, path)| path));
            match answer(&newest) {
                Err(failure) if failure.code == super::ask::IMAGE => {
                    let tries = failed.take().filter(|(path, _)| *path == newest);
                    let tries = tries.map_or(1, |(_, tries)| tries + 1);
                    if tries < TRIES {
                        failed = Some((newest, tries));
                    } else {
                        console.error(failure.message.as_deref().unwrap_or_default());
                        seen.insert(newest);
                    }
                }
                done => {
                    done?;
                    seen.insert(newest);
                }
            }
        }
        thread::sleep(every.saturating_sub(begun.elapsed()));
    }
}

fn written(path: &Path) -> SystemTime {
    let time = path.metadata().and_then(|data| data.modified());
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The folder among the words, for which alone `--every` is.
pub(crate) fn folder(words: &[std::ffi::OsString]) -> Result<PathBuf> {
    match words {
        [word] if Path::new(word).is_dir() => Ok(PathBuf::from(word)),
        _ => Err(Failure::usage("--every takes one folder, which pictures are written into")),
    }
}
