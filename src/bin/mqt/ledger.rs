//! The answers' file of `mqt eval`: what an earlier run left, and a way to add to it.

use crate::answer::Record;
use crate::eval::Question;
use crate::failure::{Failure, Result};
use crate::score::Answers;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A line of the answers' file, as LLaVA's own evaluation writes it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    question_id: Value,
    prompt: String,
    text: String,
    answer_id: String,
    model_id: String,
    metadata: Metadata,
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
}

/// (`question_id` as JSON, m) → milliseconds it took to answer.
pub(crate) type Times = HashMap<(String, u64), f64>;

/// The answers' file: what it holds, and a way to add to it.
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; what follows was cut off.
    whole: u64,
    /// The model that the file's answers are from.
    pub(crate) model_id: Option<String>,
    pub(crate) answers: Answers,
    pub(crate) times: Times,
}

impl Ledger {
    /// Reads what an earlier run has left; a last line that was cut off is forgotten.
    pub(crate) fn open(path: &Path) -> Result<Ledger> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::usage(format!("-o {shown} cannot be read: {error}"))),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let (mut model_id, mut answers, mut times) = (None, Answers::new(), Times::new());
        for (i, line) in text[..whole].lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why: String| Failure::usage(format!("-o {shown}, line {}: {why}; these are not answers of mqt eval", i + 1));
            let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            if model_id.get_or_insert_with(|| line.model_id.clone()) != &line.model_id {
                return Err(wrong("the answers are from different models".into()));
            }
            let key = (line.question_id.to_string(), line.metadata.image_tokens);
            if let Some(ms) = line.metadata.milliseconds {
                times.insert(key.clone(), ms);
            }
            answers.insert(key, line.text);
        }
        let tail = &text[whole..];
        // Only a beginning of our own line is one that an interruption may have cut off.
        let ours = "{\"question_id\":";
        if !(tail.is_empty() || tail.starts_with(ours) || ours.starts_with(tail)) {
            return Err(Failure::usage(format!("-o {shown}: its last line is not an answer of mqt eval; choose another file")));
        }
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|error| Failure::usage(format!("-o {shown} cannot be written: {error}")))?;
        Ok(Ledger { path: path.to_owned(), file, whole: whole as u64, model_id, answers, times })
    }

    /// Says whose answers follow: a file holds one model's.
    pub(crate) fn begin(&mut self, model_id: String) -> Result<()> {
        match &self.model_id {
            Some(earlier) if *earlier != model_id => {
                let path = self.path.display();
                Err(Failure::usage(format!("-o {path} holds answers of {earlier}, and this is {model_id}; choose another file")))
            }
            _ => {
                self.model_id = Some(model_id);
                self.file.set_len(self.whole).map_err(|error| Failure::output(&self.path.display().to_string(), &error))
            }
        }
    }

    pub(crate) fn has(&self, question: &Question, m: u64) -> bool {
        self.answers.contains_key(&(question.question_id.to_string(), m))
    }

    pub(crate) fn write(&mut self, question: &Question, m: u64, record: Record) -> Result<()> {
        let (ms, mean_probability) = (record.answering_ms(), record.mean_probability.map(f64::from));
        let text = record.answer;
        let rounded = |v: f64, steps: f64| (v * steps).round() / steps;
        let model_id = self.model_id.clone().expect("`begin` comes before `write`");
        let id = question.question_id.to_string();
        let digest = Sha256::digest(format!("{model_id} {m} {id}"));
        let line = Line {
            question_id: question.question_id.clone(),
            prompt: question.text.clone(),
            text: text.clone(),
            answer_id: digest.iter().take(11).map(|byte| format!("{byte:02x}")).collect(),
            model_id,
            metadata: Metadata { image_tokens: m, milliseconds: Some(rounded(ms, 1e3)), mean_probability: mean_probability.map(|p| rounded(p, 1e4)) },
        };
        let json = serde_json::to_string(&line).expect("our records have only string keys") + "\n";
        self.file.write_all(json.as_bytes()).map_err(|error| Failure::output(&self.path.display().to_string(), &error))?;
        self.times.insert((id.clone(), m), ms);
        self.answers.insert((id, m), text);
        Ok(())
    }
}
