//! Attention of one new token in decoding, with what comes before it: rotation, and writing its key
//! and value into the cache.

use super::Mask;
use super::cache::{HeadShape, KvLayer, pack_cache, words_to_floats};
use super::heads::{self, rope_table};
use super::join::attention_join;
use super::solo::attention_solo;
use crate::gpu::{Kernel, Recorder, Storage, Tensor};
use crate::kernels::check::{Case, F16_LIMIT, random};
use crate::kernels::state::{self, STATE};
use crate::kernels::{Variant, kernel, params};
use crate::quant::Format;

params! { heads: u32, kv_heads: u32, head_dim: u32, dims: u32, k_at: u32, v_at: u32, capacity: u32, scale: f32 }

static KERNEL: Kernel = kernel!("attention/step", [Read, Read, Read, Write, Write, Write]);

/// The prelude for the step's own query, key and value.
pub(super) const NEWEST: &str = include_str!("../../../shaders/common/newest.wgsl");

/// How the keys are shared among workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Positions of one workgroup, at most 2048; 0: a lane takes all of a head's
    /// (`solo`).
    pub span: u32,
    /// Lanes of a workgroup.
    pub lanes: u32,
}

impl Split {
    /// Every way there is.
    pub const ALL: [Split; 5] = [
        Split::SOLO,
        Split { span: 2048, lanes: 32 },
        Split { span: 2048, lanes: 64 },
        Split { span: 2048, lanes: 256 },
        Split { span: 256, lanes: 256 },
    ];

    /// A lane per head: no barriers, and no more lanes than heads.
    pub const SOLO: Split = Split { span: 0, lanes: 8 };

    /// Before anything was measured: software gains nothing from lanes that wait for each other, a
    /// GPU hides its latency with many.
    pub fn guess(software: bool) -> Split {
        if software { Split::SOLO } else { Split::ALL[3] }
    }

    /// Workgroups per head for a cache of `capacity` positions.
    pub fn splits(self, capacity: usize) -> usize {
        if self.span == 0 { 1 } else { capacity.div_ceil(self.span as usize).max(1) }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.span, self.lanes)
    }
}

impl std::str::FromStr for Split {
    type Err = ();

    fn from_str(text: &str) -> Result<Split, ()> {
        Split::ALL.into_iter().find(|split| split.to_string() == text).ok_or(())
    }
}

/// The key under which the split for heads of this shape is chosen.
pub fn key(shape: HeadShape) -> String {
    format!("attention/step {}/{}x{}", shape.heads, shape.kv_heads, shape.head_dim)
}

fn constants(split: Split, splits: usize, dims: usize) -> Vec<(&'static str, u32)> {
    let units = (dims as u32 / 8).next_power_of_two();
    vec![("WG", split.lanes), ("SPAN", split.span), ("SPLITS", splits as u32), ("UNITS", units)]
}

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let all = Split::ALL
        .into_iter()
        .filter(|split| *split != Split::SOLO)
        .flat_map(|split| [(split, 1), (split, 3)]);
    all.map(|(split, splits)| Variant {
        kernel: &KERNEL,
        preludes: vec![STATE, NEWEST],
        constants: constants(split, splits, 64),
    })
    .collect()
}

/// Whether heads of this shape fit the kernel's workgroup memory.
pub fn supports(shape: HeadShape) -> bool {
    shape.dims() <= 256 && shape.head_dim.is_multiple_of(2)
}

/// Values of the scratch memory that [`attention_step`] needs for a cache of `capacity` positions.
pub fn part_values(shape: HeadShape, split: Split, capacity: usize) -> usize {
    match split.splits(capacity) {
        1 => 4,
        splits => shape.heads * splits * (shape.dims() + 2),
    }
}

/// Records one token's `qkv` [1, sections] at the state's position → `out` [1, heads · head_dim];
/// `kv` gains its key and value.
///
/// `rope` [positions, head_dim] holds (cos, sin) pairs; `part` has room for [`part_values`]. The
/// cache holds halves.
#[allow(clippy::too_many_arguments, reason = "one argument per operand of the formula")]
pub fn attention_step(
    rec: &mut Recorder,
    state: &Storage,
    qkv: &Tensor,
    rope: &Storage,
    kv: &KvLayer,
    split: Split,
    part: &Storage,
    out: &Tensor,
) {
    let shape = kv.shape;
    let (k_at, v_at, total) = shape.sections();
    assert!(
        qkv.cols == total && out.cols == shape.heads * shape.head_dim,
        "attention step: widths"
    );
    assert!(
        supports(shape) && kv.format == Format::F16,
        "attention step: {shape:?} in {}",
        kv.format.name()
    );
    if split == Split::SOLO {
        return attention_solo(rec, state, qkv, rope, kv, out);
    }
    let splits = split.splits(kv.capacity);
    let params = Params {
        heads: shape.heads as u32,
        kv_heads: shape.kv_heads as u32,
        head_dim: shape.head_dim as u32,
        dims: shape.dims() as u32,
        k_at: k_at as u32,
        v_at: v_at as u32,
        capacity: kv.capacity as u32,
        scale: heads::scale(shape),
    };
    let constants = constants(split, splits, shape.dims());
    let to = if splits == 1 { &out.storage } else { part };
    rec.dispatch(
        &KERNEL,
        &[STATE, NEWEST],
        &constants,
        params,
        &[state, qkv, rope, &kv.keys, &kv.values, to],
        [shape.heads as u32, splits as u32, 1],
    );
    if splits > 1 {
        attention_join(rec, state, part, shape, splits, out);
    }
}

