//! Ctrl-C: pressed once, it stops the answer and keeps its text; pressed twice, or while nothing is
//! being answered, it ends the program.

use crate::failure::Failure;
use crate::target;
use mqt::cancel::Cancel;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// The program's one handler of Ctrl-C, and of being told to end.
#[derive(Clone)]
pub(crate) struct Interrupt {
    cancel: Cancel,
    answering: Arc<AtomicBool>,
    farewell: Arc<Mutex<Option<Farewell>>>,
}

/// What is said when the program leaves.
type Farewell = Box<dyn Fn() + Send>;

impl Interrupt {
    /// Takes Ctrl-C over for the rest of the program; whoever asks again gets the same handler.
    pub(crate) fn install() -> Result<Interrupt, Failure> {
        static INSTALLED: Mutex<Option<Interrupt>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(|error| error.into_inner());
        if let Some(interrupt) = &*installed {
            return Ok(interrupt.clone());
        }
        let interrupt = Interrupt {
            cancel: Cancel::new(),
            answering: Arc::default(),
            farewell: Arc::default(),
        };
        let Interrupt { cancel, answering, farewell } = interrupt.clone();
        let handler = move || {
            if !answering.load(Ordering::SeqCst) || cancel.is_cancelled() {
                farewell
                    .lock()
                    .unwrap_or_else(|error| error.into_inner())
                    .iter()
                    .for_each(|say| say());
                target::clean_up();
                std::process::exit(INTERRUPTED);
            }
            cancel.cancel();
        };
        ctrlc::set_handler(handler).map_err(|why| Failure {
            code: 1,
            message: Some(format!("Ctrl-C cannot be handled: {why}")),
        })?;
        *installed = Some(interrupt.clone());
        Ok(interrupt)
    }

    /// For work that may end at any moment without loss, whatever it waits for: Ctrl-C says this
    /// and leaves.
    pub(crate) fn farewell(&self, say: impl Fn() + Send + 'static) {
        *self.farewell.lock().unwrap_or_else(|error| error.into_inner()) = Some(Box::new(say));
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
