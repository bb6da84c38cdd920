//! stderr: errors, notes, progress. Plain text unless it is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mqt::model::Progress;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// The way to say something that is not an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    quiet: bool,
    terminal: bool,
    colour: bool,
}

impl Console {
    /// `quiet` leaves only errors. Colours and bars need a terminal; colours also that `NO_COLOR` is unset or empty.
    pub(crate) fn new(quiet: bool) -> Console {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Console { quiet, terminal, colour: terminal && !dumb && !set("NO_COLOR") }
    }

    /// One sentence about what went wrong.
    pub(crate) fn error(&self, message: &str) {
        say(&format!("{} {message}", self.paint("1;31", "error:")));
    }

    /// Something worth knowing that is not an error.
    pub(crate) fn note(&self, message: &str) {
        if !self.quiet {
            say(&format!("{} {message}", self.paint("1", "note:")));
        }
    }

    /// What an answer took: secondary, so it is dim.
    pub(crate) fn stats(&self, line: &str) {
        if !self.quiet {
            say(&self.paint("2", line));
        }
    }

    /// A line that was asked for, such as a summary.
    pub(crate) fn line(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A bar over bytes, for loading and converting; invisible where nobody watches.
    pub(crate) fn bytes(&self) -> BytesBar {
        let bar = self.bar("{msg} {wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  {eta}");
        BytesBar { bar, phase: "" }
    }

    /// A bar over bytes that come from elsewhere; invisible where nobody watches.
    pub(crate) fn download(&self, bytes: u64) -> ProgressBar {
        let bar = self.bar("{msg} {wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  {eta}");
        bar.set_length(bytes);
        bar
    }

    /// A bar over things, such as questions or tests; invisible where nobody watches.
    pub(crate) fn steps(&self, what: &'static str, n: usize) -> ProgressBar {
        let bar = self.bar("{msg} {wide_bar} {pos} of {len}  {eta}");
        bar.set_message(what);
        bar.set_length(n as u64);
        bar
    }

    /// Turns while something runs that cannot say how far it is.
    pub(crate) fn spinner(&self, what: &'static str) -> ProgressBar {
        let bar = self.bar("{spinner} {msg}");
        bar.set_message(what);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        bar
    }

    fn bar(&self, template: &str) -> ProgressBar {
        let target = if self.terminal && !self.quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).expect("the templates above are valid");
        ProgressBar::with_draw_target(None, target).with_style(style)
    }
}

/// A bar over bytes that shows the library's [`Progress`].
pub(crate) struct BytesBar {
    bar: ProgressBar,
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
