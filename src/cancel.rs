//! A handle on running work: stops it from anywhere, and says how far it has come.

use crate::error::{Error, Result};
use crate::future::Boxed;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Lets the caller's other work run: where there is only one thread, nobody could otherwise press
/// Stop during a long computation.
pub type Pause = fn() -> Boxed<'static, ()>;

/// What is computed before the first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Stage {
    /// The picture, layer by layer of the tower.
    Picture = 1,
    /// The prompt, layer by layer of the decoder.
    Prompt = 2,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// 0 before any stage.
    stage: AtomicU32,
    done: AtomicU32,
    of: AtomicU32,
}

/// Asks running work to stop; clones share the flag. Checked between submissions of some tens of
/// milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
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
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked it to stop.
    pub fn is_cancelled(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// The stage under way or the one before decoding, and the share of it that is done, 0 to 1;
    /// `None` before any.
    pub fn progress(&self) -> Option<(Stage, f32)> {
        let stage = match self.shared.stage.load(Ordering::Relaxed) {
            1 => Stage::Picture,
            2 => Stage::Prompt,
            _ => return None,
        };
        let (done, of) =
            (self.shared.done.load(Ordering::Relaxed), self.shared.of.load(Ordering::Relaxed));
        Some((stage, (done as f32 / of.max(1) as f32).min(1.0)))
    }

    /// A stage of `of` steps begins.
    pub(crate) fn begin(&self, stage: Stage, of: usize) {
        self.shared.done.store(0, Ordering::Relaxed);
        self.shared.of.store(of as u32, Ordering::Relaxed);
        self.shared.stage.store(stage as u32, Ordering::Relaxed);
    }

    /// So many more steps of it are done.
    pub(crate) fn advance(&self, steps: u32) {
        self.shared.done.fetch_add(steps, Ordering::Relaxed);
    }

    /// Makes the flag usable for the next request.
    pub fn reset(&self) {
        self.shared.stop.store(false, Ordering::Relaxed);
        self.shared.stage.store(0, Ordering::Relaxed);
    }

    /// Whether [`Cancel::breathe`] pauses.
    pub(crate) fn pauses(&self) -> bool {
        self.pause.is_some()
    }

    /// Before a step, which counts as done from now on: looks whether to stop.
    pub(crate) fn step(&self) -> Result<()> {
        self.advance(1);
        self.check()
    }

    /// Before a step, which counts as done from now on: pauses, then looks whether to stop.
    pub(crate) async fn breathe(&self) -> Result<()> {
        self.advance(1);
        self.rest().await
    }

    /// Within a step: pauses, then looks whether to stop.
    pub(crate) async fn rest(&self) -> Result<()> {
        if let Some(pause) = self.pause {
            pause().await;
        }
        self.check()
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
