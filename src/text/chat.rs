//! A checkpoint's own chat template, rendered once, when the checkpoint is opened: cut at marks in
//! the places of picture, questions and answers, it gives the pieces of every prompt.
//!
//! Upstream: `apply_chat_template` of transformers, whose Jinja trims blocks and knows `generation`
//! tags. A template is a stranger's program: its instructions and the bytes it makes are counted.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, State, Value, context};

use super::Tokenizer;
use super::pieces::{Pieces, SystemPieces};
use super::spans::{Span, spans};
use crate::untrusted::{cut, limits};

/// The longest template, in bytes: 35 000 signs before a number overflow the parser's stack.
const MOST_BYTES: usize = 16 << 10;
/// What one rendering may use: an instruction costs 1, so do 64 bytes.
const FUEL: u64 = 100_000;
/// How deep macros and includes may call each other.
const DEPTH: usize = 50;

/// Marks in the places of what people and models say: characters of no language.
const QUESTIONS: [&str; 3] = ["\u{E0F1}", "\u{E0F2}", "\u{E0F3}"];
const ANSWERS: [&str; 2] = ["\u{E0F4}", "\u{E0F5}"];
const SYSTEM: &str = "\u{E0F6}";

/// The names of special tokens that a template may ask for.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Written where a picture is.
    pub image: String,
    /// `bos_token`, `eos_token` and the like, with their texts.
    pub tokens: Vec<(String, String)>,
}

/// How a message holds its text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// A list of parts; the template writes the picture's name where one is.
    Parts,
    /// One text, with the picture's name and a newline in front.
    Text,
}

/// The pieces of a chat template; the error is the problem in words.
pub fn pieces(source: &str, names: &Names, tokenizer: &Tokenizer) -> Result<Pieces, String> {
    if source.len() > MOST_BYTES {
        return Err(format!("it has {} bytes; {MOST_BYTES} is the most that is run", source.len()));
    }
    if names.image.is_empty() {
        return Err("the model names no token for pictures".into());
    }
    let environment = environment(&without_generation(source))?;
    let chat = |style| Chat { environment: &environment, names, tokenizer, style };
    // Templates of models that were text models first take one text.
    chat(Style::Parts).pieces().or_else(|problem| chat(Style::Text).pieces().map_err(|_| problem))
}

/// A template that can be rendered, its work bounded.
fn environment(source: &str) -> Result<Environment<'static>, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| said(&error))?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_recursion_limit(DEPTH);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(method);
    environment.add_function("raise_exception", |problem: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, cut(&problem, limits::NAME)))
    });
    environment.add_template_owned("chat", source.to_owned()).map_err(|error| said(&error))?;
    Ok(environment)
}

/// Python's methods of strings, but the one that makes texts of any length.
fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    if name == "format" {
        return Err(Error::from(ErrorKind::UnknownMethod));
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

/// An error's sentence, without the lines that quote the template.
fn said(error: &Error) -> String {
    cut(error.to_string().lines().next().unwrap_or_default(), limits::NAME)
}

/// Comments in the places of the `generation` tags, which only mark what is trained.
fn without_generation(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        let Some(end) = tag.find("%}") else { break };
        kept.push_str(before);
        let inside = &tag[2..end];
        let bare = inside.trim_matches(['-', '+']).trim();
        if bare == "generation" || bare == "endgeneration" {
            let sign = |found: Option<char>| match found {
                Some(sign @ ('-' | '+')) => String::from(sign),
                _ => String::new(),
            };
            let (first, last) = (sign(inside.chars().next()), sign(inside.chars().last()));
            kept.push_str(&format!("{{#{first} {last}#}}"));
        } else {
            kept.push_str(&tag[..end + 2]);
        }
        rest = &tag[end + 2..];
    }
    kept.push_str(rest);
    kept
}

/// One way of talking to a template.
struct Chat<'a> {
    environment: &'a Environment<'static>,
    names: &'a Names,
    tokenizer: &'a Tokenizer,
    style: Style,
}

