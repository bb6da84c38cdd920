//! Dispatches and copies, recorded in order and submitted together.

use super::bind::{Bind, Bound};
use super::device::Gpu;
use super::pipeline::{Kernel, Pipeline};
use super::readback::{Letter, Mailbox};
use super::tensor::{Storage, Tensor};
use crate::error::Result;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes between the parameter blocks of two dispatches: WebGPU's default uniform offset alignment.
const PARAM_BYTES: u64 = 256;
/// Dispatches whose parameters fit the arena; a longer recording is submitted in pieces.
const ARENA_SLOTS: usize = 1024;
/// Bind groups kept before the cache is emptied; a 7B model needs about 600.
const BIND_GROUPS: usize = 8192;

/// What all recorders of a device share.
pub(super) struct Shared {
    arena: wgpu::Buffer,
    /// Held from writing the arena until what reads it is submitted: recorders of several threads
    /// share it.
    turn: Mutex<()>,
    bind_groups: Mutex<HashMap<(usize, Vec<Bound>), wgpu::BindGroup>>,
    dispatches: AtomicU64,
    objects: AtomicU64,
    pub(super) readbacks: AtomicU64,
    bytes: Arc<AtomicU64>,
    bytes_peak: AtomicU64,
}

/// What a device was asked to do so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Dispatches submitted.
    pub dispatches: u64,
    /// Buffers, bind groups and pipelines created.
    pub objects: u64,
    /// Results copied back to the host.
    pub readbacks: u64,
    /// Bytes of storage buffers alive.
    pub bytes: u64,
    /// The most there were at once.
    pub bytes_peak: u64,
}

impl Shared {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let arena = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: PARAM_BYTES * ARENA_SLOTS as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Shared {
            arena,
            turn: Mutex::default(),
            bind_groups: Mutex::default(),
            dispatches: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            readbacks: AtomicU64::new(0),
            bytes: Arc::default(),
            bytes_peak: AtomicU64::new(0),
        }
    }

    pub(super) fn count_object(&self) {
        self.objects.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a storage buffer; the counter to take its bytes from again.
    pub(super) fn count_bytes(&self, bytes: u64) -> Arc<AtomicU64> {
        self.count_object();
        let now = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes_peak.fetch_max(now, Ordering::Relaxed);
        self.bytes.clone()
    }
}

enum Command {
    Dispatch { pipeline: Arc<Pipeline>, bind_group: wgpu::BindGroup, grid: [u32; 3] },
    Copy { from: wgpu::Buffer, from_offset: u64, to: wgpu::Buffer, to_offset: u64, bytes: u64 },
}

/// Records work for one device; nothing runs before [`Recorder::submit`].
pub struct Recorder<'g> {
    gpu: &'g Gpu,
    commands: Vec<Command>,
    params: Vec<u8>,
    /// For a tape: what to bind once its uniforms have a buffer; `None`: the arena that all
    /// recorders share.
    bound_later: Option<Vec<BoundLater>>,
}

/// A dispatch of a tape being recorded.
struct BoundLater {
    pipeline: Arc<Pipeline>,
    name: &'static str,
    buffers: Vec<Bound>,
    grid: [u32; 3],
}

/// A recording that is submitted again and again as it is: its uniforms and bind groups are its
/// own, nothing is made when it runs.
pub struct Tape {
    commands: Vec<Command>,
    _params: wgpu::Buffer,
}

impl Tape {
    /// Dispatches of one run.
    pub fn dispatches(&self) -> usize {
        self.commands.len()
    }
}

