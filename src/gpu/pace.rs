//! Long work in submissions of some tens of milliseconds: short enough for Stop and for drivers' watchdogs.

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

/// Layers per submission, as learned on this device.
#[derive(Debug)]
pub(super) struct Pace(AtomicU32);

impl Default for Pace {
    fn default() -> Self {
        Pace(AtomicU32::new(1))
    }
}

/// A recording that submits itself every few layers.
pub struct Paced<'a> {
    gpu: &'a Gpu,
    cancel: &'a Cancel,
    layers: u32,
    /// What is being recorded.
    pub rec: Recorder<'a>,
}

impl<'a> Paced<'a> {
    /// Starts recording.
    pub fn new(gpu: &'a Gpu, cancel: &'a Cancel) -> Paced<'a> {
        Paced { gpu, cancel, layers: 0, rec: gpu.recorder() }
    }

    /// Marks the end of a layer: a place to submit, wait and look whether to stop.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`], [`crate::Error::DeviceLost`].
    pub async fn layer_done(&mut self) -> Result<()> {
        self.layers += 1;
        let pace = &self.gpu.0.pace.0;
        let group = pace.load(Ordering::Relaxed);
        if self.layers < group {
            return Ok(());
        }
        self.layers = 0;
        let start = Instant::now();
        self.rec.flush();
        self.gpu.idle().await?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        if ms < SHORT_MS {
            pace.store((group * 2).min(64), Ordering::Relaxed);
        } else if ms > LONG_MS {
            pace.store((group / 2).max(1), Ordering::Relaxed);
        }
        self.cancel.check()
    }

    /// Submits the rest.
    pub fn submit(self) {
        self.rec.submit();
    }
}
