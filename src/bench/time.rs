//! Timing: repeated runs, medians.

use crate::error::Result;
use crate::gpu::Gpu;
use web_time::Instant;

/// Seconds of repeated runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn push(&mut self, seconds: f64) {
        self.0.push(seconds);
    }

    /// The middle one; the mean of two for an even number; 0 if there are none.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        if n == 0 { 0.0 } else { f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]) }
    }

    pub(super) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Seconds that `work` takes, which waits for the device itself.
pub(super) async fn seconds_of(
    gpu: &Gpu,
    work: impl AsyncFnOnce(&Gpu) -> Result<()>,
) -> Result<f64> {
    let start = Instant::now();
    work(gpu).await?;
    Ok(start.elapsed().as_secs_f64())
}
