//! Jinja, as far as chat templates use it, for untrusted templates: whatever a template contains,
//! its work, memory and depth are bounded.
//!
//! Upstream: the Jinja of transformers' `apply_chat_template` (`trim_blocks`, `lstrip_blocks`, loop
//! controls, the `generation` tag). What is not implemented is refused with a message where it is
//! encountered. [`Meter`](meter::Meter) has the bounds.

mod calls;
mod expression;
mod lex;
mod meter;
mod methods;
mod operators;
mod run;
mod statement;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use meter::Meter;
use run::Run;
use statement::Program;
pub(super) use value::Value;

/// The problem in words; it may hold a stranger's text.
type Out<T> = Result<T, String>;

/// A template that was read.
#[derive(Debug)]
pub(super) struct Jinja(Program);

impl Jinja {
    /// Reads a template; the error is the problem in words.
    pub(super) fn new(source: &str) -> Out<Self> {
        Program::read(lex::pieces(source)?).map(Self)
    }

    /// What the template makes of these variables.
    pub(super) fn render(&self, variables: Vec<(String, Value)>) -> Out<String> {
        let meter = Meter::default();
        Run::new(&self.0, &meter, variables).whole()
    }
}

impl Value {
    /// A text of our own, at most a few hundred bytes.
    pub(super) fn words(text: &str) -> Self {
        Value::Text(Rc::from(text))
    }

    /// A list of our own.
    pub(super) fn given_list(values: Vec<Value>) -> Self {
        Meter::default().list(values).unwrap_or(Value::Undefined)
    }

    /// A map of our own.
    pub(super) fn given_map<const N: usize>(entries: [(&str, Value); N]) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (Rc::from(key), value)).collect();
        Meter::default().map(entries).unwrap_or(Value::Undefined)
    }
}
