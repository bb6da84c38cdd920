//! A file of JSON lines that is read back and added to: what an earlier run left, without a last
//! line that was cut off and without damaged ones. No other mqt writes to it meanwhile.

use crate::failure::{Failure, Result};
use crate::lines::{self, Lines};
use crate::lock::Lock;
use crate::target;
use mqt::internals::plain;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A line that we write.
pub(crate) trait Entry: DeserializeOwned {
    /// How such lines begin: only a line like that may have been cut off by an interruption.
    const BEGINS: &'static [u8];
    /// What they are, for sentences.
    const WHAT: &'static str;
}

/// The file: where the next line goes, and what of it is damaged.
pub(crate) struct Journal {
    path: PathBuf,
    file: Lock,
    /// Where the next line begins; what follows was cut off.
    whole: u64,
    /// Whether the last line is whole but for its line break.
    lacks_break: bool,
    /// Numbers of the lines in the middle that were cut off, overwritten or joined to another one.
    damaged: Vec<usize>,
    /// Where their bytes are that are no lines.
    holes: Vec<Range<u64>>,
}

/// What a line of the file turns out to be.
enum Found<T> {
    Nothing,
    /// An entry, and where in the line it is.
    Entry(Box<T>, Range<usize>),
    /// One of ours that was cut off, or overwritten with zeros, by whatever ended the program.
    Damaged,
    Foreign(String),
}

impl Journal {
    /// Reads what an earlier run has left, line by line; `take` says what is wrong with one.
    pub(crate) fn open<T: Entry>(
        path: &Path,
        take: impl FnMut(T) -> std::result::Result<(), String>,
    ) -> Result<Journal> {
        let file = target::open_to_add("-o", path)?;
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            whole: 0,
            lacks_break: false,
            damaged: Vec::new(),
            holes: Vec::new(),
        };
        journal.read(take)?;
        Ok(journal)
    }

    /// As it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes ready for new lines.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.mend()?;
        self.cut().map_err(|error| self.failed(&error))
    }

    /// Adds a line.
    pub(crate) fn add(&self, entry: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(entry).expect("our records have only string keys") + "\n";
        let mut file = self.file.file();
        file.write_all(json.as_bytes()).map_err(|error| self.failed(&error))
    }

    fn read<T: Entry>(
        &mut self,
        mut take: impl FnMut(T) -> std::result::Result<(), String>,
    ) -> Result<()> {
        let shown = self.path.display().to_string();
        let file = self.file.file().try_clone();
        let mut lines = Lines::new(BufReader::new(file.map_err(|error| self.failed(&error))?));
        loop {
            let line = lines
                .next()
                .map_err(|error| Failure::usage(format!("-o {shown} cannot be read: {error}")))?;
            let Some(line) = line else { return Ok(()) };
            let wrong = |why: String| {
                Failure::usage(format!(
                    "-o {shown}, line {}: {why}; these are not {}",
                    line.number,
                    T::WHAT
                ))
            };
            let found = recognised::<T>(&line);
            let mut entry_end = None;
            match found {
                Found::Nothing if line.is_ended && line.text.contains(&0) => {
                    self.leave_out(&line, line.start..lines.position());
                }
                Found::Nothing => {}
                Found::Entry(entry, at) => {
                    take(*entry).map_err(wrong)?;
                    self.leave_out(&line, line.start..line.start + at.start as u64);
                    entry_end = Some(line.start + at.end as u64);
                }
                Found::Damaged if line.is_ended => {
                    self.leave_out(&line, line.start..lines.position());
                }
                Found::Damaged => {}
                Found::Foreign(why) if line.is_ended => return Err(wrong(why)),
                Found::Foreign(_) => {
                    return Err(Failure::usage(format!(
                        "-o {shown}: its last line is not one of {}; choose another file",
                        T::WHAT
                    )));
                }
            }
            if line.is_ended {
                self.whole = lines.position();
            } else if let Some(end) = entry_end {
                self.whole = end;
                self.lacks_break = true;
            }
        }
    }

    /// Notes that these bytes of a line are no entry, if they are more than white space.
    fn leave_out(&mut self, line: &lines::Line, bytes: Range<u64>) {
        let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        if line.text.iter().take(length).all(u8::is_ascii_whitespace) {
            return;
        }
        self.damaged.push(line.number);
        self.holes.push(bytes);
    }

    /// Which lines are damaged, and what happens about it: `things` are asked again.
    pub(crate) fn damage_note(&self, things: &str) -> Option<String> {
        let shown: Vec<String> = self.damaged.iter().take(8).map(usize::to_string).collect();
        let rest = self.damaged.len() - shown.len();
        let lines = match (shown.as_slice(), rest) {
            ([], _) => return None,
            ([one], 0) => format!("line {one}"),
            (_, 0) => format!("lines {}", shown.join(", ")),
            _ => format!("lines {} and {rest} more", shown.join(", ")),
        };
        Some(format!(
            "{lines} of {} cut off or damaged; what is damaged is left out, and its {things} are asked again",
            self.path.display()
        ))
    }

    /// Leaves damaged lines out of the file: other programs read it too.
    fn mend(&mut self) -> Result<()> {
        if self.holes.is_empty() {
            return Ok(());
        }
        let mut all = Vec::new();
        let mut file = self.file.file();
        file.rewind()
            .and_then(|()| file.take(self.whole).read_to_end(&mut all))
            .map_err(|error| self.failed(&error))?;
        let mut kept = Vec::with_capacity(all.len());
        let (mut at, mut rest) = (0, all.as_slice());
        for hole in self.holes.drain(..) {
            let (before, from) = rest.split_at(usize::try_from(hole.start - at).unwrap_or(0));
            kept.extend(before);
            rest = &from[usize::try_from(hole.end - hole.start).unwrap_or(0)..];
            at = hole.end;
        }
        kept.extend(rest);
        if let Some(lock) = target::rewrite("-o", &self.path, &self.file, &kept)? {
            self.file = lock;
        }
        self.whole = kept.len() as u64;
        Ok(())
    }

    /// Forgets what follows the last whole line.
    fn cut(&self) -> io::Result<()> {
        let mut file = self.file.file();
        if file.metadata()?.len() != self.whole {
            file.set_len(self.whole)?;
        }
        file.seek(SeekFrom::Start(self.whole))?;
        if self.lacks_break { file.write_all(b"\n") } else { Ok(()) }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::output(&format!("-o {}", self.path.display()), error)
    }
}

