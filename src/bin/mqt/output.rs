//! stdout: answers.

use crate::failure::{Failure, Result};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// The answers' way out. Its reader may leave early: that ends the command quietly.
pub(crate) struct Output {
    stdout: io::Stdout,
    /// White space held back: an answer's end has none.
    held: String,
    started: bool,
}

impl Output {
    pub(crate) fn new() -> Output {
        Output { stdout: io::stdout(), held: String::new(), started: false }
    }

    /// A piece of an answer, shown at once; white space around the whole answer is left out.
    pub(crate) fn stream(&mut self, text: &str) -> Result<()> {
        let text = if self.started { text } else { text.trim_start() };
        let solid = text.trim_end();
        if solid.is_empty() {
            self.held += text;
            return Ok(());
        }
        let piece = std::mem::take(&mut self.held) + solid;
        self.held.push_str(&text[solid.len()..]);
        self.started = true;
        self.write(&piece)
    }

    /// Ends a streamed answer.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.held.clear();
        self.started = false;
        self.write("\n")
    }

    /// A whole line.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// Text that begins a line.
    pub(crate) fn write(&mut self, text: &str) -> Result<()> {
        let written = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::reader_gone(),
            _ => Failure::output("the answer", &error),
        })
    }

    /// One object on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        self.line(&serde_json::to_string(value).expect("our records have only string keys"))
    }
}