impl<'g> Recorder<'g> {
    /// The device this records for.
    pub fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    /// Records one dispatch of `kernel` with `grid` workgroups.
    ///
    /// `preludes` and `constants` pick the variant; `params` is the uniform; `binds` follow
    /// [`Kernel::bindings`].
    pub fn dispatch<P: bytemuck::Pod>(
        &mut self,
        kernel: &Kernel,
        preludes: &[&'static str],
        constants: &[(&'static str, u32)],
        params: P,
        binds: &[&dyn Bind],
        grid: [u32; 3],
    ) {
        assert_eq!(binds.len(), kernel.bindings.len(), "{}: bindings", kernel.name);
        assert!(grid.iter().all(|&n| n <= 65_535), "{}: grid {grid:?}", kernel.name);
        assert!(size_of::<P>() as u64 <= PARAM_BYTES);
        if grid.contains(&0) {
            return;
        }
        if self.params.len() / PARAM_BYTES as usize == ARENA_SLOTS {
            assert!(self.bound_later.is_none(), "a tape has at most {ARENA_SLOTS} dispatches");
            self.flush();
        }
        let buffers: Vec<Bound> = binds.iter().map(|b| b.bound()).collect();
        let access = kernel
            .bindings
            .iter()
            .zip(&buffers)
            .map(|(access, bound)| bound.access(*access))
            .collect();
        let pipeline = self.gpu.pipeline(kernel, access, preludes, constants);
        self.params.extend_from_slice(bytemuck::bytes_of(&params));
        self.params.resize(self.params.len().next_multiple_of(PARAM_BYTES as usize), 0);
        if let Some(later) = &mut self.bound_later {
            later.push(BoundLater { pipeline, name: kernel.name, buffers, grid });
            return;
        }
        let bind_group = self.bind_group(kernel.name, &pipeline, buffers);
        self.commands.push(Command::Dispatch { pipeline, bind_group, grid });
    }

    /// Records a copy of `bytes` bytes; offsets and size are multiples of 4.
    pub fn copy(
        &mut self,
        from: &Storage,
        from_offset: u64,
        to: &Storage,
        to_offset: u64,
        bytes: u64,
    ) {
        if bytes > 0 {
            let (from, to) = (from.buffer.clone(), to.buffer.clone());
            self.commands.push(Command::Copy { from, from_offset, to, to_offset, bytes });
        }
    }

    /// Records a copy of `n` rows between tensors of equal width.
    pub fn copy_rows(
        &mut self,
        from: &Tensor,
        from_row: usize,
        to: &Tensor,
        to_row: usize,
        n: usize,
    ) {
        assert_eq!(from.cols, to.cols, "copy_rows: widths");
        assert!(
            from_row + n <= from.rows && to_row + n <= to.rows,
            "copy_rows: {n} rows from {from_row} to {to_row}"
        );
        let row = (from.stride() * 4) as u64;
        self.copy(
            &from.storage,
            from_row as u64 * row,
            &to.storage,
            to_row as u64 * row,
            n as u64 * row,
        );
    }

    /// Ends a recording begun with [`Gpu::tape_recorder`].
    pub fn into_tape(self) -> Tape {
        let later = self.bound_later.expect("a tape is recorded by a tape recorder");
        let inner = &self.gpu.0;
        let params = inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("tape params"),
            size: self.params.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        inner.shared.count_object();
        inner.queue.write_buffer(&params, 0, &self.params);
        let bind = |d: BoundLater| Command::Dispatch {
            bind_group: self.gpu.bind(d.name, &d.pipeline, &params, &d.buffers),
            pipeline: d.pipeline,
            grid: d.grid,
        };
        Tape { commands: later.into_iter().map(bind).collect(), _params: params }
    }

    /// Hands everything recorded so far to the device; it runs in order, after what was submitted
    /// before.
    pub fn submit(mut self) {
        self.flush();
    }

    /// Submits, then waits until the device is done.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    pub async fn finish(mut self) -> Result<()> {
        self.flush();
        self.gpu.idle().await
    }

    pub(super) fn flush(&mut self) {
        let inner = &self.gpu.0;
        let mut encoder =
            inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let alone = self.gpu.watches_dispatches();
        let mut slot = 0u32;
        let mut commands = self.commands.drain(..).peekable();
        while let Some(command) = commands.peek() {
            if let Command::Copy { from, from_offset, to, to_offset, bytes } = command {
                encoder.copy_buffer_to_buffer(from, *from_offset, to, *to_offset, *bytes);
                commands.next();
                continue;
            }
            let Command::Dispatch { pipeline, .. } = command else {
                unreachable!("a copy was dealt with above")
            };
            let mut pass = self.gpu.pass(&mut encoder, &pipeline.label);
            while let Some(Command::Dispatch { pipeline, bind_group, grid }) =
                commands.next_if(|c| matches!(c, Command::Dispatch { .. }))
            {
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, &bind_group, &[slot * PARAM_BYTES as u32]);
                pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                slot += 1;
                if alone {
                    break;
                }
            }
        }
        drop(commands);
        inner.shared.dispatches.fetch_add(slot.into(), Ordering::Relaxed);
        let commands = encoder.finish();
        let turn = inner.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.params.is_empty() {
            inner.queue.write_buffer(&inner.shared.arena, 0, &self.params);
        }
        inner.queue.submit([commands]);
        drop(turn);
        self.params.clear();
    }

    fn bind_group(&self, name: &str, pipeline: &Pipeline, buffers: Vec<Bound>) -> wgpu::BindGroup {
        let shared = &self.gpu.0.shared;
        let mut cache = shared.bind_groups.lock().unwrap_or_else(|e| e.into_inner());
        if cache.len() >= BIND_GROUPS {
            cache.clear();
        }
        let group = cache.entry((pipeline.id, buffers)).or_insert_with_key(|(_, buffers)| {
            self.gpu.bind(name, pipeline, &shared.arena, buffers)
        });
        group.clone()
    }
}

impl Gpu {
    /// A new, empty recording.
    pub fn recorder(&self) -> Recorder<'_> {
        Recorder { gpu: self, commands: Vec::new(), params: Vec::new(), bound_later: None }
    }

