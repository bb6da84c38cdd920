//! Ctrl-C: once stops what is being answered and keeps the text; twice, or while nothing is answered, leaves.

use crate::failure::Failure;
use mqt::cancel::Cancel;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// The program's one handler of Ctrl-C, and of being told to end.
#[derive(Clone)]
pub(crate) struct Interrupt {
    cancel: Cancel,
    answering: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes Ctrl-C over for the rest of the program.
    pub(crate) fn install() -> Result<Interrupt, Failure> {
        let interrupt = Interrupt { cancel: Cancel::new(), answering: Arc::default() };
        let Interrupt { cancel, answering } = interrupt.clone();
        let handler = move || {
            if !answering.load(Ordering::SeqCst) || cancel.is_cancelled() {
                std::process::exit(INTERRUPTED);
            }
            cancel.cancel();
        };
        handle(handler)?;
        Ok(interrupt)
    }

    /// The flag behind it: stops the work that runs.
    pub(crate) fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Runs work that the first Ctrl-C stops through the flag it is given.
    pub(crate) fn during<T>(&self, work: impl FnOnce(&Cancel) -> T) -> T {
        self.cancel.reset();
        self.answering.store(true, Ordering::SeqCst);
        let done = work(&self.cancel);
        self.answering.store(false, Ordering::SeqCst);
        done
    }
}

/// For work that may end at any moment without loss, whatever it waits for: Ctrl-C says farewell and leaves.
pub(crate) fn leave_on_interrupt(farewell: impl Fn() + Send + 'static) -> Result<(), Failure> {
    handle(move || {
        farewell();
        std::process::exit(INTERRUPTED);
    })
}

fn handle(handler: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    ctrlc::set_handler(handler).map_err(|why| Failure { code: 1, message: Some(format!("Ctrl-C cannot be handled: {why}")) })
}