fn recognised<T: Entry>(line: &lines::Line) -> Found<T> {
    let start = line.text.iter().take_while(|byte| is_blank(**byte)).count();
    let end = trimmed_end(&line.text).len();
    let text = line.text.get(start..end).unwrap_or_default();
    // A file that was cut inside the mark before its text has only a part of it.
    if text.is_empty() || line.number == 1 && !line.is_ended && b"\xef\xbb".starts_with(text) {
        return Found::Nothing;
    }
    let error = match plain::object::<T>(text) {
        Ok(entry) => return Found::Entry(Box::new(entry), start..end),
        Err(error) => error,
    };
    // Where a file was cut and another one joined to it, a whole line follows the cut one.
    let last =
        text.windows(T::BEGINS.len()).rposition(|part| *part == *T::BEGINS).unwrap_or_default();
    let cut = if last == 0 { text } else { trimmed_end(&text[..last]) };
    // Other programs put a space behind the colon.
    let ours = cut
        .strip_prefix(T::BEGINS)
        .map_or(T::BEGINS.starts_with(cut), |rest| !rest.starts_with(b" "));
    if !ours || serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return Found::Foreign(error);
    }
    plain::object(&text[last..])
        .map_or(Found::Damaged, |entry| Found::Entry(Box::new(entry), start + last..end))
}

/// A line without white space at its end, and without the zeros that a power cut leaves.
fn trimmed_end(text: &[u8]) -> &[u8] {
    &text[..text.len() - text.iter().rev().take_while(|byte| is_blank(**byte)).count()]
}

fn is_blank(byte: u8) -> bool {
    byte == 0 || byte.is_ascii_whitespace()
}

#[cfg(test)]
impl Journal {
    /// The lines that are damaged.
    pub(crate) fn damaged(&self) -> &[usize] {
        &self.damaged
    }

    /// Has new lines go into another file.
    pub(crate) fn write_to(&mut self, file: std::fs::File) {
        self.file = Lock::on(file).ok().flatten().expect("nobody else has it");
    }
}