    /// A recording that becomes a [`Tape`]; dispatches only.
    pub fn tape_recorder(&self) -> Recorder<'_> {
        Recorder {
            gpu: self,
            commands: Vec::new(),
            params: Vec::new(),
            bound_later: Some(Vec::new()),
        }
    }

    fn bind(
        &self,
        name: &str,
        pipeline: &Pipeline,
        params: &wgpu::Buffer,
        buffers: &[Bound],
    ) -> wgpu::BindGroup {
        let params = wgpu::BufferBinding {
            buffer: params,
            offset: 0,
            size: std::num::NonZeroU64::new(PARAM_BYTES),
        };
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(params),
        }];
        entries.extend(buffers.iter().enumerate().map(|(i, bound)| wgpu::BindGroupEntry {
            binding: i as u32 + 1,
            resource: bound.resource(),
        }));
        self.0.shared.count_object();
        self.0.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(name),
            layout: &pipeline.layout,
            entries: &entries,
        })
    }

    /// Runs a tape `times` times in one submission, then posts the first bytes of `from` to the
    /// host.
    pub fn replay(
        &self,
        tape: &Tape,
        times: usize,
        from: &Storage,
        mailbox: &mut Mailbox,
    ) -> Letter {
        let mut encoder =
            self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let alone = self.watches_dispatches();
        let mut commands = (0..times).flat_map(|_| tape.commands.iter().enumerate()).peekable();
        while let Some((_, Command::Dispatch { pipeline, .. })) = commands.peek() {
            let mut pass = self.pass(&mut encoder, &pipeline.label);
            while let Some((slot, Command::Dispatch { pipeline, bind_group, grid })) =
                commands.next()
            {
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, bind_group, &[slot as u32 * PARAM_BYTES as u32]);
                pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                if alone {
                    break;
                }
            }
        }
        self.0.shared.dispatches.fetch_add((times * tape.commands.len()) as u64, Ordering::Relaxed);
        self.post(encoder, from, mailbox)
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        let shared = &self.0.shared;
        let [dispatches, objects, readbacks, bytes, bytes_peak] = [
            &shared.dispatches,
            &shared.objects,
            &shared.readbacks,
            &shared.bytes,
            &shared.bytes_peak,
        ]
        .map(|c| c.load(Ordering::Relaxed));
        Counters { dispatches, objects, readbacks, bytes, bytes_peak }
    }

    /// Forgets the bind groups, and with them the last references to dropped buffers.
    pub fn forget_bind_groups(&self) {
        self.0.shared.bind_groups.lock().unwrap_or_else(|e| e.into_inner()).clear();
    }

    /// Submits pending writes without any command.
    pub(super) fn flush(&self) {
        self.0.queue.submit([]);
    }
}
