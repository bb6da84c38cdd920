//! The log: one JSON object a line on stderr. Never a picture, a prompt, an answer or a key.

use serde_json::{Map, Value};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
}

static QUIET: AtomicBool = AtomicBool::new(false);

/// Only errors from now on.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Writes a line; `facts` is an object.
pub(crate) fn line(level: Level, event: &str, facts: Value) {
    if QUIET.load(Ordering::Relaxed) && level != Level::Error {
        return;
    }
    let level = match level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut line = Map::new();
    line.insert("time".into(), ((seconds * 1e3).round() / 1e3).into());
    line.insert("level".into(), level.into());
    line.insert("event".into(), event.into());
    if let Value::Object(facts) = facts {
        line.extend(facts);
    }
    // A terminal is steered by no character of it.
    let text = mqt::internals::untrusted::shown_json(&Value::Object(line).to_string()).into_owned();
    // stderr may be closed: then there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
