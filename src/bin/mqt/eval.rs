//! `mqt eval`: a file of questions in LLaVA's format, answered with several m, resumable.

use crate::args::EvalArgs;
use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::{Failure, Result};
use crate::ledger::Ledger;
use crate::output::{check_target, write_whole};
use crate::picture::Picture;
use crate::plot;
use crate::score::{Summary, table};
use indicatif::ProgressBar;
use mqt::budget::Budget;
use mqt::image::Reading;
use mqt::model::Arithmetic;
use mqt::session::FinishReason;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Codes that concern one question: the others are still asked. A missing picture, and a question too long.
const ONE_QUESTION: [u8; 2] = [6, 8];

/// A line of the questions' file; other fields are allowed.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    /// A number or a string.
    pub(crate) question_id: Value,
    image: String,
    pub(crate) text: String,
    /// The right answer, if it is known.
    pub(crate) answer: Option<Value>,
    /// Questions of one kind are scored together.
    pub(crate) kind: Option<String>,
}

pub(crate) fn run(args: EvalArgs, console: &Console) -> Result<()> {
    let questions = read_questions(&args.questions)?;
    let questions = args.shard.map_or(Ok(questions.iter().collect()), |shard| shard.of(&questions))?;
    if !args.images.is_dir() {
        return Err(Failure::usage(format!("--images {}: there is no such folder", args.images.display())));
    }
    check_target("-o", &args.output)?;
    for (flag, path) in [("--summary", &args.summary), ("--plot", &args.plot)] {
        path.as_ref().map_or(Ok(()), |path| check_target(flag, path))?;
    }
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
    for question in questions.iter().copied() {
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
    console.line(table(&questions, &tokens, &ledger.answers).trim_end());
    let summary = Summary::new(&ledger, &questions, &tokens);
    if let Some(path) = &args.summary {
        let json = serde_json::to_string_pretty(&summary).expect("our records have only string keys") + "\n";
        write_whole(path, json.as_bytes())?;
    }
    if let Some(path) = &args.plot {
        write_whole(path, plot::svg(&summary).as_bytes())?;
    }
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
        ledger.write(question, m, record)?;
        bar.inc(1);
    }
    Ok(())
}

/// `--shard i/n`: every n-th question, from the i-th on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    index: usize,
    count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Shard, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if index >= 1 && index <= count => Ok(Shard { index, count }),
            _ => Err("give i/n with i from 1 to n, such as 2/8".into()),
        }
    }
}

impl Shard {
    fn of(self, questions: &[Question]) -> Result<Vec<&Question>> {
        let mine: Vec<_> = questions.iter().skip(self.index - 1).step_by(self.count).collect();
        let Shard { index, count } = self;
        if mine.is_empty() { Err(Failure::usage(format!("--shard {index}/{count}: there are fewer questions than shards"))) } else { Ok(mine) }
    }
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
