//! Limits and the device. The only file that asks for more than WebGPU's defaults: two features
//! that are used for measuring where they exist.

use super::adapter::AdapterInfo;
use super::chosen::Chosen;
use super::pace::Pace;
use super::pipeline::Pipelines;
use super::profile::Profile;
use super::readback::Poller;
use super::recorder::Shared;
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// An opened device: everything the kernels need to run.
///
/// Cheap to clone; clones share the device, its pipelines and its buffers' bind groups.
#[derive(Clone)]
pub struct Gpu(pub(super) Arc<Inner>);

/// Why nothing that the device computes can be relied on any more.
#[derive(Debug)]
pub(super) enum Trouble {
    Lost(String),
    /// A buffer that was created without waiting for the device's word found no room.
    OutOfMemory,
}

pub(super) struct Inner {
    /// First, so that its thread has let go of the device before the rest is dropped.
    pub(super) poller: Poller,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Pipelines,
    pub(super) shared: Shared,
    pub(super) pace: Pace,
    pub(super) chosen: Chosen,
    pub(super) profile: Profile,
    pub(super) lost: Arc<Mutex<Option<Trouble>>>,
    info: AdapterInfo,
    packed_dot: AtomicBool,
    limits: wgpu::Limits,
    binding_limit: AtomicU64,
}

impl Gpu {
    #[allow(
        clippy::arc_with_non_send_sync,
        reason = "in the browser WebGPU's handles stay on their thread; natively they do not"
    )]
    /// Opens an adapter with WebGPU's default limits.
    pub(super) async fn from_adapter(adapter: &wgpu::Adapter, packed_dot: bool) -> Result<Gpu> {
        let info = AdapterInfo::of(&adapter.get_info());
        let refused = |why: String| Error::DeviceRefused { adapter: info.name.clone(), why };
        let limits = wgpu::Limits::default();
        let mut descriptor = wgpu::DeviceDescriptor {
            label: Some("mqt"),
            required_limits: limits.clone(),
            ..Default::default()
        };
        // No network kernel needs them; a driver that lists and then refuses them is used without.
        descriptor.required_features =
            adapter.features() & (wgpu::Features::SHADER_F16 | wgpu::Features::TIMESTAMP_QUERY);
        let (device, queue) = match adapter.request_device(&descriptor).await {
            Ok(opened) => opened,
            Err(_)
                if !descriptor.required_features.is_empty()
                    && cfg!(not(target_arch = "wasm32")) =>
            {
                descriptor.required_features = wgpu::Features::empty();
                adapter.request_device(&descriptor).await.map_err(|e| refused(e.to_string()))?
            }
            Err(error) => return Err(refused(error.to_string())),
        };
        let lost = Arc::new(Mutex::new(None));
        let note = |lost: &Mutex<Option<Trouble>>, why: Trouble| {
            // The first reason is the cause; what follows are its consequences.
            lost.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(why);
        };
        let seen = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed || !message.is_empty() {
                note(&seen, Trouble::Lost(format!("{message} ({reason:?})")));
            }
        });
        let seen = lost.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let memory = matches!(error, wgpu::Error::OutOfMemory { .. });
            note(
                &seen,
                if memory { Trouble::OutOfMemory } else { Trouble::Lost(error.to_string()) },
            );
        }));
        let poller = Poller::new(&device);
        let shared = Shared::new(&device);
        let binding_limit = AtomicU64::new(limits.max_storage_buffer_binding_size);
        Ok(Gpu(Arc::new(Inner {
            pipelines: Pipelines::default(),
            device,
            queue,
            shared,
            poller,
            pace: Pace::default(),
            chosen: Chosen::default(),
            profile: Profile::default(),
            lost,
            info,
            packed_dot: AtomicBool::new(packed_dot),
            limits,
            binding_limit,
        })))
    }

    /// The adapter's name and kind.
    pub fn info(&self) -> &AdapterInfo {
        &self.0.info
    }

    /// The largest storage binding in bytes; larger matrices are split between panels.
    pub fn max_binding_bytes(&self) -> u64 {
        self.0.binding_limit.load(Ordering::Relaxed)
    }

    /// Lowers the binding limit, so that tests reach the splitting with small matrices.
    #[cfg(test)]
    pub(crate) fn limit_bindings(&self, bytes: u64) {
        self.0.binding_limit.store(bytes, Ordering::Relaxed);
    }

    /// Limits the device was opened with, by WebGPU's names.
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let l = &self.0.limits;
        vec![
            ("maxStorageBufferBindingSize", l.max_storage_buffer_binding_size),
            ("maxBufferSize", l.max_buffer_size),
            ("maxStorageBuffersPerShaderStage", l.max_storage_buffers_per_shader_stage.into()),
            ("maxComputeWorkgroupStorageSize", l.max_compute_workgroup_storage_size.into()),
            ("maxComputeInvocationsPerWorkgroup", l.max_compute_invocations_per_workgroup.into()),
        ]
    }

    /// Whether the adapter is a program on the processor.
    pub fn is_software(&self) -> bool {
        self.0.info.is_software()
    }

    /// Whether shaders may compute with halves (`shader-f16`).
    pub fn has_f16(&self) -> bool {
        self.0.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// Whether WGSL has products of packed bytes here (`packed_4x8_integer_dot_product`).
    pub fn has_packed_dot(&self) -> bool {
        self.0.packed_dot.load(Ordering::Relaxed)
    }

    /// Does without them, so that tests reach the text for devices that have to.
    #[cfg(test)]
    pub(crate) fn forget_packed_dot(&self) {
        self.0.packed_dot.store(false, Ordering::Relaxed);
    }

    /// Whether the device can time its own passes.
    pub fn has_timestamps(&self) -> bool {
        self.0.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Number of pipelines compiled so far.
    pub fn pipeline_count(&self) -> usize {
        self.0.pipelines.count()
    }

    /// Kernels that have run, by name.
    #[cfg(all(test, feature = "native"))]
    pub(crate) fn kernels(&self) -> std::collections::BTreeSet<&'static str> {
        self.0.pipelines.kernels()
    }

    /// The error behind a lost device, if it was lost.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] once the driver dropped the device or refused a command;
    /// [`Error::OutOfMemory`] if that was because one of the small buffers found no room.
    pub fn check(&self) -> Result<()> {
        match &*self.0.lost.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(Trouble::Lost(why)) => Err(Error::DeviceLost { why: why.clone() }),
            Some(Trouble::OutOfMemory) => {
                Err(Error::OutOfMemory { what: "parameters or results".into(), bytes: 0 })
            }
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.0.info.name)
    }
}
