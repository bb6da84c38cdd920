//! A checkpoint's own chat template, rendered once, when the checkpoint is opened: cut at the marks
//! for picture, questions and answers, it gives the pieces of every prompt.
//!
//! Upstream: `apply_chat_template` of transformers. A template is an untrusted program: `jinja`
//! limits what it may do.

mod several;

use super::Tokenizer;
use super::jinja::{Jinja, Value};
use super::pieces::{Pieces, SystemPieces};
use super::spans::{Span, spans};
use crate::untrusted::{cut, limits};

/// The longest template, in bytes.
const MOST_BYTES: usize = 64 << 10;

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
    let template = Jinja::new(source).map_err(|problem| cut(&problem, limits::NAME))?;
    let chat = |style| Chat { template: &template, names, tokenizer, style };
    // Templates of models that were text models first take one text.
    chat(Style::Parts).pieces().or_else(|problem| chat(Style::Text).pieces().map_err(|_| problem))
}

/// One way of talking to a template.
struct Chat<'a> {
    template: &'a Jinja,
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
            several: self.several(&two, to_answer).ok(),
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
        self.shows(usize::from(picture), question)
    }

    /// A person's message with so many pictures before the question.
    fn shows(&self, pictures: usize, question: &str) -> Value {
        match (self.style, pictures) {
            (_, 0) => self.says("user", question),
            (Style::Parts, n) => {
                let picture = || Value::given_map([("type", Value::words("image"))]);
                let mut parts: Vec<Value> = (0..n).map(|_| picture()).collect();
                parts.push(text(question));
                message("user", Value::given_list(parts))
            }
            (Style::Text, n) => {
                let pictures = format!("{}\n", self.names.image).repeat(n);
                message("user", Value::words(&(pictures + question)))
            }
        }
    }

    fn says(&self, role: &str, words: &str) -> Value {
        match self.style {
            Style::Parts => message(role, Value::given_list(vec![text(words)])),
            Style::Text => message(role, Value::words(words)),
        }
    }

    /// The rendered conversation, cut at the marks: one piece more than there are marks.
    fn cut(&self, messages: &[Value], marks: &[&str]) -> Result<Vec<String>, String> {
        let mut given: Vec<(String, Value)> = self
            .names
            .tokens
            .clone()
            .into_iter()
            .map(|(name, text)| (name, Value::words(&text)))
            .collect();
        given.push(("messages".into(), Value::given_list(messages.to_vec())));
        given.push(("add_generation_prompt".into(), Value::Bool(true)));
        let text = self.template.render(given).map_err(|problem| cut(&problem, limits::NAME))?;
        let (mut pieces, mut rest) = (Vec::new(), text.as_str());
        for mark in marks {
            let wanted = marks.iter().filter(|other| *other == mark).count();
            if text.matches(mark).count() != wanted {
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

fn message(role: &str, content: Value) -> Value {
    Value::given_map([("role", Value::words(role)), ("content", content)])
}

/// A part of a message.
fn text(words: &str) -> Value {
    Value::given_map([("type", Value::words("text")), ("text", Value::words(words))])
}

/// The pieces by name: there is one more than marks.
fn exactly<const N: usize>(pieces: &[String]) -> [&str; N] {
    std::array::from_fn(|i| pieces[i].as_str())
}
