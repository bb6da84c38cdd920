//! The device's own clock around passes: how long kernels take, and how long the device waits
//! between them.

use super::device::Gpu;
use crate::error::Result;
use std::sync::Mutex;

/// What to put the clock around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Passes as they are: next to no cost.
    Passes,
    /// Every dispatch, which then has a pass of its own: the sum is longer than the undisturbed
    /// run.
    Dispatches,
}

/// One pass, by the device's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// The (first) kernel in it and its constants.
    pub kernel: String,
    /// Seconds from an arbitrary moment to its start.
    pub start: f64,
    /// The same to its end.
    pub end: f64,
}

/// Passes that one watch can time: WebGPU allows 4096 timestamps in a set. Further ones run
/// untimed.
pub const PASSES: usize = 2048;

struct Watching {
    set: wgpu::QuerySet,
    kernels: Vec<String>,
    watch: Watch,
}

#[derive(Default)]
pub(super) struct Profile(Mutex<Option<Watching>>);

impl Profile {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Watching>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Gpu {
    /// Starts timing everything recorded from now on; false where the device has no clock.
    pub fn watch(&self, watch: Watch) -> bool {
        if !self.has_timestamps() {
            return false;
        }
        let descriptor = wgpu::QuerySetDescriptor {
            label: Some("watch"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * PASSES as u32,
        };
        let set = self.0.device.create_query_set(&descriptor);
        *self.0.profile.lock() = Some(Watching { set, kernels: Vec::new(), watch });
        true
    }

    /// Ends [`Gpu::watch`]: what ran since, in order; nothing where there was no watch.
    ///
    /// # Errors
    /// The device's failures.
    pub async fn watched(&self) -> Result<Vec<Timed>> {
        let Some(Watching { set, kernels, .. }) = self.0.profile.lock().take() else {
            return Ok(Vec::new());
        };
        let bytes = kernels.len() as u64 * 16;
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("watch"),
            size: bytes,
            usage,
            mapped_at_creation: false,
        });
        let times = self.storage("watch", bytes).await?;
        let mut encoder =
            self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.resolve_query_set(&set, 0..2 * kernels.len() as u32, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &times.buffer, 0, bytes);
        self.0.queue.submit([encoder.finish()]);
        let bytes = self.read(&times, 0, bytes).await?;
        let ticks: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|b| b.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
            .collect();
        let (first, period) = (
            ticks.iter().copied().min().unwrap_or(0),
            f64::from(self.0.queue.get_timestamp_period()) * 1e-9,
        );
        let seconds = |tick: u64| (tick - first) as f64 * period;
        let times = ticks.chunks_exact(2).zip(kernels);
        Ok(times
            .map(|(ticks, kernel)| Timed {
                kernel,
                start: seconds(ticks[0]),
                end: seconds(ticks[1]),
            })
            .collect())
    }

    /// Whether every dispatch is to have a pass of its own.
    pub(super) fn watches_dispatches(&self) -> bool {
        self.0.profile.lock().as_ref().is_some_and(|w| w.watch == Watch::Dispatches)
    }

    /// Begins a pass whose first kernel is `kernel`, with the clock around it while there is a
    /// watch.
    pub(super) fn pass<'e>(
        &self,
        encoder: &'e mut wgpu::CommandEncoder,
        kernel: &str,
    ) -> wgpu::ComputePass<'e> {
        let mut profile = self.0.profile.lock();
        let watching = profile.as_mut().filter(|w| w.kernels.len() < PASSES);
        let timestamp_writes = watching.map(|w| {
            w.kernels.push(kernel.to_owned());
            let at = 2 * (w.kernels.len() as u32 - 1);
            wgpu::ComputePassTimestampWrites {
                query_set: &w.set,
                beginning_of_pass_write_index: Some(at),
                end_of_pass_write_index: Some(at + 1),
            }
        });
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes })
    }
}
