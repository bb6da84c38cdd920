//! `mqt eval`: a file of questions in LLaVA's format, answered with several m, resumable.

use crate::args::EvalArgs;
use crate::console::Console;
use crate::conversation::Conversation;
use crate::exact::{Id, Key};
use crate::failure::{Failure, Result};
use crate::images::Images;
use crate::known::Known;
use crate::ledger::Ledger;
use crate::lines::Lines;
use crate::picture::Picture;
use crate::plot;
use crate::score::{Summary, table};
use crate::target::{Target, keep_apart};
use crate::words::counted;
use indicatif::ProgressBar;
use mqt::budget::Budget;
use mqt::image::Reading;
use mqt::internals::plain;
use mqt::model::Arithmetic;
use mqt::session::FinishReason;
use mqt::text::TemplateChoice;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Codes that concern one question: the others are still asked. A missing picture, and a question
/// too long.
const ONE_QUESTION: [u8; 2] = [6, 8];

/// A line of the questions' file; other fields are allowed.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    /// A number or a string.
    pub(crate) question_id: Id,
    /// One picture, or several that the question is about together.
    pub(crate) image: Images,
    pub(crate) text: String,
    /// The right answer, if it is known.
    pub(crate) answer: Option<Key>,
    /// Questions of one kind are scored together.
    pub(crate) kind: Option<String>,
    /// How many questions before it in the file are the same: id, picture and text.
    #[serde(skip)]
    pub(crate) twin: usize,
    /// Whether it is the first in the file with its id and text.
    #[serde(skip)]
    pub(crate) is_first: bool,
}

pub(crate) fn run(args: EvalArgs, console: &Console) -> Result<()> {
    let questions = read_questions(&args.questions)?;
    let questions =
        args.shard.map_or(Ok(questions.iter().collect()), |shard| shard.of(&questions))?;
    if !args.images.is_dir() {
        return Err(Failure::usage(format!(
            "--images {}: there is no such folder",
            args.images.display()
        )));
    }
    keep_outputs_apart(&args, &questions)?;
    let mut ledger = Ledger::open(&args.output)?;
    let open = |flag: &str, path: &Option<PathBuf>| {
        path.as_ref().map(|path| Target::open(flag, path)).transpose()
    };
    let (summary_target, plot_target) =
        (open("--summary", &args.summary)?, open("--plot", &args.plot)?);
    if let Some(note) = ledger.damage_note() {
        console.note(&note);
    }
    let known = Known { fixed: &args.tokens, select: args.answer.select, ..Known::default() };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Exact, known, console)?;
    let model = conversation.model();
    let select = model.config().checked_select(args.answer.select)?;
    let mut tokens = if args.tokens.is_empty() {
        vec![model.config().offer_by(select).max as u64]
    } else {
        args.tokens.clone()
    };
    tokens.sort_unstable();
    tokens.dedup();
    // Answers to tokens that were chosen in another way, or in another prompt, are another model's.
    let own = select == model.config().select();
    let mut way = if own { String::new() } else { format!("-{select}") };
    if let Some(TemplateChoice::Named(template)) = &args.model.template {
        way += &format!("-{}", template.name);
    }
    ledger.begin(format!("{}-{}{way}", model.name(), model.weights_name()))?;

    let before = ledger.answers.len();
    let mut first_failure = None;
    let bar = console.steps("answering", questions.len() * tokens.len());
    for question in questions.iter().copied() {
        let open: Vec<u64> = tokens.iter().copied().filter(|&m| !ledger.has(question, m)).collect();
        bar.inc((tokens.len() - open.len()) as u64);
        match answer(&mut conversation, &args, question, &open, &mut ledger, &bar) {
            Ok(()) => {}
            Err(failure) if ONE_QUESTION.contains(&failure.code) => {
                let Failure { code, message } =
                    failure.about(&format!("question {}", question.question_id));
                bar.suspend(|| console.error(&message.unwrap_or_default()));
                first_failure.get_or_insert(code);
            }
            Err(failure) => {
                bar.finish_and_clear();
                let there = counted(ledger.answers.len(), "answer");
                console.note(&format!(
                    "{} holds {there}; the same command resumes from there",
                    args.output.display()
                ));
                return Err(failure);
            }
        }
    }
    bar.finish_and_clear();
    let written = counted(ledger.answers.len() - before, "answer");
    console.line(&format!("{written} written to {}, {before} there before", args.output.display()));
    console.line(table(&questions, &tokens, &ledger.answers).trim_end());
    let summary = Summary::new(&ledger, &questions, &tokens);
    if let Some(target) = summary_target {
        let json = serde_json::to_string_pretty(&summary)
            .expect("our records have only string keys")
            + "\n";
        target.write(json.as_bytes())?;
    }
    if let Some(target) = plot_target {
        target.write(plot::svg(&summary).as_bytes())?;
    }
    first_failure.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

