//! The answers' file of `mqt eval`: what an earlier run left, and a way to add to it.

use crate::eval::Question;
use crate::exact::Id;
use crate::failure::{Failure, Result};
use crate::images::Images;
use crate::journal::{Entry, Journal};
use mqt::internals::plain;
use mqt::session::Answer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

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
    /// m: the image tokens that were used.
    image_tokens: u64,
    /// The m asked for, where the picture gives fewer: answers are told apart by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<u64>,
    /// From the question to the answer's end; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    milliseconds: Option<f64>,
    /// How likely the model held its words, on average: `mean_probability` of `mqt ask --json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean_probability: Option<f64>,
    /// The question's picture; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<Images>,
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
    image: Option<Images>,
    twin: usize,
    /// The m asked for.
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
    /// The image tokens used: a picture may give fewer than were asked for.
    pub(crate) image_tokens: u64,
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

impl Entry for Line {
    const BEGINS: &'static [u8] = b"{\"question_id\":";
    const WHAT: &'static str = "answers of mqt eval";
}

/// The answers' file: what it holds, and a way to add to it. No other mqt writes it meanwhile.
pub(crate) struct Ledger {
    journal: Journal,
    /// The model that the file's answers are from.
    pub(crate) model_id: Option<String>,
    pub(crate) answers: Answers,
}

impl Ledger {
    /// Reads what an earlier run has left; a last line that was cut off is forgotten.
    pub(crate) fn open(path: &Path) -> Result<Ledger> {
        let (mut model_id, mut answers) = (None, Answers::default());
        let journal = Journal::open(path, |line| take(line, &mut model_id, &mut answers))?;
        Ok(Ledger { journal, model_id, answers })
    }

    /// Which lines are damaged, and what happens about it.
    pub(crate) fn damage_note(&self) -> Option<String> {
        self.journal.damage_note("questions")
    }

    /// Says whose answers follow: a file holds one model's.
    pub(crate) fn begin(&mut self, model_id: String) -> Result<()> {
        match &self.model_id {
            Some(earlier) if *earlier != model_id => {
                let path = self.journal.path().display();
                return Err(Failure::usage(format!(
                    "-o {path} holds answers of {earlier}, and this is {model_id}; choose another file"
                )));
            }
            _ => self.model_id = Some(model_id),
        }
        self.journal.begin()
    }

    pub(crate) fn has(&self, question: &Question, m: u64) -> bool {
        self.answers.get(question, m).is_some()
    }

    pub(crate) fn write(&mut self, question: &Question, m: u64, answer: Answer) -> Result<()> {
        let (ms, mean_probability) =
            (answer.answering_ms(), answer.mean_probability.map(f64::from));
        let image_tokens = answer.image_tokens as u64;
        let given = Given { text: answer.text, image_tokens, milliseconds: Some(ms) };
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
                image_tokens: given.image_tokens,
                asked: (m != given.image_tokens).then_some(m),
                milliseconds: given.milliseconds.map(|ms| rounded(ms, 1e3)),
                mean_probability: mean_probability.map(|p| rounded(p, 1e4)),
                image: Some(question.image.clone()),
                twin: question.twin,
            },
        };
        self.journal.add(&line)?;
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
}

/// Takes an answer over.
fn take(
    line: Line,
    model_id: &mut Option<String>,
    answers: &mut Answers,
) -> std::result::Result<(), String> {
    if model_id.get_or_insert_with(|| line.model_id.clone()) != &line.model_id {
        return Err("the answers are from different models".into());
    }
    let Metadata { image_tokens, asked, milliseconds, image, twin, .. } = line.metadata;
    let key = Key {
        id: line.question_id.json().to_owned(),
        prompt: line.prompt,
        image,
        twin,
        m: asked.unwrap_or(image_tokens),
    };
    answers.0.insert(key, Given { text: line.text, image_tokens, milliseconds });
    Ok(())
}

#[cfg(test)]
mod tests;
