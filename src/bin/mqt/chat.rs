//! `mqt chat`: a conversation about pictures, from a terminal or line by line from stdin.

use crate::answer::{self, Style};
use crate::args::{self, ChatArgs, Tokens};
use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::{Failure, Result};
use crate::help::CHAT_COMMANDS;
use crate::known::Known;
use crate::lines;
use crate::output::Output;
use crate::picture::{Picture, has_scheme};
use crate::typed;
use crate::words;
use mqt::budget::{self, Budget};
use mqt::image::Reading;
use mqt::model::Arithmetic;
use mqt::session::Answer;
use rustyline::DefaultEditor;
use rustyline::config::{Behavior, Config};
use rustyline::error::ReadlineError;
use std::ffi::OsString;
use std::io::{self, IsTerminal};

pub(crate) fn run(args: ChatArgs, console: &Console) -> Result<()> {
    if args.image == "-" {
        return Err(Failure::usage(
            "chat reads its questions from stdin, so the picture has to be a file",
        ));
    }
    let picture = Picture::find(&args.image)?;
    let budget = args.budget.budget();
    let fixed: Vec<u64> = if let Budget::Fixed(m) = budget { vec![m] } else { Vec::new() };
    let known = Known {
        fixed: &fixed,
        select: args.answer.select,
        first: Some(&picture),
        no_picture_cache: args.opening.no_picture_cache,
    };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Fast, known, console)?;
    conversation.open(&args.opening)?;
    conversation.look(&picture, Reading::People)?;
    let mut lines = Lines::open()?;
    let model = conversation.model();
    if lines.interactive() {
        let (name, adapter, max) = (
            mqt::internals::untrusted::one_line(model.name()),
            &model.adapter().name,
            conversation.session.offer(args.answer.select)?.max,
        );
        console.line(&format!("{name} on {adapter}, up to {max} image tokens; looking at {}. /help lists the commands.", picture.name));
    }
    let mut chat = Chat {
        conversation,
        budget,
        args,
        output: Output::new(),
        console: *console,
        last: None,
        wrong_picture: false,
    };
    let mut first_failure = None;
    while let Some(line) = lines.next()? {
        let done = match line {
            Ok(line) => chat.line(line.trim()),
            Err((failure, line)) => {
                chat.wrong_picture |= is_about_a_picture(&line);
                Err(failure)
            }
        };
        // A person sees that the picture is still the old one.
        chat.wrong_picture &= !lines.interactive();
        match done {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => break,
            Err(failure) if failure.message.is_none() => return Err(failure),
            Err(failure) => {
                console.error(failure.message.as_deref().unwrap_or_default());
                first_failure.get_or_insert(failure.code);
            }
        }
    }
    // A person has seen what went wrong; a script looks at the exit code.
    match first_failure {
        Some(code) if !lines.interactive() => Err(Failure::reported(code)),
        _ => Ok(()),
    }
}

enum Next {
    Go,
    Leave,
}

struct Chat {
    conversation: Conversation,
    budget: Budget,
    args: ChatArgs,
    output: Output,
    console: Console,
    last: Option<Answer>,
    /// Another picture was asked for and did not come: what follows is meant about that one.
    wrong_picture: bool,
}

/// Whether a line that is not understood was perhaps meant as `/image`.
fn is_about_a_picture(line: &str) -> bool {
    line.trim_start().get(..2).is_some_and(|start| start.eq_ignore_ascii_case("/i"))
}

