//! The answers' file of `mqt eval`: what an earlier run left, and a way to add to it.

use crate::eval::Question;
use crate::exact::Id;
use crate::failure::{Failure, Result};
use crate::lines::{self, Lines};
use crate::lock::Lock;
use crate::target;
use mqt::plain;
use mqt::session::Answer;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A line of the answers' file, as LLaVA's own evaluation writes it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    question_id: Id,
    prompt: String,
    text: String,
    answer_id: String,
    model_id: String,
    #[serde(deserialize_with = "metadata")]
    metadata: Metadata,
}

/// An object, and not a list of the same values.
fn metadata<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Metadata, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    plain::object(raw.get().as_bytes()).map_err(serde::de::Error::custom)
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    image_tokens: u64,
    /// From the question to the answer's end; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    milliseconds: Option<f64>,
    /// How likely the model held its words, on average: `mean_probability` of `mqt ask --json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean_probability: Option<f64>,
    /// The question's picture; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// How many questions before this one are the same, picture and all.
    #[serde(default, skip_serializing_if = "is_zero")]
    twin: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Which question an answer is to: published files have many questions under one `question_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// As JSON.
    id: String,
    prompt: String,
    /// `None` in files of earlier versions, which took each id once.
    image: Option<String>,
    twin: usize,
    m: u64,
}

impl Key {
    fn of(question: &Question, m: u64) -> Key {
        let (id, prompt) = (question.question_id.json().to_owned(), question.text.clone());
        Key { id, prompt, image: Some(question.image.clone()), twin: question.twin, m }
    }
}

/// An answer, as far as scoring needs it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) text: String,
    /// What it took, if that was noted.
    pub(crate) milliseconds: Option<f64>,
}

/// All answers there are.
#[derive(Debug, Default)]
pub(crate) struct Answers(HashMap<Key, Given>);

impl Answers {
    /// The answer to a question with m image tokens.
    pub(crate) fn get(&self, question: &Question, m: u64) -> Option<&Given> {
        let key = Key::of(question, m);
        let earlier = || {
            question
                .is_first
                .then(|| self.0.get(&Key { image: None, twin: 0, ..key.clone() }))
                .flatten()
        };
        self.0.get(&key).or_else(earlier)
    }

    pub(crate) fn insert(&mut self, question: &Question, m: u64, given: Given) {
        self.0.insert(Key::of(question, m), given);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The answers' file: what it holds, and a way to add to it. No other mqt writes it meanwhile.
pub(crate) struct Ledger {
    path: PathBuf,
    file: Lock,
    /// Where the next line begins; what follows was cut off.
    whole: u64,
    /// Whether the last line is whole but for its line break.
    lacks_break: bool,
    /// Numbers of the lines in the middle that were cut off, overwritten or joined to another one.
    damaged: Vec<usize>,
    /// Where their bytes are that are no answers.
    holes: Vec<Range<u64>>,
    /// The model that the file's answers are from.
    pub(crate) model_id: Option<String>,
    pub(crate) answers: Answers,
}

/// How our own lines begin: only such a line may have been cut off by an interruption.
const OURS: &[u8] = b"{\"question_id\":";

/// What a line of the file turns out to be.
enum Found {
    Nothing,
    /// An answer, and where in the line it is.
    Answer(Box<Line>, Range<usize>),
    /// One of ours that was cut off, or overwritten with zeros, by whatever ended the program.
    Damaged,
    Foreign(String),
}

impl Ledger {
    /// Reads what an earlier run has left; a last line that was cut off is forgotten.
    pub(crate) fn open(path: &Path) -> Result<Ledger> {
        let file = target::open_to_add("-o", path)?;
        let mut ledger = Ledger {
            path: path.to_owned(),
            file,
            whole: 0,
            lacks_break: false,
            damaged: Vec::new(),
            holes: Vec::new(),
            model_id: None,
            answers: Answers::default(),
        };
        ledger.read()?;
        Ok(ledger)
    }

    fn read(&mut self) -> Result<()> {
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
                    "-o {shown}, line {}: {why}; these are not answers of mqt eval",
                    line.number
                ))
            };
            let found = recognised(&line);
            let mut answer_end = None;
            match found {
                Found::Nothing if line.is_ended && line.text.contains(&0) => {
                    self.leave_out(&line, line.start..lines.position());
                }
                Found::Nothing => {}
                Found::Answer(answer, at) => {
                    self.take(*answer).map_err(wrong)?;
                    self.leave_out(&line, line.start..line.start + at.start as u64);
                    answer_end = Some(line.start + at.end as u64);
                }
                Found::Damaged if line.is_ended => {
                    self.leave_out(&line, line.start..lines.position());
                }
                Found::Damaged => {}
                Found::Foreign(why) if line.is_ended => return Err(wrong(why)),
                Found::Foreign(_) => {
                    return Err(Failure::usage(format!(
                        "-o {shown}: its last line is not an answer of mqt eval; choose another file"
                    )));
                }
            }
            if line.is_ended {
                self.whole = lines.position();
            } else if let Some(end) = answer_end {
                self.whole = end;
                self.lacks_break = true;
            }
        }
    }

    /// Notes that these bytes of a line are no answer, if they are more than white space.
    fn leave_out(&mut self, line: &lines::Line, bytes: Range<u64>) {
        let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        if line.text.iter().take(length).all(u8::is_ascii_whitespace) {
            return;
        }
        self.damaged.push(line.number);
        self.holes.push(bytes);
    }

    /// Which lines are damaged, and what happens about it.
    pub(crate) fn damage_note(&self) -> Option<String> {
        let shown: Vec<String> = self.damaged.iter().take(8).map(usize::to_string).collect();
        let rest = self.damaged.len() - shown.len();
        let lines = match (shown.as_slice(), rest) {
            ([], _) => return None,
            ([one], 0) => format!("line {one}"),
            (_, 0) => format!("lines {}", shown.join(", ")),
            _ => format!("lines {} and {rest} more", shown.join(", ")),
        };
        Some(format!(
            "{lines} of {} cut off or damaged; what is damaged is left out, and its questions are asked again",
            self.path.display()
        ))
    }

    fn take(&mut self, line: Line) -> std::result::Result<(), String> {
        if self.model_id.get_or_insert_with(|| line.model_id.clone()) != &line.model_id {
            return Err("the answers are from different models".into());
        }
        let Metadata { image_tokens, milliseconds, image, twin, .. } = line.metadata;
        let key = Key {
            id: line.question_id.json().to_owned(),
            prompt: line.prompt,
            image,
            twin,
            m: image_tokens,
        };
        self.answers.0.insert(key, Given { text: line.text, milliseconds });
        Ok(())
    }

    /// Says whose answers follow: a file holds one model's.
    pub(crate) fn begin(&mut self, model_id: String) -> Result<()> {
        match &self.model_id {
            Some(earlier) if *earlier != model_id => {
                let path = self.path.display();
                return Err(Failure::usage(format!(
                    "-o {path} holds answers of {earlier}, and this is {model_id}; choose another file"
                )));
            }
            _ => self.model_id = Some(model_id),
        }
        self.mend()?;
        self.cut().map_err(|error| self.failed(&error))
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

    pub(crate) fn has(&self, question: &Question, m: u64) -> bool {
        self.answers.get(question, m).is_some()
    }

    pub(crate) fn write(&mut self, question: &Question, m: u64, answer: Answer) -> Result<()> {
        let (ms, mean_probability) =
            (answer.answering_ms(), answer.mean_probability.map(f64::from));
        let given = Given { text: answer.text, milliseconds: Some(ms) };
        self.add(question, m, given, mean_probability)
    }

    fn add(
        &mut self,
        question: &Question,
        m: u64,
        given: Given,
        mean_probability: Option<f64>,
    ) -> Result<()> {
        let rounded = |v: f64, steps: f64| (v * steps).round() / steps;
        let line = Line {
            question_id: question.question_id.clone(),
            prompt: question.text.clone(),
            text: given.text.clone(),
            answer_id: self.answer_id(question, m),
            model_id: self.model_id.clone().expect("`begin` comes before `write`"),
            metadata: Metadata {
                image_tokens: m,
                milliseconds: given.milliseconds.map(|ms| rounded(ms, 1e3)),
                mean_probability: mean_probability.map(|p| rounded(p, 1e4)),
                image: Some(question.image.clone()),
                twin: question.twin,
            },
        };
        let json = serde_json::to_string(&line).expect("our records have only string keys") + "\n";
        let mut file = self.file.file();
        file.write_all(json.as_bytes()).map_err(|error| self.failed(&error))?;
        self.answers.insert(question, m, given);
        Ok(())
    }

    /// 22 hexadecimal digits: the same for the same model, question and m, different for any other.
    fn answer_id(&self, question: &Question, m: u64) -> String {
        let Key { id, prompt, image, twin, m } = Key::of(question, m);
        let model_id = self.model_id.as_deref().unwrap_or_default();
        let what = serde_json::json!([model_id, m, id, prompt, image, twin]).to_string();
        Sha256::digest(what).iter().take(11).map(|byte| format!("{byte:02x}")).collect()
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::output(&format!("-o {}", self.path.display()), error)
    }
}

fn recognised(line: &lines::Line) -> Found {
    let start = line.text.iter().take_while(|byte| is_blank(**byte)).count();
    let end = trimmed_end(&line.text).len();
    let text = line.text.get(start..end).unwrap_or_default();
    // A file that was cut inside the mark before its text has only a part of it.
    if text.is_empty() || line.number == 1 && !line.is_ended && b"\xef\xbb".starts_with(text) {
        return Found::Nothing;
    }
    let error = match plain::object::<Line>(text) {
        Ok(answer) => return Found::Answer(Box::new(answer), start..end),
        Err(error) => error,
    };
    // Where a file was cut and another one joined to it, a whole line follows the cut one.
    let last = text.windows(OURS.len()).rposition(|part| part == OURS).unwrap_or_default();
    let cut = if last == 0 { text } else { trimmed_end(&text[..last]) };
    // Other programs put a space behind the colon.
    let ours = cut.strip_prefix(OURS).map_or(OURS.starts_with(cut), |rest| !rest.starts_with(b" "));
    if !ours || serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return Found::Foreign(error);
    }
    plain::object(&text[last..])
        .map_or(Found::Damaged, |answer| Found::Answer(Box::new(answer), start + last..end))
}

/// A line without white space at its end, and without the zeros that a power cut leaves.
fn trimmed_end(text: &[u8]) -> &[u8] {
    &text[..text.len() - text.iter().rev().take_while(|byte| is_blank(**byte)).count()]
}

fn is_blank(byte: u8) -> bool {
    byte == 0 || byte.is_ascii_whitespace()
}

#[cfg(test)]
mod tests;
