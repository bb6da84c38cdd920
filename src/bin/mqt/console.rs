//! stderr: errors, notes, progress. Plain text unless it is a terminal.
//!
//! Messages contain names and texts from files and servers. Everything goes through [`untrusted`],
//! so that only the control codes written here reach the terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mqt::internals::untrusted;
use mqt::model::Progress;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::ops::Deref;
use std::time::Duration;

/// The way to say something that is not an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    quiet: bool,
    terminal: bool,
    colour: bool,
}

impl Console {
    /// `quiet` leaves only errors. Colours and bars need a terminal; colours also that `NO_COLOR`
    /// is unset or empty.
    pub(crate) fn new(quiet: bool) -> Console {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Console { quiet, terminal, colour: terminal && !dumb && !set("NO_COLOR") }
    }

    /// Whether only errors are wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// One sentence about what went wrong.
    pub(crate) fn error(&self, message: &str) {
        say(&self.with_label("1;31", "error:", message));
    }

    /// Something worth knowing that is not an error.
    pub(crate) fn note(&self, message: &str) {
        if !self.quiet {
            say(&self.with_label("1", "note:", message));
        }
    }

    /// What an answer took: secondary, so it is dim.
    pub(crate) fn stats(&self, line: &str) {
        if !self.quiet {
            say(&self.paint("2", &untrusted::one_line(line)));
        }
    }

    /// A line that was asked for, such as a summary; or several.
    pub(crate) fn line(&self, text: &str) {
        if !self.quiet {
            say(&untrusted::shown(text));
        }
    }

    fn with_label(&self, code: &str, label: &str, message: &str) -> String {
        format!("{} {}", self.paint(code, label), untrusted::one_line(message))
    }

    /// Colours a text that steers no terminal.
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A bar over bytes, for loading and converting; invisible where nobody watches.
    pub(crate) fn bytes(&self) -> BytesBar {
        let bar = self.bar("{msg} {wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  {eta}");
        BytesBar { bar, phase: "" }
    }

    /// A bar over bytes that come from elsewhere; invisible where nobody watches.
    pub(crate) fn download(&self, bytes: u64) -> Bar {
        let bar = self.bar("{msg} {wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  {eta}");
        bar.set_length(bytes);
        bar
    }

    /// A bar over things, such as questions or tests; invisible where nobody watches.
    pub(crate) fn steps(&self, what: &'static str, n: usize) -> Bar {
        let bar = self.bar("{msg} {wide_bar} {pos} of {len}  {eta}");
        bar.set_message(what);
        bar.set_length(n as u64);
        bar
    }

    /// Turns while something runs that cannot say how far it is.
    pub(crate) fn spinner(&self, what: &'static str) -> Bar {
        let bar = self.bar("{spinner} {msg}");
        bar.set_message(what);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        bar
    }

    fn bar(&self, template: &str) -> Bar {
        let target = if self.terminal && !self.quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template(template).expect("the templates above are valid");
        Bar(ProgressBar::with_draw_target(None, target).with_style(style))
    }
}

/// A progress bar whose messages may come from anywhere.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Hides [`ProgressBar::set_message`], which writes its text as it is.
    pub(crate) fn set_message(&self, text: impl Into<Cow<'static, str>>) {
        let text = text.into();
        self.0.set_message(untrusted::cut(&untrusted::one_line(&text), untrusted::limits::NAME));
    }
}

impl Deref for Bar {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.0
    }
}

/// A bar over bytes that shows the library's [`Progress`].
pub(crate) struct BytesBar {
    bar: Bar,
    phase: &'static str,
}

impl BytesBar {
    pub(crate) fn show(&mut self, progress: &Progress) {
        if self.phase != progress.phase {
            self.phase = progress.phase;
            self.bar.set_message(progress.phase);
            self.bar.set_length(progress.total);
        }
        self.bar.set_position(progress.done);
    }
}

impl Drop for BytesBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// stderr may be closed: then there is nobody to tell, and nothing to do about it.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\x1b]52;c;eA==\x07\x1b[2J\u{9b}31m\u{202e}name\r";

    #[test]
    fn only_our_own_paint_steers_the_terminal() {
        let console = Console { quiet: false, terminal: true, colour: true };
        let message = console.with_label("1;31", "error:", HOSTILE);
        let rest = message.strip_prefix("\x1b[1;31merror:\x1b[0m ").unwrap();
        assert_eq!(rest, "\\x1b]52;c;eA==\\x07\\x1b[2J\\x9b31m\\u{202e}name");
    }

    #[test]
    fn a_bar_shows_a_files_name_escaped() {
        let console = Console { quiet: false, terminal: false, colour: false };
        let bar = console.download(100);
        bar.set_message(HOSTILE);
        assert_eq!(bar.message(), "\\x1b]52;c;eA==\\x07\\x1b[2J\\x9b31m\\u{202e}name");
        bar.set_message("x".repeat(1000));
        assert!(bar.message().ends_with("(800 more characters)"), "{}", bar.message());
    }
}
