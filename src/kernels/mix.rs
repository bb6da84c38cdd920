//! The resampler's fixed spatial mixing: `out[i, c] = Σ_p map[h, i, p] · values[p, c]`, h the head
//! of column c.
//!
//! Queries and keys of the resampler do not depend on the picture, so their softmax is a constant
//! of the checkpoint (MQT-LLaVA `query_abstractor`: keys are positions alone).

use super::check::{Case, F32_LIMIT, random};
use super::{Variant, groups, kernel, params};
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, Recorder, Storage, Tensor};
use crate::quant::{Format, pair};

params! { patches: u32, cols: u32, stride: u32, head_dim: u32, m_max: u32, map_stride: u32 }

static KERNEL: Kernel = kernel!("mix", [Read, Read, Write]);

/// The attention map on the device: [heads, M, patches], f32 or f16.
#[derive(Clone, Debug)]
pub struct Map {
    storage: Storage,
    format: Format,
    heads: usize,
    m_max: usize,
    patches: usize,
}

fn prelude(format: Format) -> &'static str {
    match format {
        Format::F32 => include_str!("../../shaders/common/map_f32.wgsl"),
        _ => include_str!("../../shaders/common/map_f16.wgsl"),
    }
}

pub(super) fn variants() -> Vec<Variant> {
    [Format::F32, Format::F16]
        .map(|f| Variant { kernel: &KERNEL, preludes: vec![prelude(f)], constants: vec![] })
        .into()
}

/// The words of a map [rows, patches] in `format` (f32 or f16): rows padded to an even length for
/// f16.
pub fn pack_map(map: &[f32], patches: usize, format: Format) -> Vec<u32> {
    match format {
        Format::F32 => map.iter().map(|v| v.to_bits()).collect(),
        _ => map
            .chunks_exact(patches)
            .flat_map(|row| row.chunks(2).map(|p| pair(p[0], p.get(1).copied().unwrap_or(0.0))))
            .collect(),
    }
}

impl Map {
    /// Uploads a map [heads, M, patches] as f32, or as f16.
    ///
    /// # Errors
    /// As [`Gpu::storage`].
    pub async fn upload(
        gpu: &Gpu,
        map: &[f32],
        heads: usize,
        m_max: usize,
        patches: usize,
        format: Format,
    ) -> Result<Map> {
        assert_eq!(map.len(), heads * m_max * patches, "map");
        let words = pack_map(map, patches, format);
        let storage = gpu.storage("resampler map", words.len() as u64 * 4).await?;
        gpu.write(&storage, 0, bytemuck::cast_slice(&words));
        Ok(Map { storage, format, heads, m_max, patches })
    }

    /// The map, [heads, M, patches].
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    pub async fn read(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        let rows = self.heads * self.m_max;
        if self.format == Format::F32 {
            let bytes = gpu.read(&self.storage, 0, (rows * self.patches * 4) as u64).await?;
            return Ok(bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect());
        }
        let stride = self.patches.next_multiple_of(2) * 2;
        let bytes = gpu.read(&self.storage, 0, (rows * stride) as u64).await?;
        let row = |row: &[u8]| {
            row[..2 * self.patches]
                .chunks_exact(2)
                .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect::<Vec<_>>()
        };
        Ok(bytes.chunks_exact(stride).flat_map(row).collect())
    }
}

/// Records values [patches, cols] → rows 0..n of `out` [tokens, cols]; cols = heads · head_dim.
pub fn mix(rec: &mut Recorder, map: &Map, values: &Tensor, n: usize, out: &Tensor) {
    assert!(
        values.rows == map.patches && values.cols == out.cols && n <= out.rows.min(map.m_max),
        "mix: {n} tokens"
    );
    let params = Params {
        patches: map.patches as u32,
        cols: values.cols as u32,
        stride: values.stride() as u32,
        head_dim: (values.cols / map.heads) as u32,
        m_max: map.m_max as u32,
        map_stride: if map.format == Format::F32 {
            map.patches
        } else {
            map.patches.next_multiple_of(2)
        } as u32,
    };
    rec.dispatch(
        &KERNEL,
        &[prelude(map.format)],
        &[],
        params,
        &[&map.storage, values, out],
        [groups(values.cols), n as u32, 1],
    );
}

/// The twin: map [heads, M, patches], values [patches, cols] → [n, cols].
pub fn reference(
    map: &[f32],
    heads: usize,
    m_max: usize,
    values: &[f32],
    cols: usize,
    n: usize,
) -> Vec<f32> {
    let patches = values.len() / cols;
    let head_dim = cols / heads;
    let mut out = vec![0.0f32; n * cols];
    for (i, out) in out.chunks_exact_mut(cols).enumerate() {
        for (head, out) in out.chunks_exact_mut(head_dim).enumerate() {
            let weights = &map[(head * m_max + i) * patches..][..patches];
            for (weight, row) in weights.iter().zip(values.chunks_exact(cols)) {
                for (o, v) in out.iter_mut().zip(&row[head * head_dim..]) {
                    *o += weight * v;
                }
            }
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for format in [Format::F32, Format::F16] {
        for (heads, head_dim, m_max, patches) in [(1, 1, 1, 1), (2, 33, 9, 35), (4, 48, 64, 64)] {
            cases.push(Case::new(
                format!("mix {} {heads}x{head_dim} {m_max} of {patches}", format.name()),
                F32_LIMIT,
                async move |gpu| {
                    let cols = heads * head_dim;
                    let n = m_max.min(7);
                    let mut map = random(1, heads * m_max * patches);
                    if format == Format::F16 {
                        map.iter_mut().for_each(|v| *v = half::f16::from_f32(*v).to_f32());
                    }
                    let values = random(2, patches * cols);
                    let map_gpu = Map::upload(gpu, &map, heads, m_max, patches, format).await?;
                    let values_gpu = gpu.upload("values", &values, patches, cols).await?;
                    let out = gpu.tensor("out", n, cols).await?;
                    let mut rec = gpu.recorder();
                    mix(&mut rec, &map_gpu, &values_gpu, n, &out);
                    rec.submit();
                    Ok((
                        gpu.read_rows(&out, 0, n).await?,
                        reference(&map, heads, m_max, &values, cols, n),
                    ))
                },
            ));
        }
    }
    cases
}
