//! `mqt eval`: a file of questions in LLaVA's format, answered with several m, resumable.

use crate::args::EvalArgs;
use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::{Failure, Result};
use crate::output::check_target;
use crate::picture::Picture;
use crate::score::{Answers, summary};
use indicatif::ProgressBar;
use mqt::budget::Budget;
use mqt::image::Reading;
use mqt::model::Arithmetic;
use mqt::session::FinishReason;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Codes that concern one question: the others are still asked. A missing picture, and a question too long.
const ONE_QUESTION: [u8; 2] = [6, 8];

/// A line of the questions' file; other fields are allowed.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    /// A number or a string.
    pub(crate) question_id: Value,
    image: String,
    text: String,
    /// The right answer, if it is known.
    pub(crate) answer: Option<Value>,
    /// Questions of one kind are scored together.
    pub(crate) kind: Option<String>,
}

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
}

pub(crate) fn run(args: EvalArgs, console: &Console) -> Result<()> {
    let questions = read_questions(&args.questions)?;
    if !args.images.is_dir() {
        return Err(Failure::usage(format!("--images {}: there is no such folder", args.images.display())));
    }
    check_target("-o", &args.output)?;
    if args.output.canonicalize().is_ok_and(|output| args.questions.canonicalize().is_ok_and(|questions| questions == output)) {
        return Err(Failure::usage("-o is the file of the questions; choose another"));
    }
    let mut ledger = Ledger::open(&args.output)?;
    let mut conversation = Conversation::start(&args.model, Arithmetic::Exact, &args.tokens, console)?;
    let model = conversation.model();
    let mut tokens = if args.tokens.is_empty() { vec![model.config().m_max() as u64] } else { args.tokens.clone() };
    tokens.sort_unstable();
    tokens.dedup();
    ledger.begin(format!("{}-{}", model.name(), model.weights_name()))?;

    let before = ledger.answers.len();
    let mut first_failure = None;
    let bar = console.steps("answering", questions.len() * tokens.len());
    for question in &questions {
        let open: Vec<u64> = tokens.iter().copied().filter(|&m| !ledger.has(question, m)).collect();
        bar.inc((tokens.len() - open.len()) as u64);
        match answer(&mut conversation, &args, question, &open, &mut ledger, &bar) {
            Ok(()) => {}
            Err(failure) if ONE_QUESTION.contains(&failure.code) => {
                let Failure { code, message } = failure.about(&format!("question {}", question.question_id));
                bar.suspend(|| console.error(&message.unwrap_or_default()));
                first_failure.get_or_insert(code);
            }
            Err(failure) => {
                bar.finish_and_clear();
                console.note(&format!("{} answers are in {}; the same command goes on from there", ledger.answers.len(), args.output.display()));
                return Err(failure);
            }
        }
    }
    bar.finish_and_clear();
    console.line(&format!("{} answers written to {}, {before} were there", ledger.answers.len() - before, args.output.display()));
    console.line(summary(&questions, &tokens, &ledger.answers).trim_end());
    first_failure.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

/// Asks one question with every m that has no answer yet; the picture is looked at once.
fn answer(talk: &mut Conversation, args: &EvalArgs, question: &Question, open: &[u64], ledger: &mut Ledger, bar: &ProgressBar) -> Result<()> {
    if open.is_empty() {
        return Ok(());
    }
    let picture = Picture::find(args.images.join(&question.image).as_os_str())?;
    talk.look(&picture, Reading::Reference)?;
    for &m in open {
        talk.session.start_anew();
        let record = talk.ask(args.answer.request(&question.text, Budget::Fixed(m)), &mut |_| {})?;
        // Half an answer is none: it would be scored.
        if record.finish_reason == FinishReason::Cancelled {
            return Err(Failure::interrupted());
        }
        ledger.write(question, m, record.answer)?;
        bar.inc(1);
    }
    Ok(())
}

fn read_questions(path: &Path) -> Result<Vec<Question>> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| Failure::usage(format!("the questions {shown} cannot be read: {error}")))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut seen = HashSet::new();
    let mut questions = Vec::new();
    for (i, line) in lines {
        let wrong = |why: &str| Failure::usage(format!("{shown}, line {}: {why}", i + 1));
        let question: Question = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
        if !seen.insert(question.question_id.to_string()) {
            return Err(wrong(&format!("question_id {} was there before", question.question_id)));
        }
        questions.push(question);
    }
    if questions.is_empty() { Err(Failure::usage(format!("{shown} holds no questions"))) } else { Ok(questions) }
}

/// The answers' file: what it holds, and a way to add to it.
struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; what follows was cut off.
    whole: u64,
    /// The model that the file's answers are from.
    model_id: Option<String>,
    answers: Answers,
}

impl Ledger {
    /// Reads what an earlier run has left; a last line that was cut off is forgotten.
    fn open(path: &Path) -> Result<Ledger> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::usage(format!("-o {shown} cannot be read: {error}"))),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let (mut model_id, mut answers) = (None, Answers::new());
        for (i, line) in text[..whole].lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why: String| Failure::usage(format!("-o {shown}, line {}: {why}; these are not answers of mqt eval", i + 1));
            let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            if model_id.get_or_insert_with(|| line.model_id.clone()) != &line.model_id {
                return Err(wrong("the answers are from different models".into()));
            }
            answers.insert((line.question_id.to_string(), line.metadata.image_tokens), line.text);
        }
        let tail = &text[whole..];
        // Only a beginning of our own line is one that an interruption may have cut off.
        let ours = "{\"question_id\":";
        if !(tail.is_empty() || tail.starts_with(ours) || ours.starts_with(tail)) {
            return Err(Failure::usage(format!("-o {shown}: its last line is not an answer of mqt eval; choose another file")));
        }
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|error| Failure::usage(format!("-o {shown} cannot be written: {error}")))?;
        Ok(Ledger { path: path.to_owned(), file, whole: whole as u64, model_id, answers })
    }

    /// Says whose answers follow: a file holds one model's.
    fn begin(&mut self, model_id: String) -> Result<()> {
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

    fn has(&self, question: &Question, m: u64) -> bool {
        self.answers.contains_key(&(question.question_id.to_string(), m))
    }

    fn write(&mut self, question: &Question, m: u64, text: String) -> Result<()> {
        let model_id = self.model_id.clone().expect("`begin` comes before `write`");
        let id = question.question_id.to_string();
        let digest = Sha256::digest(format!("{model_id} {m} {id}"));
        let line = Line {
            question_id: question.question_id.clone(),
            prompt: question.text.clone(),
            text: text.clone(),
            answer_id: digest.iter().take(11).map(|byte| format!("{byte:02x}")).collect(),
            model_id,
            metadata: Metadata { image_tokens: m },
        };
        let json = serde_json::to_string(&line).expect("our records have only string keys") + "\n";
        self.file.write_all(json.as_bytes()).map_err(|error| Failure::output(&self.path.display().to_string(), &error))?;
        self.answers.insert((id, m), text);
        Ok(())
    }
}
