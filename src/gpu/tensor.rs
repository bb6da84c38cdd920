//! Buffers with a shape: [`Tensor`] for activations, [`Matrix`] for weights in panel layout.

use super::device::Gpu;
use crate::error::{Error, Result};
use crate::quant::{Format, PANEL, Packed, padded_cols};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A storage buffer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    pub(super) buffer: wgpu::Buffer,
    bytes: u64,
    _counted: Arc<Counted>,
}

/// Counts a buffer's bytes as long as somebody holds it.
#[derive(Debug)]
struct Counted {
    bytes: u64,
    live: Arc<AtomicU64>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Storage {
    /// Size in bytes, a multiple of 16.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Activations or small constants: f32, [rows, cols], rows `stride` apart; the columns beyond
/// `cols` are zero.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The memory.
    pub storage: Storage,
    /// Number of rows.
    pub rows: usize,
    /// Number of meaningful columns.
    pub cols: usize,
}

impl Tensor {
    /// Elements between rows: [`padded_cols`] of `cols`.
    pub fn stride(&self) -> usize {
        padded_cols(self.cols)
    }

    /// These rows, which must exist.
    pub fn slice(&self, rows: Range<usize>) -> Rows<'_> {
        assert!(rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        Rows { tensor: self, first: rows.start, n: rows.len() }
    }
}

/// Consecutive rows of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The tensor.
    pub tensor: &'a Tensor,
    /// The first of them.
    pub first: usize,
    /// How many.
    pub n: usize,
}

/// Weights [rows, cols] in panel layout; one part unless it is larger than a binding may be.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// How values are stored.
    pub format: Format,
    /// Rows without padding.
    pub rows: usize,
    /// Columns without padding.
    pub cols: usize,
    /// Whether what it is multiplied with may be rounded to bytes: the decoder's may, under
    /// `--arithmetic fast`.
    pub may_round: bool,
    /// The pieces, in order of rows.
    pub parts: Vec<MatrixPart>,
}

/// A run of whole panels of a [`Matrix`].
#[derive(Clone, Debug)]
pub struct MatrixPart {
    /// First row, a multiple of 32.
    pub first_row: usize,
    /// Rows of this part, without padding.
    pub rows: usize,
    /// The data plane.
    pub data: Plane,
    /// The scale plane; a few unused bytes for formats without scales.
    pub scales: Storage,
}

/// A data plane: 16-byte chunks in a buffer, or in a texture where the driver loads texels faster.
#[derive(Clone, Debug)]
pub enum Plane {
    /// `array<vec4<u32>>`
    Buffer(Storage),
    /// [`Texture::WIDTH`] chunks a row
    Texture(Texture),
}

/// A texture of 16-byte texels.
#[derive(Clone, Debug)]
pub struct Texture {
    pub(super) view: wgpu::TextureView,
    _counted: Arc<Counted>,
}

impl Texture {
    /// Texels of a row, as `common/data_texture.wgsl` has it: little is lost in the last one, and
    /// 8192 rows, the most that WebGPU promises, hold 128 MiB, the most that it binds of a buffer.
    pub const WIDTH: usize = 1024;
}

impl Matrix {
    /// Whether its data lies in textures.
    pub fn in_textures(&self) -> bool {
        matches!(self.parts.first(), Some(MatrixPart { data: Plane::Texture(_), .. }))
    }
}

impl Gpu {
    /// A zeroed storage buffer of at least `bytes` bytes.
    ///
    /// # Errors
    /// [`Error::LimitTooSmall`] above the binding limit, [`Error::OutOfMemory`] when the device has
    /// no room.
    pub async fn storage(&self, what: &str, bytes: u64) -> Result<Storage> {
        self.buffer(what, bytes, wgpu::BufferUsages::empty()).await
    }

    async fn buffer(&self, what: &str, bytes: u64, also: wgpu::BufferUsages) -> Result<Storage> {
        let bytes = bytes.max(16).next_multiple_of(16);
        self.bindable(what, bytes)?;
        self.check()?;
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST
            | also;
        let descriptor = wgpu::BufferDescriptor {
            label: Some(what),
            size: bytes,
            usage,
            mapped_at_creation: false,
        };
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.0.device.create_buffer(&descriptor);
        if scope.pop().await.is_some() {
            return Err(Error::OutOfMemory { what: what.to_owned(), bytes });
        }
        let live = self.0.shared.count_bytes(bytes);
        Ok(Storage { buffer, bytes, _counted: Arc::new(Counted { bytes, live }) })
    }

    fn bindable(&self, what: &str, need: u64) -> Result<()> {
        let (limit, have) = ("maxStorageBufferBindingSize", self.max_binding_bytes());
        if need <= have {
            Ok(())
        } else {
            Err(Error::LimitTooSmall { what: what.to_owned(), limit, need, have })
        }
    }

    /// A zeroed tensor.
    ///
    /// # Errors
    /// As [`Gpu::storage`].
    pub async fn tensor(&self, what: &str, rows: usize, cols: usize) -> Result<Tensor> {
        // Kernels may read rows of it through a window.
        let storage = self
            .buffer(what, (rows * padded_cols(cols) * 4) as u64, wgpu::BufferUsages::UNIFORM)
            .await?;
        Ok(Tensor { storage, rows, cols })
    }

