//! The cache of keys and values, and the shape of the heads in it.

use crate::error::Result;
use crate::gpu::{Gpu, Storage};
use crate::quant::{Format, PANEL, padded_rows, pair};

/// Heads of one attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; query head j reads j / (heads / kv_heads).
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl HeadShape {
    /// Width of a head in caches and in q: padded to 8.
    #[doc(hidden)]
    pub fn dims(&self) -> usize {
        self.head_dim.next_multiple_of(8)
    }

    /// Columns of [q | k | v], each section padded to whole panels: (k starts at, v starts at,
    /// total).
    #[doc(hidden)]
    pub fn sections(&self) -> (usize, usize, usize) {
        let q = padded_rows(self.heads * self.head_dim);
        let kv = padded_rows(self.kv_heads * self.head_dim);
        (q, q + kv, q + 2 * kv)
    }
}

/// Keys and values of one layer on the device.
#[derive(Clone, Debug)]
pub struct KvLayer {
    /// [kv_heads, capacity / 32, dims / 4 or 8, 32 keys] of 16 bytes.
    pub keys: Storage,
    /// [kv_heads, capacity, dims / 2] of two values.
    pub values: Storage,
    /// Its heads.
    pub shape: HeadShape,
    /// Positions, a multiple of 32.
    pub capacity: usize,
    /// [`Format::F32`] or [`Format::F16`].
    pub format: Format,
}

impl KvLayer {
    /// Room for `positions` positions.
    ///
    /// # Errors
    /// As [`Gpu::storage`].
    pub async fn new(
        gpu: &Gpu,
        shape: HeadShape,
        positions: usize,
        format: Format,
    ) -> Result<KvLayer> {
        let capacity = padded_rows(positions);
        let bytes = KvLayer::bytes(shape, positions, format) / 2;
        let keys = gpu.storage("keys", bytes).await?;
        let values = gpu.storage("values", bytes).await?;
        Ok(KvLayer { keys, values, shape, capacity, format })
    }

    /// Bytes of keys and values together.
    pub fn bytes(shape: HeadShape, positions: usize, format: Format) -> u64 {
        let element = if format == Format::F32 { 4 } else { 2 };
        2 * (padded_rows(positions) * shape.kv_heads * shape.dims() * element) as u64
    }
}

/// The prelude that reads keys and values of `format`.
pub(in crate::kernels) fn read_prelude(format: Format) -> &'static str {
    match format {
        Format::F32 => include_str!("../../../shaders/common/kv_f32.wgsl"),
        _ => include_str!("../../../shaders/common/kv_f16.wgsl"),
    }
}

/// The words of a cache layer holding `keys` and `values` [n, kv_heads · head_dim] from position 0
/// on: the layout's definition, for tests.
pub(super) fn pack_cache(
    keys: &[f32],
    values: &[f32],
    shape: HeadShape,
    capacity: usize,
    format: Format,
) -> (Vec<u32>, Vec<u32>) {
    let (dims, width) = (shape.dims(), shape.kv_heads * shape.head_dim);
    let key_dims = if format == Format::F32 { 4 } else { 8 };
    let n = keys.len() / width;
    let at = |x: &[f32], head: usize, p: usize, d: usize| {
        if p < n && d < shape.head_dim { x[p * width + head * shape.head_dim + d] } else { 0.0 }
    };
    let (mut k, mut v) = (Vec::new(), Vec::new());
    let put = |out: &mut Vec<u32>, a: f32, b: f32| match format {
        Format::F32 => out.extend([a.to_bits(), b.to_bits()]),
        _ => out.push(pair(a, b)),
    };
    for head in 0..shape.kv_heads {
        for panel in 0..capacity / PANEL {
            for unit in 0..dims / key_dims {
                for lane in 0..PANEL {
                    for d in (unit * key_dims..(unit + 1) * key_dims).step_by(2) {
                        let p = panel * PANEL + lane;
                        put(&mut k, at(keys, head, p, d), at(keys, head, p, d + 1));
                    }
                }
            }
        }
        for p in 0..capacity {
            for d in (0..dims).step_by(2) {
                put(&mut v, at(values, head, p, d), at(values, head, p, d + 1));
            }
        }
    }
    (k, v)
}

/// Words of a cache as floats, in the order they lie.
pub(super) fn words_to_floats(bytes: &[u8], format: Format) -> Vec<f32> {
    match format {
        Format::F32 => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        _ => {
            bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
    }
}
