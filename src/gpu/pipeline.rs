//! Kernel text + constants → compute pipeline, made once.

use super::device::Gpu;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How a kernel uses a storage binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    Write,
    /// `var<uniform>`: what [`Access::Read`] becomes where a [`super::Window`] is bound
    Uniform,
    /// `texture_2d<u32>`: what [`Access::Read`] becomes where a [`super::tensor::Plane`] in a
    /// texture is bound
    Texture,
}

/// A compute kernel: its name (the stem of its file), its text, and how it binds.
///
/// Binding 0 is the uniform `params`; storage bindings follow in the order of `bindings`.
#[derive(Debug)]
pub struct Kernel {
    /// The stem of the file in `shaders/`; also the pipeline's label.
    pub name: &'static str,
    /// The shader's own text.
    pub source: &'static str,
    /// How each storage binding is used, from binding 1 on.
    pub bindings: &'static [Access],
    /// The fields of the uniform `Params`, in order.
    pub params: &'static [&'static str],
}

/// One compiled variant.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) id: usize,
    /// The kernel's name and constants, to show.
    pub(super) label: String,
}

/// Preludes and constants that pick a variant.
type Key = (&'static str, Vec<Access>, Vec<&'static str>, Vec<(&'static str, u32)>);

#[derive(Default)]
pub(super) struct Pipelines(Mutex<HashMap<Key, Arc<Pipeline>>>);

impl Pipelines {
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).len()
    }

    /// Kernels of which some variant was compiled.
    #[cfg(all(test, feature = "native"))]
    pub(super) fn kernels(&self) -> std::collections::BTreeSet<&'static str> {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).keys().map(|(name, ..)| *name).collect()
    }
}

/// The full WGSL of a variant: constants, preludes, the kernel.
pub(crate) fn assemble(kernel: &Kernel, preludes: &[&str], constants: &[(&str, u32)]) -> String {
    let texts = || preludes.iter().copied().chain([kernel.source]);
    let is_enable = |line: &&str| line.starts_with("enable ");
    // WGSL wants its directives first.
    let mut text: String =
        texts().flat_map(str::lines).filter(is_enable).map(|line| format!("{line}\n")).collect();
    for (name, value) in constants {
        text += &format!("const {name}: u32 = {value}u;\n");
    }
    for line in texts().flat_map(str::lines).filter(|line| !is_enable(line)) {
        text += line;
        text += "\n";
    }
    text
}

impl Gpu {
    /// The pipeline of this variant, compiled on first use.
    pub(super) fn pipeline(
        &self,
        kernel: &Kernel,
        access: Vec<Access>,
        preludes: &[&'static str],
        constants: &[(&'static str, u32)],
    ) -> Arc<Pipeline> {
        let key: Key = (kernel.name, access, preludes.to_vec(), constants.to_vec());
        let mut all = self.0.pipelines.0.lock().unwrap_or_else(|e| e.into_inner());
        let id = all.len();
        all.entry(key)
            .or_insert_with_key(|(_, access, ..)| {
                let label =
                    constants.iter().fold(kernel.name.to_owned(), |label, (name, value)| {
                        format!("{label} {name}={value}")
                    });
                Arc::new(self.compile(
                    kernel.name,
                    access,
                    &assemble(kernel, preludes, constants),
                    id,
                    label,
                ))
            })
            .clone()
    }

    fn compile(
        &self,
        name: &str,
        access: &[Access],
        text: &str,
        id: usize,
        own: String,
    ) -> Pipeline {
        let device = &self.0.device;
        let module = shader_module(device, name, text);
        self.0.shared.count_object();
        let entry = |binding: usize, ty| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let buffer = |ty, dynamic| wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: dynamic,
            min_binding_size: None,
        };
        let mut entries = vec![entry(0, buffer(wgpu::BufferBindingType::Uniform, true))];
        for (i, access) in access.iter().enumerate() {
            let ty = match access {
                Access::Read => buffer(wgpu::BufferBindingType::Storage { read_only: true }, false),
                Access::Write => {
                    buffer(wgpu::BufferBindingType::Storage { read_only: false }, false)
                }
                Access::Uniform => buffer(wgpu::BufferBindingType::Uniform, false),
                Access::Texture => wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Uint,
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
            };
            entries.push(entry(i + 1, ty));
        }
        let label = Some(name);
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label,
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        Pipeline { pipeline, layout, id, label: own }
    }
}

/// Compiles a module without the checks that native drivers would run on every load and loop.
#[allow(unsafe_code, reason = "wgpu marks trusting a shader as unsafe")]
fn shader_module(device: &wgpu::Device, label: &str, text: &str) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    };
    if cfg!(debug_assertions) {
        return device.create_shader_module(descriptor);
    }
    // SAFETY: every kernel guards its tails, its loops end, and workgroup memory is written before
    // it is read; every variant runs against its twin with the checks on (debug builds). Browsers
    // keep their own checks.
    let checks = wgpu::ShaderRuntimeChecks {
        bounds_checks: false,
        force_loop_bounding: false,
        ..wgpu::ShaderRuntimeChecks::checked()
    };
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}