/// The twin: qkv \[sections\] at `position`, earlier keys and values [position, kv_heads ·
/// head_dim] → (out, key, value).
pub fn reference(
    qkv: &[f32],
    shape: HeadShape,
    rope: &[f32],
    position: usize,
    keys: &[f32],
    values: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let half =
        |x: Vec<f32>| -> Vec<f32> { x.iter().map(|v| half::f16::from_f32(*v).to_f32()).collect() };
    let (q, k, v) = heads::reference(qkv, shape, Some(rope), position);
    let (k, v) = (half(k), half(v));
    let out = super::reference(
        &q,
        &[keys, &k].concat(),
        &[values, &v].concat(),
        shape,
        Mask::Causal(position),
    );
    (out, k, v)
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    Split::ALL
        .into_iter()
        .filter(|split| *split != Split::SOLO)
        .flat_map(|split| cases_by(KERNEL.name, split))
        .collect()
}

/// Cases of one split, which is the kernel `kernel`.
pub(super) fn cases_by(kernel: &'static str, split: Split) -> Vec<Case> {
    let shapes = [
        (1, 1, 2, 0, 32),
        (4, 4, 64, 5, 64),
        (6, 3, 12, 63, 2500),
        (5, 1, 24, 64, 300),
        (2, 2, 128, 2300, 2500),
        (2, 1, 160, 290, 600),
    ];
    let case =
        |(heads_n, kv_heads, head_dim, position, capacity): (usize, usize, usize, usize, usize)| {
            let shape = HeadShape { heads: heads_n, kv_heads, head_dim };
            let name = format!(
                "{kernel} {split} {heads_n}/{kv_heads}x{head_dim} at {position} of {capacity}"
            );
            Case::new(name, F16_LIMIT, async move |gpu| {
                let half = |x: Vec<f32>| -> Vec<f32> {
                    x.iter().map(|v| half::f16::from_f32(*v).to_f32()).collect()
                };
                let qkv: Vec<f32> = random(1, shape.sections().2).iter().map(|v| v * 2.0).collect();
                let (keys, values) = (
                    half(random(2, position * kv_heads * head_dim)),
                    half(random(3, position * kv_heads * head_dim)),
                );
                let inv_freq: Vec<f64> = (0..head_dim / 2)
                    .map(|j| 10_000f64.powf(-2.0 * j as f64 / head_dim as f64))
                    .collect();
                let table = rope_table(&inv_freq, position + 1);
                let (want, k, v) = reference(&qkv, shape, &table, position, &keys, &values);
                let state = state::upload(gpu, |state| state.position = position as u32).await?;
                let rope = gpu.storage("rope", table.len() as u64 * 4).await?;
                gpu.write(&rope, 0, bytemuck::cast_slice(&table));
                let kv = KvLayer::new(gpu, shape, capacity, Format::F16).await?;
                let (k_words, v_words) =
                    pack_cache(&keys, &values, shape, kv.capacity, Format::F16);
                gpu.write(&kv.keys, 0, bytemuck::cast_slice(&k_words));
                gpu.write(&kv.values, 0, bytemuck::cast_slice(&v_words));
                let qkv_gpu = gpu.upload("qkv", &qkv, 1, shape.sections().2).await?;
                let out = gpu.tensor("out", 1, shape.heads * shape.head_dim).await?;
                let part =
                    gpu.storage("part", part_values(shape, split, kv.capacity) as u64 * 4).await?;
                let mut rec = gpu.recorder();
                attention_step(&mut rec, &state, &qkv_gpu, &rope, &kv, split, &part, &out);
                rec.submit();
                let mut got = gpu.read_rows(&out, 0, 1).await?;
                // The cache afterwards, word for word as floats.
                let (k_words, v_words) = pack_cache(
                    &[keys, k].concat(),
                    &[values, v].concat(),
                    shape,
                    kv.capacity,
                    Format::F16,
                );
                let mut all = want;
                for (words, storage) in [(k_words, &kv.keys), (v_words, &kv.values)] {
                    let bytes = gpu.read(storage, 0, words.len() as u64 * 4).await?;
                    got.extend(words_to_floats(&bytes, Format::F16));
                    all.extend(words_to_floats(bytemuck::cast_slice(&words), Format::F16));
                }
                Ok((got, all))
            })
        };
    shapes.into_iter().map(case).collect()
}
