//! `mqt ask` about many pictures, with answers that go into files: all of them into one (`-o`), or
//! each beside its picture (`--sidecar`). The same command continues where an earlier run ended.

use crate::args::AskArgs;
use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::{Failure, Result};
use crate::form::Form;
use crate::journal::{Entry, Journal};
use crate::known::Known;
use crate::picture::{Picture, has_scheme};
use crate::target::{self, keep_apart};
use crate::words::counted;
use mqt::budget::Budget;
use mqt::grammar::Grammar;
use mqt::image::Reading;
use mqt::model::Arithmetic;
use mqt::session::{Answer, FinishReason};
use mqt::text::TemplateChoice;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Codes that concern one picture: the others are still asked about. It is missing or no picture,
/// or too much for the context.
const ONE_PICTURE: [u8; 2] = [6, 8];

/// What answers depend on beside picture and question, by the names of the flags.
type Settings = Map<String, Value>;

/// A line of an earlier run, as far as it is read back.
#[derive(Deserialize)]
struct Line {
    image: String,
    question: String,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    error: Option<String>,
    settings: Settings,
}

impl Entry for Line {
    const BEGINS: &'static [u8] = b"{\"schema\":\"mqt.";
    const WHAT: &'static str = "answers of mqt ask -o";
}

/// An answer's line: its record, as `--json` prints it, and what it depends on.
#[derive(Serialize)]
struct Answered<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    settings: &'a Settings,
}

/// The line of a picture without an answer.
#[derive(Serialize)]
#[serde(tag = "schema", rename = "mqt.failure/1")]
struct Failed<'a> {
    image: &'a str,
    question: &'a str,
    error: &'a str,
    exit_code: u8,
    settings: &'a Settings,
}

/// What earlier runs have left.
#[derive(Default)]
struct Past {
    /// Answers, by picture and question.
    answers: HashMap<(String, String), String>,
    /// Failures that are on record already.
    errors: HashSet<(String, String, String)>,
    settings: Option<Settings>,
}

impl Past {
    fn take(&mut self, line: Line) -> std::result::Result<(), String> {
        if *self.settings.get_or_insert_with(|| line.settings.clone()) != line.settings {
            return Err("the answers have different settings".into());
        }
        match (line.answer, line.error) {
            (Some(answer), _) => {
                self.answers.insert((line.image, line.question), answer);
            }
            (None, Some(error)) => {
                self.errors.insert((line.image, line.question, error));
            }
            (None, None) => return Err("it has neither an answer nor an error".into()),
        }
        Ok(())
    }
}

/// A run over pictures.
struct Batch<'a> {
    args: &'a AskArgs,
    question: &'a str,
    conversation: Conversation,
    budget: Budget,
    grammar: Option<Grammar>,
    journal: Option<Journal>,
    past: Past,
    settings: Settings,
    console: &'a Console,
    asked: usize,
    /// Files beside pictures: written, and left as they were.
    beside: (usize, usize),
}

/// Asks about every picture that has no answer yet.
pub(crate) fn run(
    args: &AskArgs,
    question: &str,
    form: Option<&Form>,
    console: &Console,
) -> Result<()> {
    let names = names(args)?;
    check_sidecars(args, &names)?;
    let mut past = Past::default();
    let mut journal = None;
    if let Some(path) = &args.output {
        keep_output_apart(args, path, &names)?;
        journal = Some(Journal::open(path, |line| past.take(line))?);
    }
    if let Some(note) = journal.as_ref().and_then(|journal| journal.damage_note("pictures")) {
        console.note(&note);
    }
    let budget = args.budget.budget();
    let fixed: Vec<u64> = if let Budget::Fixed(m) = budget { vec![m] } else { Vec::new() };
    let known = Known { fixed: &fixed, select: args.answer.select, ..Known::default() };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Fast, known, console)?;
    conversation.open(&args.opening)?;
    let grammar = form.map(|form| form.grammar(conversation.model())).transpose()?;
    let settings = settings(args, form, &conversation);
    if let Some(journal) = &mut journal {
        check_settings(journal.path(), past.settings.as_ref(), &settings)?;
        journal.begin()?;
    }
    let mut batch = Batch {
        args,
        question,
        conversation,
        budget,
        grammar,
        journal,
        past,
        settings,
        console,
        asked: 0,
        beside: (0, 0),
    };
    batch.ask_all(&names)
}

