//! Long work in submissions of some tens of milliseconds: short enough for Stop and for drivers'
//! watchdogs.

use super::device::Gpu;
use super::recorder::Recorder;
use crate::cancel::Cancel;
use crate::error::Result;
use std::sync::atomic::{AtomicU32, Ordering};
use web_time::Instant;

/// A submission shorter than this may grow, …
const SHORT_MS: f64 = 20.0;
/// … a longer one than this must shrink.
const LONG_MS: f64 = 50.0;

/// Tokens times layers per submission, as learned on this device.
#[derive(Debug)]
pub(super) struct Pace(AtomicU32);

impl Default for Pace {
    fn default() -> Self {
        Pace(AtomicU32::new(64))
    }
}

/// A recording that submits itself every few layers.
pub struct Paced<'a> {
    gpu: &'a Gpu,
    cancel: &'a Cancel,
    tokens: u32,
    layers: u32,
    /// What is being recorded.
    pub rec: Recorder<'a>,
}

impl<'a> Paced<'a> {
    /// Starts recording layers over `tokens` tokens each.
    pub fn new(gpu: &'a Gpu, cancel: &'a Cancel, tokens: usize) -> Paced<'a> {
        Paced { gpu, cancel, tokens: tokens.max(1) as u32, layers: 0, rec: gpu.recorder() }
    }

    /// Marks the end of a layer: a place to submit, wait and look whether to stop.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`], [`crate::Error::DeviceLost`].
    pub async fn layer_done(&mut self) -> Result<()> {
        self.layers += 1;
        let pace = &self.gpu.0.pace.0;
        let work = self.layers * self.tokens;
        if work < pace.load(Ordering::Relaxed) {
            return Ok(());
        }
        let layers = std::mem::take(&mut self.layers);
        let start = Instant::now();
        self.rec.flush();
        self.gpu.idle().await?;
        self.cancel.advance(layers);
        let ms = start.elapsed().as_secs_f64() * 1e3;
        if ms < SHORT_MS {
            pace.store((work * 2).min(1 << 20), Ordering::Relaxed);
        } else if ms > LONG_MS {
            pace.store((work / 2).max(1), Ordering::Relaxed);
        }
        self.cancel.check()
    }

    /// Submits the rest.
    pub fn submit(self) {
        self.rec.submit();
    }
}
