//! The single await between GPU and host.
//!
//! In the browser the page's event loop completes a mapping. Natively somebody has to poll the device: a helper thread does,
//! so that the library's futures need no runtime.

use super::device::Gpu;
use super::recorder::Bind;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use futures_channel::oneshot;

/// Natively: a thread that waits for the device whenever somebody waits for a result.
pub(super) struct Poller {
    #[cfg(not(target_arch = "wasm32"))]
    thread: Option<(std::sync::mpsc::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Poller {
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let (wake, sleep) = std::sync::mpsc::channel();
        let device = device.clone();
        // The thread ends when the sender is dropped.
        let thread = std::thread::spawn(move || {
            while sleep.recv().is_ok() {
                // A failed wait is a lost device: its callbacks have run, and the reader sees the error.
                let _ = device.poll(wgpu::PollType::wait_indefinitely());
            }
        });
        Poller { thread: Some((wake, thread)) }
    }

    #[cfg(target_arch = "wasm32")]
    pub(super) fn new(_: &wgpu::Device) -> Self {
        Poller {}
    }

    fn wake(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some((wake, _)) = &self.thread {
            let _ = wake.send(());
        }
    }
}

/// Waits for the thread, and so for its hold on the device: a program must not end while a driver is being torn down behind it.
#[cfg(not(target_arch = "wasm32"))]
impl Drop for Poller {
    fn drop(&mut self) {
        if let Some((wake, thread)) = self.thread.take() {
            drop(wake);
            let _ = thread.join();
        }
    }
}

impl Gpu {
    /// Copies bytes back to the host, after everything submitted so far.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn read(&self, from: &dyn Bind, offset: u64, bytes: u64) -> Result<Vec<u8>> {
        self.check()?;
        let staging = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes.next_multiple_of(4),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&from.storage().buffer, offset, &staging, 0, bytes.next_multiple_of(4));
        self.0.queue.submit([encoder.finish()]);
        let (done, landed) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = done.send(result);
        });
        self.0.poller.wake();
        let lost = || self.check().err().unwrap_or(Error::DeviceLost { why: "a read-back failed".into() });
        landed.await.map_err(|_| lost())?.map_err(|_| lost())?;
        let view = staging.get_mapped_range(..).map_err(|_| lost())?;
        let mut out = view.to_vec();
        out.truncate(bytes as usize);
        Ok(out)
    }

    /// Waits until everything submitted so far has run.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn idle(&self) -> Result<()> {
        self.check()?;
        let (done, landed) = oneshot::channel();
        self.0.queue.on_submitted_work_done(move || {
            let _ = done.send(());
        });
        self.0.poller.wake();
        // A dropped sender means the device went away; `check` knows why.
        let _ = landed.await;
        self.check()
    }

    /// The values of `n` rows from `first` on, [n, cols], row-major.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn read_rows(&self, tensor: &Tensor, first: usize, n: usize) -> Result<Vec<f32>> {
        assert!(first + n <= tensor.rows, "read_rows: {n} from {first} of {}", tensor.rows);
        let stride = tensor.stride();
        let bytes = self.read(tensor, (first * stride * 4) as u64, (n * stride * 4) as u64).await?;
        let values: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(values.chunks_exact(stride).flat_map(|row| row[..tensor.cols].iter().copied()).collect())
    }
}
