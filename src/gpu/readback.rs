//! The single await between GPU and host.
//!
//! In the browser the page's event loop completes a mapping. Natively the device has to be polled:
//! a helper thread does so, so that the library's futures need no runtime.

use super::device::Gpu;
use super::tensor::{Storage, Tensor};
use crate::error::{Error, Result};
use futures_channel::oneshot;
use std::sync::atomic::Ordering;

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
                // A failed wait is a lost device: its callbacks have run, and the reader sees the
                // error.
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

/// Waits for the thread, and so for its hold on the device: a program must not end while a driver
/// is being torn down behind it.
#[cfg(not(target_arch = "wasm32"))]
impl Drop for Poller {
    fn drop(&mut self) {
        if let Some((wake, thread)) = self.thread.take() {
            drop(wake);
            let _ = thread.join();
        }
    }
}

/// Staging buffers used in turn, so that fetching results creates nothing.
pub struct Mailbox {
    slots: Vec<wgpu::Buffer>,
    next: usize,
    bytes: u64,
}

/// Bytes on their way from the device. Dropped unopened, they are not waited for.
pub struct Letter {
    buffer: Option<wgpu::Buffer>,
    landed: oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Drop for Letter {
    fn drop(&mut self) {
        if let Some(buffer) = &self.buffer {
            buffer.unmap();
        }
    }
}

impl Gpu {
    /// A mailbox for `slots` letters of `bytes` bytes (a multiple of 4) under way at once.
    pub fn mailbox(&self, slots: usize, bytes: u64) -> Mailbox {
        let slot = |_| {
            self.0.shared.count_object();
            self.0.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("mailbox"),
                size: bytes,
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        };
        Mailbox { slots: (0..slots).map(slot).collect(), next: 0, bytes }
    }

    /// Submits what is encoded, and a copy of `from` into the next slot.
    pub(super) fn post(
        &self,
        mut encoder: wgpu::CommandEncoder,
        from: &Storage,
        mailbox: &mut Mailbox,
    ) -> Letter {
        let buffer = mailbox.slots[mailbox.next].clone();
        mailbox.next = (mailbox.next + 1) % mailbox.slots.len();
        encoder.copy_buffer_to_buffer(&from.buffer, 0, &buffer, 0, mailbox.bytes);
        self.0.shared.readbacks.fetch_add(1, Ordering::Relaxed);
        self.0.queue.submit([encoder.finish()]);
        let (done, landed) = oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = done.send(result);
        });
        self.0.poller.wake();
        Letter { buffer: Some(buffer), landed }
    }

    /// Waits for a letter and hands over its bytes.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn open_letter(&self, mut letter: Letter) -> Result<Vec<u8>> {
        let lost =
            || self.check().err().unwrap_or(Error::DeviceLost { why: "a read-back failed".into() });
        let landed = (&mut letter.landed).await;
        landed.map_err(|_| lost())?.map_err(|_| lost())?;
        let buffer = letter.buffer.as_ref().expect("a letter is opened once");
        let bytes = buffer.get_mapped_range(..).map_err(|_| lost())?.to_vec();
        // Where a copy was refused, for want of memory say, the buffer arrives all the same: with
        // zeros.
        self.check()?;
        Ok(bytes)
    }

    /// Copies bytes back to the host, after everything submitted so far.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn read(&self, from: &Storage, offset: u64, bytes: u64) -> Result<Vec<u8>> {
        self.check()?;
        self.0.shared.count_object();
        self.0.shared.readbacks.fetch_add(1, Ordering::Relaxed);
        let staging = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes.next_multiple_of(4),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder =
            self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&from.buffer, offset, &staging, 0, bytes.next_multiple_of(4));
        self.0.queue.submit([encoder.finish()]);
        let (done, landed) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = done.send(result);
        });
        self.0.poller.wake();
        let lost =
            || self.check().err().unwrap_or(Error::DeviceLost { why: "a read-back failed".into() });
        landed.await.map_err(|_| lost())?.map_err(|_| lost())?;
        let view = staging.get_mapped_range(..).map_err(|_| lost())?;
        let mut out = view.to_vec();
        out.truncate(bytes as usize);
        self.check()?;
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
        let bytes = self
            .read(&tensor.storage, (first * stride * 4) as u64, (n * stride * 4) as u64)
            .await?;
        let values: Vec<f32> =
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(values.chunks_exact(stride).flat_map(|row| row[..tensor.cols].iter().copied()).collect())
    }
}