impl Chat<'_> {
    fn pieces(&self) -> Result<Pieces, String> {
        let [first, second, third] = QUESTIONS;
        let image = self.names.image.as_str();
        let asked = self.user(true, first);

        let one = self.cut(std::slice::from_ref(&asked), &[image, first])?;
        let [to_picture, to_question, to_answer] = exactly(&one);
        let talk = [asked, self.says("assistant", ANSWERS[0]), self.user(false, second)];
        let two = self.cut(&talk, &[image, first, ANSWERS[0], second])?;
        let [_, _, to_past_answer, to_next, _] = exactly(&two);
        let again = [self.says("assistant", ANSWERS[1]), self.user(false, third)];
        let talk: Vec<Value> = talk.into_iter().chain(again).collect();
        let three = self.cut(&talk, &[image, first, ANSWERS[0], second, ANSWERS[1], third])?;
        let lone = self.cut(&[self.user(false, first)], &[first])?;
        let [to_lone_question, lone_answer] = exactly(&lone);

        let repeats = two == [to_picture, to_question, to_past_answer, to_next, to_answer]
            && three
                == [
                    to_picture,
                    to_question,
                    to_past_answer,
                    to_next,
                    to_past_answer,
                    to_next,
                    to_answer,
                ]
            && lone_answer == to_answer;
        if !repeats {
            return Err("it writes a later turn in another way than the one before".into());
        }
        Ok(Pieces {
            to_picture: self.spans(to_picture),
            to_question: self.spans(to_question),
            to_lone_question: self.spans(to_lone_question),
            to_answer: self.spans(to_answer),
            to_past_answer: self.spans(to_past_answer),
            to_next: self.spans(to_next),
            system: self.system(to_question, to_answer).ok(),
        })
    }

    /// Where a system prompt goes.
    fn system(&self, to_question: &str, to_answer: &str) -> Result<SystemPieces, String> {
        let (first, image) = (QUESTIONS[0], self.names.image.as_str());
        let opened = |picture| [self.says("system", SYSTEM), self.user(picture, first)];
        let with = self.cut(&opened(true), &[SYSTEM, image, first])?;
        let without = self.cut(&opened(false), &[SYSTEM, first])?;
        let [to_system, to_picture, question, answer] = exactly(&with);
        let [lone_system, to_lone_question, lone_answer] = exactly(&without);
        if (question, answer, lone_answer) != (to_question, to_answer, to_answer)
            || lone_system != to_system
        {
            return Err("a system prompt changes what follows it".into());
        }
        Ok(SystemPieces {
            to_system: self.spans(to_system),
            to_picture: self.spans(to_picture),
            to_lone_question: self.spans(to_lone_question),
        })
    }

    fn user(&self, picture: bool, question: &str) -> Value {
        match (self.style, picture) {
            (_, false) => self.says("user", question),
            (Style::Parts, true) => {
                message("user", vec![context! { type => "image" }, text(question)])
            }
            (Style::Text, true) => message("user", format!("{}\n{question}", self.names.image)),
        }
    }

    fn says(&self, role: &str, words: &str) -> Value {
        match self.style {
            Style::Parts => message(role, vec![text(words)]),
            Style::Text => message(role, words),
        }
    }

    /// The rendered conversation, cut at the marks: one piece more than there are marks.
    fn cut(&self, messages: &[Value], marks: &[&str]) -> Result<Vec<String>, String> {
        let tokens: Value = self.names.tokens.iter().cloned().collect();
        let given =
            context! { messages => messages.to_vec(), add_generation_prompt => true, ..tokens };
        let template = self.environment.get_template("chat").map_err(|error| said(&error))?;
        let text = template.render(given).map_err(|error| said(&error))?;
        let (mut pieces, mut rest) = (Vec::new(), text.as_str());
        for mark in marks {
            if text.matches(mark).count() != 1 {
                return Err("it does not write picture, question and answer once each".into());
            }
            let Some((before, after)) = rest.split_once(mark) else {
                return Err("it writes picture, question and answer in another order".into());
            };
            pieces.push(before.to_owned());
            rest = after;
        }
        pieces.push(rest.to_owned());
        Ok(pieces)
    }

    fn spans(&self, text: &str) -> Vec<Span> {
        let names: Vec<&str> = self.tokenizer.specials().map(|(name, _)| name).collect();
        spans(text, &names)
    }
}

fn message(role: &str, content: impl Into<Value>) -> Value {
    context! { role, content => content.into() }
}

/// A part of a message.
fn text(words: &str) -> Value {
    context! { type => "text", text => words }
}

/// The pieces by name: there is one more than marks.
fn exactly<const N: usize>(pieces: &[String]) -> [&str; N] {
    std::array::from_fn(|i| pieces[i].as_str())
}