impl Batch<'_> {
    fn ask_all(&mut self, names: &[String]) -> Result<()> {
        let mut first_failure = None;
        let bar = self.console.steps("answering", names.len());
        for name in names {
            match self.ask(name) {
                Ok(()) => {}
                Err(failure) if ONE_PICTURE.contains(&failure.code) => {
                    let message = failure.message.unwrap_or_default();
                    bar.suspend(|| self.console.error(&message));
                    self.record(name, &message, failure.code)?;
                    first_failure.get_or_insert(failure.code);
                }
                Err(failure) => {
                    bar.finish_and_clear();
                    self.console.note(&format!(
                        "{} written; the same command goes on from there",
                        self.written()
                    ));
                    return Err(failure);
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.console.line(&format!("{} written{}", self.written(), self.there()));
        first_failure.map_or(Ok(()), |code| Err(Failure::reported(code)))
    }

    fn ask(&mut self, name: &str) -> Result<()> {
        let sidecar = self.args.sidecar.as_deref().map(|ending| beside(name, ending));
        let is_left = sidecar.as_deref().is_some_and(is_there);
        self.beside.1 += usize::from(is_left);
        let known = self.past.answers.get(&(name.to_owned(), self.question.to_owned()));
        let text = match known {
            Some(text) => text.clone(),
            // Somebody has written a text for it.
            None if self.journal.is_none() && is_left => return Ok(()),
            None => self.answer(name)?,
        };
        let Some(path) = sidecar.filter(|_| !is_left) else { return Ok(()) };
        match target::create_new("--sidecar", &path, format!("{text}\n").as_bytes()) {
            Ok(()) => self.beside.0 += 1,
            // Another run was faster.
            Err(_) if is_there(&path) => self.beside.1 += 1,
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Asks about a picture, and puts its answer on record.
    fn answer(&mut self, name: &str) -> Result<String> {
        let talk = &mut self.conversation;
        let picture = Picture::find(name.as_ref())?;
        talk.session.start_anew();
        talk.look(&picture, Reading::People)?;
        let config = talk.model().config();
        let mut request = self.args.answer.request(self.question, self.budget.clone(), config);
        request.grammar.clone_from(&self.grammar);
        let answer = talk.ask(request, &mut |_| {}).map_err(|failure| failure.about(name))?;
        if answer.finish_reason == FinishReason::Cancelled {
            return Err(Failure::interrupted());
        }
        if let Some(journal) = &self.journal {
            journal.add(&Answered { answer: &answer, settings: &self.settings })?;
        }
        self.asked += 1;
        Ok(answer.text)
    }

    /// Puts on record that there is no answer, once.
    fn record(&mut self, image: &str, error: &str, exit_code: u8) -> Result<()> {
        let (question, settings) = (self.question, &self.settings);
        let key = (image.to_owned(), question.to_owned(), error.to_owned());
        match &self.journal {
            Some(journal) if !self.past.errors.contains(&key) => {
                journal.add(&Failed { image, question, error, exit_code, settings })
            }
            _ => Ok(()),
        }
    }

    fn written(&self) -> String {
        let answers = counted(self.asked, "answer");
        match (&self.journal, &self.args.sidecar) {
            (Some(journal), None) => format!("{answers} to {}", journal.path().display()),
            (Some(journal), Some(ending)) => {
                let files = counted(self.beside.0, "file");
                format!("{answers} to {}, {files} {ending}", journal.path().display())
            }
            _ => counted(self.beside.0, "file"),
        }
    }

    fn there(&self) -> String {
        let mut text = String::new();
        if self.journal.is_some() {
            text = format!(", {} there before", counted(self.past.answers.len(), "answer"));
        }
        if self.beside.1 > 0 {
            text += &format!(", {} left alone", counted(self.beside.1, "file"));
        }
        text
    }
}

/// The pictures, each once, in their order.
fn names(args: &AskArgs) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for word in &args.words {
        let is_url = |name: &str| has_scheme(name, "data:") || has_scheme(name, "file:");
        let is_file = |name: &&str| *name != "-" && !is_url(name);
        let name = word.to_str().filter(is_file);
        let Some(name) = name else {
            let shown: String = word.to_string_lossy().chars().take(40).collect();
            return Err(Failure::usage(format!(
                "{shown}: -o and --sidecar take pictures that are files, by names in Unicode"
            )));
        };
        if seen.insert(name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Refuses an ending that is none, and two pictures with one file beside them.
fn check_sidecars(args: &AskArgs, names: &[String]) -> Result<()> {
    let Some(ending) = &args.sidecar else { return Ok(()) };
    let is_one = ending.len() > 1 && ending.starts_with('.') && !ending.contains(['/', '\\']);
    if !is_one {
        let why = "is no ending of a file's name; give one such as .txt";
        return Err(Failure::usage(format!("--sidecar {ending} {why}")));
    }
    let mut seen: HashMap<PathBuf, &str> = HashMap::new();
    for name in names {
        if let Some(other) = seen.insert(beside(name, ending), name) {
            return Err(Failure::usage(format!(
                "--sidecar: {other} and {name} would have one file, {}; ask about them apart",
                beside(name, ending).display()
            )));
        }
    }
    Ok(())
}

/// The file beside a picture: its name with another ending.
fn beside(name: &str, ending: &str) -> PathBuf {
    Path::new(name).with_extension(&ending[1..])
}

/// Whether there is something of that name, if only a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The output is none of the pictures, and no file of the model.
fn keep_output_apart(args: &AskArgs, output: &Path, names: &[String]) -> Result<()> {
    let model = args.model.files();
    let pictures = names.iter().map(|name| ("one of the pictures", Path::new(name)));
    let model = model.iter().map(|path| ("a file of the model", path.as_path()));
    keep_apart(&[("-o", output)], &pictures.chain(model).collect::<Vec<_>>())
}

/// Everything that answers depend on, beside picture and question.
fn settings(args: &AskArgs, form: Option<&Form>, conversation: &Conversation) -> Settings {
    let model = conversation.model();
    let mut settings = args.answer.settings(model.config());
    settings["model"] = format!("{}-{}", model.name(), model.weights_name()).into();
    settings["sha256"] = model.sha256().into();
    settings["arithmetic"] = json!(model.arithmetic());
    settings["tokens"] = match args.budget.budget() {
        Budget::Fixed(m) => m.into(),
        _ => json!({"target_ms": args.budget.target_ms()}),
    };
    if let Some(TemplateChoice::Named(template)) = &args.model.template {
        settings["template"] = template.name.as_str().into();
    }
    if let Some(system) = &args.opening.system {
        settings["system"] = system.as_str().into();
    }
    if let Some(form) = form {
        settings["form"] = form.name().into();
    }
    if let Value::Object(settings) = settings { settings } else { Settings::default() }
}

/// A file holds answers with the same settings alone.
fn check_settings(path: &Path, earlier: Option<&Settings>, now: &Settings) -> Result<()> {
    let Some(earlier) = earlier else { return Ok(()) };
    let names = now.keys().chain(earlier.keys());
    let Some(name) = names.into_iter().find(|name| now.get(*name) != earlier.get(*name)) else {
        return Ok(());
    };
    let shown = |settings: &Settings| match settings.get(name) {
        None => "none".into(),
        Some(Value::Object(budget)) if budget.contains_key("target_ms") => {
            format!("chosen for a first token within {} ms", budget["target_ms"])
        }
        Some(value) => mqt::internals::untrusted::cut(&value.to_string(), 80),
    };
    let what = if name == "tokens" { "image tokens" } else { name };
    Err(Failure::usage(format!(
        "-o {} holds answers with {what} {}, and this is {what} {}; choose another file",
        path.display(),
        shown(earlier),
        shown(now)
    )))
}
