//! A flag that stops work from anywhere.

use crate::error::{Error, Result};
use crate::weights::files::Local;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lets the caller's other work run: where there is one thread, nobody could press Stop during a long computation without it.
pub type Pause = fn() -> Local<'static, ()>;

/// Asks running work to stop; clones share the flag. Checked between submissions of some tens of milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    pause: Option<Pause>,
}

impl Cancel {
    /// Not yet cancelled.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// The same, with a pause that the network on the processor takes between layers.
    pub fn with_pause(pause: Pause) -> Cancel {
        Cancel { pause: Some(pause), ..Cancel::default() }
    }

    /// Asks everything that holds a clone to stop.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Makes the flag usable for the next request.
    pub fn reset(&self) {
        self.flag.store(false, Ordering::Relaxed);
    }

    /// Pauses, then looks whether to stop.
    pub(crate) async fn breathe(&self) -> Result<()> {
        if let Some(pause) = self.pause {
            pause().await;
        }
        self.check()
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