    /// A tensor holding `values` [rows, cols], row-major.
    ///
    /// # Errors
    /// As [`Gpu::storage`].
    pub async fn upload(
        &self,
        what: &str,
        values: &[f32],
        rows: usize,
        cols: usize,
    ) -> Result<Tensor> {
        let tensor = self.tensor(what, rows, cols).await?;
        self.write_rows(&tensor, 0, values);
        Ok(tensor)
    }

    /// Overwrites rows from `first` on with `values` [n, cols], row-major, before anything
    /// submitted later runs.
    pub fn write_rows(&self, tensor: &Tensor, first: usize, values: &[f32]) {
        let (cols, stride) = (tensor.cols, tensor.stride());
        let rows = values.len() / cols;
        assert!(
            first + rows <= tensor.rows && values.len() == rows * cols,
            "write_rows: {rows} x {cols} at {first} of {}",
            tensor.rows
        );
        let mut padded = vec![0.0f32; rows * stride];
        for (out, row) in padded.chunks_exact_mut(stride).zip(values.chunks_exact(cols)) {
            out[..cols].copy_from_slice(row);
        }
        self.write(&tensor.storage, (first * stride * 4) as u64, bytemuck::cast_slice(&padded));
    }

    /// Writes words at an offset in bytes, before anything submitted later runs.
    pub fn write(&self, storage: &Storage, offset: u64, bytes: &[u8]) {
        // wgpu keeps a copy per call; pieces bound the staging memory of large weights.
        for (i, piece) in bytes.chunks(8 << 20).enumerate() {
            self.0.queue.write_buffer(&storage.buffer, offset + (i as u64) * (8 << 20), piece);
        }
    }

    async fn filled(&self, what: &str, data: &[u32]) -> Result<Storage> {
        let storage = self.storage(what, size_of_val(data) as u64).await?;
        self.write(&storage, 0, bytemuck::cast_slice(data));
        Ok(storage)
    }

    /// A texture that holds `data`, whole chunks.
    async fn texture(&self, what: &str, data: &[u32]) -> Result<Texture> {
        self.bindable(what, size_of_val(data) as u64)?;
        self.check()?;
        const ROW: usize = Texture::WIDTH * 4;
        const PIECE: usize = (8 << 20) / (ROW * 4);
        let size = |width: usize, height: usize| wgpu::Extent3d {
            width: width as u32,
            height: height as u32,
            depth_or_array_layers: 1,
        };
        let height = data.len().div_ceil(ROW).max(1);
        let bytes = (height * ROW * 4) as u64;
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let texture = self.0.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(what),
            size: size(Texture::WIDTH, height),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Uint,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        if scope.pop().await.is_some() {
            return Err(Error::OutOfMemory { what: what.to_owned(), bytes });
        }
        let write = |row: usize, data: &[u32], extent| {
            let to = wgpu::TexelCopyTextureInfo {
                origin: wgpu::Origin3d { x: 0, y: row as u32, z: 0 },
                ..texture.as_image_copy()
            };
            let layout = wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(ROW as u32 * 4),
                rows_per_image: None,
            };
            self.0.queue.write_texture(to, bytemuck::cast_slice(data), layout, extent);
        };
        let (whole, rest) = data.split_at(data.len() / ROW * ROW);
        // In pieces, as in `write`.
        for (i, piece) in whole.chunks(PIECE * ROW).enumerate() {
            write(i * PIECE, piece, size(Texture::WIDTH, piece.len() / ROW));
        }
        if !rest.is_empty() {
            write(whole.len() / ROW, rest, size(rest.len() / 4, 1));
        }
        let live = self.0.shared.count_bytes(bytes);
        Ok(Texture {
            view: texture.create_view(&wgpu::TextureViewDescriptor::default()),
            _counted: Arc::new(Counted { bytes, live }),
        })
    }

    /// Uploads a packed matrix, split between panels where it exceeds the binding limit.
    ///
    /// # Errors
    /// As [`Gpu::storage`]; [`Error::LimitTooSmall`] only if a single panel is too large.
    pub async fn upload_matrix(&self, what: &str, packed: &Packed) -> Result<Matrix> {
        // llvmpipe loads storage lane by lane under a mask, and texels without one.
        self.upload_matrix_as(what, packed, self.is_software()).await
    }

    /// The same into textures or buffers.
    ///
    /// # Errors
    /// As [`Gpu::upload_matrix`].
    pub async fn upload_matrix_as(
        &self,
        what: &str,
        packed: &Packed,
        textures: bool,
    ) -> Result<Matrix> {
        let (data_words, scale_words) = (packed.panel_data_words(), packed.panel_scale_words());
        let panels_per_part = (self.max_binding_bytes() / (data_words as u64 * 4)).max(1) as usize;
        let mut parts = Vec::new();
        let mut first = 0;
        while first < packed.panels() {
            let panels = panels_per_part.min(packed.panels() - first);
            let data = &packed.data[first * data_words..][..panels * data_words];
            let scales = &packed.scales[first * scale_words..][..panels * scale_words];
            let part = MatrixPart {
                first_row: first * PANEL,
                rows: (packed.rows - first * PANEL).min(panels * PANEL),
                data: if textures {
                    Plane::Texture(self.texture(what, data).await?)
                } else {
                    Plane::Buffer(self.filled(what, data).await?)
                },
                scales: self.filled(what, scales).await?,
            };
            // Hand the staging memory to the driver now: a model's worth of pending writes would
            // double its size.
            self.flush();
            parts.push(part);
            first += panels;
        }
        Ok(Matrix {
            format: packed.format,
            rows: packed.rows,
            cols: packed.cols,
            may_round: false,
            parts,
        })
    }
}
