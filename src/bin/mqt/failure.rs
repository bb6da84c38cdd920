//! What ends a command early: an exit code and, unless it was already printed, a message.

use crate::advice;
use mqt::Error;
use mqt::internals::plain::system_error;
use std::io;

/// The reason a command ends with another code than 0, or early with 0.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The process's exit code.
    pub(crate) code: u8,
    /// One sentence for stderr; `None` if there is nothing (more) to say.
    pub(crate) message: Option<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A mistake on the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { code: 2, message: Some(message.into()) }
    }

    /// Output that could not be written.
    pub(crate) fn output(what: &str, why: &io::Error) -> Failure {
        let why = system_error(why);
        Failure { code: 1, message: Some(format!("{what} cannot be written: {why}")) }
    }

    /// Whoever read our stdout has gone: nobody is left to tell.
    pub(crate) fn reader_gone() -> Failure {
        Failure { code: 0, message: None }
    }

    /// Ctrl-C after part of an answer, which was kept.
    pub(crate) fn interrupted() -> Failure {
        Failure { code: 130, message: None }
    }

    /// A failure whose sentence is already on stderr.
    pub(crate) fn reported(code: u8) -> Failure {
        Failure { code, message: None }
    }

    /// The same failure, its sentence starting with the name of what it is about.
    pub(crate) fn about(mut self, what: &str) -> Failure {
        // A `data:` URL without a type has the colon already.
        let what = what.trim_end_matches(':');
        self.message = self.message.map(|message| format!("{what}: {message}"));
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { code: error.exit_code(), message: Some(advice::message(&error)) }
    }
}
