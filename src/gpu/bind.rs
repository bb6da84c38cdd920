//! What a dispatch binds: a buffer, a window of one, or a texture.

use super::pipeline::Access;
use super::tensor::{Plane, Storage, Tensor};

/// Something a kernel can bind.
pub trait Bind {
    /// What is bound.
    fn bound(&self) -> Bound;
}

/// The device's object behind a binding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bound(Object);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Object {
    Buffer(wgpu::Buffer),
    /// A range of a buffer: offset and bytes.
    Window(wgpu::Buffer, u64, u64),
    Texture(wgpu::TextureView),
}

impl Bound {
    /// How a kernel that declares `declared` gets at it.
    pub(super) fn access(&self, declared: Access) -> Access {
        match (&self.0, declared) {
            (Object::Window(..), Access::Read) => Access::Uniform,
            (Object::Texture(_), Access::Read) => Access::Texture,
            (Object::Buffer(_), _) => declared,
            _ => panic!("windows and textures are only read"),
        }
    }

    pub(super) fn resource(&self) -> wgpu::BindingResource<'_> {
        match &self.0 {
            Object::Buffer(buffer) => buffer.as_entire_binding(),
            &Object::Window(ref buffer, offset, bytes) => {
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset,
                    size: std::num::NonZeroU64::new(bytes),
                })
            }
            Object::Texture(view) => wgpu::BindingResource::TextureView(view),
        }
    }
}

impl Bind for Storage {
    fn bound(&self) -> Bound {
        Bound(Object::Buffer(self.buffer.clone()))
    }
}

impl Bind for Tensor {
    fn bound(&self) -> Bound {
        self.storage.bound()
    }
}

impl Bind for Plane {
    fn bound(&self) -> Bound {
        match self {
            Plane::Buffer(storage) => storage.bound(),
            Plane::Texture(texture) => Bound(Object::Texture(texture.view.clone())),
        }
    }
}

/// Rows of a tensor, to be read as a uniform.
pub struct Window<'a> {
    tensor: &'a Tensor,
    first: usize,
    rows: usize,
}

impl<'a> Window<'a> {
    /// The most bytes a window may have: WebGPU's default `maxUniformBufferBindingSize`.
    pub const BYTES: usize = 65_536;

    /// Rows `first..first + rows`; at most [`Window::BYTES`].
    pub fn new(tensor: &'a Tensor, first: usize, rows: usize) -> Window<'a> {
        assert!(
            first + rows <= tensor.rows && rows * tensor.stride() * 4 <= Window::BYTES,
            "a window of {rows} rows from {first}"
        );
        Window { tensor, first, rows }
    }
}

impl Bind for Window<'_> {
    fn bound(&self) -> Bound {
        // Rows are padded to 64 values, which is the alignment that offsets of uniforms need.
        let row = self.tensor.stride() as u64 * 4;
        Bound(Object::Window(
            self.tensor.storage.buffer.clone(),
            self.first as u64 * row,
            self.rows as u64 * row,
        ))
    }
}
