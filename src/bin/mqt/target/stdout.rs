//! `-` in an output's place: stdout, where that makes sense.

use crate::failure::{Failure, Result};
use mqt::internals::untrusted::shown;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Whether `path` is the usual sign for stdout. A file of that name is `./-`.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// What an output is called in a report.
pub(crate) fn shown_path(path: &Path) -> String {
    if is_stdout(path) { "stdout".into() } else { path.display().to_string() }
}

/// Refuses `-` for an output that stdout cannot be.
pub(crate) fn refuse_stdout(flag: &str, path: &Path, why: &str) -> Result<()> {
    if !is_stdout(path) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{flag} - would be stdout, and {why}; give another name, or ./- for one that is called so"
    )))
}

/// Writes an output to stdout: exactly, or escaped on a terminal.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        stdout.write_all(shown(&String::from_utf8_lossy(bytes)).as_bytes())?;
    } else {
        stdout.write_all(bytes)?;
    }
    stdout.flush()
}