/// No output is another one, the questions, one of their pictures, or a file of the model.
fn keep_outputs_apart(args: &EvalArgs, questions: &[&Question]) -> Result<()> {
    let optional = [("--summary", &args.summary), ("--plot", &args.plot)];
    let optional = optional.iter().filter_map(|(flag, path)| Some((*flag, path.as_deref()?)));
    let outputs: Vec<(&str, &Path)> =
        [("-o", args.output.as_path())].into_iter().chain(optional).collect();
    let pictures: HashSet<PathBuf> =
        questions.iter().flat_map(|q| q.image.names()).map(|name| args.images.join(name)).collect();
    let model = args.model.files();
    let mut inputs = vec![("the file of the questions", args.questions.as_path())];
    inputs
        .extend(pictures.iter().map(|path| ("a picture that a question is about", path.as_path())));
    inputs.extend(model.iter().map(|path| ("a file of the model", path.as_path())));
    keep_apart(&outputs, &inputs)
}

/// Asks one question with every m that has no answer yet; the picture is looked at once.
fn answer(
    talk: &mut Conversation,
    args: &EvalArgs,
    question: &Question,
    open: &[u64],
    ledger: &mut Ledger,
    bar: &ProgressBar,
) -> Result<()> {
    if open.is_empty() {
        return Ok(());
    }
    let below = |name: &String| Picture::below(&args.images, name, args.allow_outside);
    let pictures: Vec<Picture> = question.image.names().iter().map(below).collect::<Result<_>>()?;
    match &pictures[..] {
        [one] => talk.look(one, Reading::Reference)?,
        several => {
            talk.forget_all();
            for picture in several {
                talk.look_also(picture, Reading::Reference)?;
            }
        }
    }
    for &m in open {
        talk.session.start_anew();
        let request = args.answer.request(&question.text, Budget::Fixed(m), talk.model().config());
        let answer = talk.ask(request, &mut |_| {})?;
        // A cancelled answer is not recorded: it would be scored.
        if answer.finish_reason == FinishReason::Cancelled {
            return Err(Failure::interrupted());
        }
        ledger.write(question, m, answer)?;
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
        let parts =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
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
        if mine.is_empty() {
            Err(Failure::usage(format!(
                "--shard {index}/{count}: there are fewer questions than shards"
            )))
        } else {
            Ok(mine)
        }
    }
}

fn read_questions(path: &Path) -> Result<Vec<Question>> {
    let shown = path.display();
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("the questions {shown} cannot be read: {error}"))
    };
    let file = File::open(path).map_err(|error| unreadable(&plain::system_error(&error)))?;
    if fs::metadata(path).is_ok_and(|data| data.is_dir()) {
        return Err(unreadable(&"it is a folder"));
    }
    let mut lines = Lines::new(BufReader::new(file));
    let mut questions: Vec<Question> = Vec::new();
    // How often each was there: with its picture, and whatever its picture.
    let (mut same, mut alike) = (HashMap::new(), HashSet::new());
    while let Some(line) = lines.next().map_err(|error| unreadable(&error))? {
        if line.text.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |why: String| Failure::usage(format!("{shown}, line {}: {why}", line.number));
        let mut question: Question = plain::object(&line.text).map_err(wrong)?;
        if question.image.names().is_empty() {
            return Err(wrong("image is an empty list".into()));
        }
        let id_and_text = (question.question_id.to_string(), question.text.clone());
        let count = same.entry((id_and_text.clone(), question.image.clone())).or_insert(0);
        question.twin = *count;
        *count += 1;
        question.is_first = alike.insert(id_and_text);
        questions.push(question);
    }
    if questions.is_empty() {
        Err(Failure::usage(format!("{shown} holds no questions")))
    } else {
        Ok(questions)
    }
}