impl Chat {
    fn line(&mut self, line: &str) -> Result<Next> {
        let (word, rest) = line
            .split_once(char::is_whitespace)
            .map_or((line, ""), |(word, rest)| (word, rest.trim()));
        // What follows such a word was perhaps meant as a question: it is not dropped in silence.
        if matches!(word, "/quit" | "/exit" | "/help" | "/new" | "/stats" | "/images")
            && !rest.is_empty()
        {
            return Err(Failure::usage(format!(
                "{word} stands alone on its line; nothing was done"
            )));
        }
        match word {
            "" => {}
            "/quit" | "/exit" => return Ok(Next::Leave),
            "/help" => self.console.line(CHAT_COMMANDS),
            "/m" => self.set_tokens(rest)?,
            "/image" => {
                self.wrong_picture = true;
                self.look(rest)?;
                self.wrong_picture = false;
            }
            "/new" => {
                self.conversation.session.start_anew();
                self.last = None;
                let kept = match self.conversation.images().len() {
                    1 => "the picture stays",
                    _ => "the pictures stay",
                };
                self.console.line(&format!("forgotten; {kept}"));
            }
            "/images" => self.list(),
            "/forget" => self.forget(rest)?,
            "/refine" => {
                self.check_picture()?;
                self.refine(rest)?;
            }
            "/stats" => self.stats(),
            _ if word.starts_with('/') => {
                self.wrong_picture |= is_about_a_picture(word);
                return Err(Failure::usage(format!(
                    "there is no {word}; /help lists the commands, and no question begins with /"
                )));
            }
            _ => {
                self.check_picture()?;
                self.ask(line, self.budget.clone())?;
            }
        }
        Ok(Next::Go)
    }

    fn check_picture(&self) -> Result<()> {
        if !self.wrong_picture {
            return Ok(());
        }
        Err(Failure::usage(
            "the question is not asked, for the picture before it could not be used; give another one with /image",
        ))
    }

    fn ask(&mut self, question: &str, budget: Budget) -> Result<()> {
        let request =
            self.args.answer.request(question, budget, self.conversation.model().config());
        let style = Style::new(self.args.json);
        let asked = answer::show(
            &mut self.conversation,
            request,
            "",
            style,
            &mut self.output,
            &self.console,
        );
        self.last = Some(asked?);
        Ok(())
    }

    fn set_tokens(&mut self, text: &str) -> Result<()> {
        let max = self.max();
        self.budget = match args::tokens(text) {
            Ok(Tokens::Auto) => Budget::Auto { target_ms: self.args.budget.target_ms() },
            Ok(Tokens::Fixed(m)) => {
                budget::fixed(m, &self.offer())?;
                Budget::Fixed(m)
            }
            Err(_) => {
                return Err(Failure::usage(format!("/m takes auto or a number from 1 to {max}")));
            }
        };
        self.console.line(&format!("image tokens: {text}"));
        Ok(())
    }

    fn look(&mut self, path: &str) -> Result<()> {
        if path.is_empty() || path == "-" {
            return Err(Failure::usage("/image takes the name of a picture file"));
        }
        let is_url =
            ["data:", "file:", "http:", "https:"].iter().any(|scheme| has_scheme(path, scheme));
        let picture =
            Picture::find(&if is_url { OsString::from(path) } else { typed::file_name(path) })?;
        self.conversation.look_also(&picture, Reading::People)?;
        let all = match self.conversation.images().len() {
            1 => String::new(),
            n => format!("; it is picture {n}"),
        };
        self.console.line(&format!("looking at {}{all}", picture.name));
        Ok(())
    }

    fn list(&self) {
        let images = self.conversation.images();
        if images.is_empty() {
            self.console.line("there is no picture; /image adds one");
        }
        for (i, name) in images.iter().enumerate() {
            self.console.line(&format!("{}  {name}", i + 1));
        }
    }

    /// Takes one picture away, or all of them and the turns about them.
    fn forget(&mut self, number: &str) -> Result<()> {
        if number.is_empty() {
            self.conversation.forget_all();
            self.last = None;
            self.console.line("all pictures and questions are forgotten; /image adds a picture");
            return Ok(());
        }
        let there = self.conversation.images().len();
        let number = number.parse().ok().filter(|number| (1..=there).contains(number));
        let Some(number) = number else {
            let which = match there {
                0 => "nothing: there is no picture".into(),
                n => format!("a picture's number, 1 to {n}, or nothing for all of them"),
            };
            return Err(Failure::usage(format!("/forget takes {which}")));
        };
        let name = self.conversation.forget(number - 1)?;
        self.console.line(&format!("{name} is forgotten; the questions stay"));
        Ok(())
    }

