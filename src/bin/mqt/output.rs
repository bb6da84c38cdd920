//! stdout: answers.

use crate::failure::{Failure, Result};
use mqt::internals::untrusted;
use serde::Serialize;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// The answers' way out. Its reader may leave early: that ends the command quietly.
///
/// An answer, and the names around it, may hold anything. On a terminal they are shown escaped;
/// anywhere else they stay exact.
pub(crate) struct Output<W = io::Stdout> {
    stdout: W,
    terminal: bool,
    /// White space held back: an answer's end has none.
    held: String,
    started: bool,
}

impl Output {
    pub(crate) fn new() -> Output {
        Output::to(io::stdout(), io::stdout().is_terminal())
    }
}

impl<W: Write> Output<W> {
    fn to(stdout: W, terminal: bool) -> Output<W> {
        Output { stdout, terminal, held: String::new(), started: false }
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
        // Each character is escaped by itself, so a sequence that comes in two pieces is too.
        let text = if self.terminal { untrusted::shown(text) } else { text.into() };
        let written = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::reader_gone(),
            _ => Failure::output("the answer", &error),
        })
    }

    /// One object on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(value).expect("our records have only string keys");
        let json = if self.terminal { untrusted::shown_json(&json) } else { json.into() };
        self.line(&json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives of `pieces` of a streamed answer, and of a record.
    fn streamed(terminal: bool, pieces: &[&str]) -> (String, String) {
        let (mut text, mut json) =
            (Output::to(Vec::new(), terminal), Output::to(Vec::new(), terminal));
        pieces.iter().for_each(|piece| text.stream(piece).unwrap());
        text.end().unwrap();
        json.json(&pieces.concat()).unwrap();
        (String::from_utf8(text.stdout).unwrap(), String::from_utf8(json.stdout).unwrap())
    }

    #[test]
    fn an_answer_cannot_steer_a_terminal_and_stays_exact_elsewhere() {
        let pieces = [" a\x1b", "]52;c;eA==\x07", "\u{9b}2J \u{202e}b\r", "\n\tc "];
        let (text, json) = streamed(true, &pieces);
        assert_eq!(text, "a\\x1b]52;c;eA==\\x07\\x9b2J \\u{202e}b\\x0d\n\tc\n");
        assert!(
            !json.trim_end().chars().any(char::is_control) && !json.contains('\u{202e}'),
            "{json:?}"
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), pieces.concat());
        let (text, json) = streamed(false, &pieces);
        assert_eq!(text, "a\x1b]52;c;eA==\x07\u{9b}2J \u{202e}b\r\n\tc\n");
        assert!(json.contains('\u{9b}') && json.contains('\u{202e}'), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), pieces.concat());
    }
}