    /// Asks the last question again with other image tokens, instead of the answer it got.
    fn refine(&mut self, text: &str) -> Result<()> {
        let max = self.max();
        let m = match args::tokens(text) {
            _ if text.is_empty() => max as u64,
            Ok(Tokens::Fixed(m)) => m,
            _ => {
                return Err(Failure::usage(format!(
                    "/refine takes a number from 1 to {max}, or nothing for {max}"
                )));
            }
        };
        let m = budget::fixed(m, &self.offer())?.tokens;
        let Some(last) = &self.last else {
            return Err(Failure::usage("there is no answer to refine yet"));
        };
        // The old answer goes only if the new one has room.
        let images = last.all_image_tokens();
        let more = m * last.images.len();
        let (need, have) = (last.prompt_tokens - images + more + 1, self.context());
        if need > have {
            return Err(mqt::Error::ContextFull { need, have }.into());
        }
        let question = last.question.clone();
        let draft = self.last.take();
        self.conversation.session.take_back();
        let asked = self.ask(&question, Budget::Fixed(m as u64));
        // The session keeps the draft if the refinement fails, and so do we.
        if asked.is_err() && self.last.is_none() {
            self.last = draft;
        }
        asked
    }

    fn stats(&self) {
        let session = &self.conversation.session;
        let known = |value: Option<f64>, text: fn(f64) -> String| {
            value.map_or("not measured yet".into(), text)
        };
        let speed = session.speed();
        let last = self.last.as_ref().map_or("no answer yet".into(), answer::stats);
        self.console.line(&format!(
            "last answer: {last}\nturns: {}\nlooking at a picture: {}\nreading the prompt: {}\nwriting: {}",
            session.turns().len(),
            known(speed.encode_ms, words::time),
            known(speed.prefill_ms_per_token, |ms| format!("{:.1} tokens/s", 1e3 / ms)),
            known(speed.decode_ms_per_token, |ms| format!("{:.1} tokens/s", 1e3 / ms)),
        ));
    }

    fn max(&self) -> usize {
        self.offer().max
    }

    fn offer(&self) -> budget::Offer {
        let config = self.conversation.model().config();
        // The way of choosing was checked before the model was loaded.
        let select = self.args.answer.select.unwrap_or(config.select());
        let session = &self.conversation.session;
        session.offer(Some(select)).unwrap_or_else(|_| config.offer())
    }

    fn context(&self) -> usize {
        self.conversation.session.context()
    }
}

/// Where the questions come from.
enum Lines {
    Terminal(Box<DefaultEditor>),
    Stdin(lines::Lines<io::StdinLock<'static>>),
}

impl Lines {
    fn open() -> Result<Lines> {
        if !io::stdin().is_terminal() {
            return Ok(Lines::Stdin(lines::Lines::new(io::stdin().lock())));
        }
        // stdout is for answers: the prompt goes to the terminal itself.
        let config = Config::builder().behavior(Behavior::PreferTerm).build();
        Ok(Lines::Terminal(Box::new(DefaultEditor::with_config(config).map_err(unreadable)?)))
    }

    fn interactive(&self) -> bool {
        matches!(self, Lines::Terminal(_))
    }

    /// The next line, or what is wrong with it and what can be read of it; `None` at the end.
    fn next(&mut self) -> Result<Option<std::result::Result<String, (Failure, String)>>> {
        match self {
            Lines::Stdin(lines) => {
                let line = lines.next().map_err(|error| {
                    Failure::usage(format!("the questions cannot be read: {error}"))
                })?;
                let text = |line: lines::Line| {
                    let wrong = |error: std::string::FromUtf8Error| {
                        let why = format!("line {} is not UTF-8, so it was not asked", line.number);
                        let readable = String::from_utf8_lossy(error.as_bytes()).into_owned();
                        (Failure::usage(why), readable)
                    };
                    String::from_utf8(line.text).map_err(wrong)
                };
                Ok(line.map(text))
            }
            Lines::Terminal(editor) => loop {
                match editor.readline("> ") {
                    Ok(line) => {
                        // Only a convenience: a line that cannot be remembered is still answered.
                        let _ = editor.add_history_entry(&line);
                        return Ok(Some(Ok(line)));
                    }
                    Err(ReadlineError::Eof) => return Ok(None),
                    Err(ReadlineError::Interrupted) => return Err(Failure::interrupted()),
                    Err(ReadlineError::Signal(_)) => {}
                    Err(error) => return Err(unreadable(error)),
                }
            },
        }
    }
}

fn unreadable(error: ReadlineError) -> Failure {
    Failure::usage(format!("the terminal cannot be read: {error}"))
}
