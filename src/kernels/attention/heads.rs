//! Cuts rows of [q | k | v] into heads, rotates them (RoPE) and writes keys and values into the
//! cache.
//!
//! Rotation partners are neighbours (2i, 2i + 1): the loaders reorder the rows of Wq and Wk, which
//! leaves scores unchanged. Upstream: `apply_rotary_pos_emb` with rotate-half partners (i, i +
//! head_dim / 2).

use super::cache::{HeadShape, KvLayer, pack_cache, read_prelude, words_to_floats};
use crate::gpu::{Kernel, Recorder, Storage, Tensor};
use crate::kernels::check::{Case, F16_LIMIT, F32_LIMIT, random};
use crate::kernels::{Variant, groups, kernel, params};
use crate::quant::Format;

params! { heads: u32, kv_heads: u32, head_dim: u32, dims: u32, stride: u32, k_at: u32, v_at: u32, position: u32, capacity: u32, scale: f32 }

static KERNEL: Kernel = kernel!("attention/heads", [Read, Read, Write, Write, Write]);

fn write_prelude(format: Format) -> &'static str {
    match format {
        Format::F32 => include_str!("../../../shaders/common/kv_write_f32.wgsl"),
        _ => include_str!("../../../shaders/common/kv_write_f16.wgsl"),
    }
}

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let all = [(Format::F32, 0), (Format::F32, 1), (Format::F16, 0), (Format::F16, 1)];
    all.map(|(f, rope)| Variant {
        kernel: &KERNEL,
        preludes: vec![read_prelude(f), write_prelude(f)],
        constants: vec![("ROPE", rope)],
    })
    .into()
}

/// Records qkv [≥ n, sections] → `q` [tokens, heads · dims], scaled by head_dim^-½, and keys and
/// values at positions `position..position + n`.
///
/// `rope` [positions, head_dim] holds (cos, sin) pairs; without it nothing is rotated.
pub fn heads(
    rec: &mut Recorder,
    qkv: &Tensor,
    n: usize,
    rope: Option<&Storage>,
    position: usize,
    q: &Storage,
    kv: &KvLayer,
) {
    let shape = kv.shape;
    let (k_at, v_at, total) = shape.sections();
    assert!(
        qkv.cols == total && n <= qkv.rows && position + n <= kv.capacity,
        "heads: {n} tokens at {position} of {}",
        kv.capacity
    );
    let params = Params {
        heads: shape.heads as u32,
        kv_heads: shape.kv_heads as u32,
        head_dim: shape.head_dim as u32,
        dims: shape.dims() as u32,
        stride: qkv.stride() as u32,
        k_at: k_at as u32,
        v_at: v_at as u32,
        position: position as u32,
        capacity: kv.capacity as u32,
        scale: scale(shape),
    };
    let key_dims = if kv.format == Format::F32 { 4 } else { 8 };
    let units = shape.heads * shape.dims() / 4
        + shape.kv_heads * (shape.dims() / key_dims + shape.dims() / 2);
    let preludes = [read_prelude(kv.format), write_prelude(kv.format)];
    let constants = [("ROPE", u32::from(rope.is_some()))];
    let rope = rope.unwrap_or(&qkv.storage);
    rec.dispatch(
        &KERNEL,
        &preludes,
        &constants,
        params,
        &[qkv, rope, q, &kv.keys, &kv.values],
        [groups(units), n as u32, 1],
    );
}

pub(super) fn scale(shape: HeadShape) -> f32 {
    (1.0 / (shape.head_dim as f64).sqrt()) as f32
}

/// (cos, sin) of every position: [positions, head_dim / 2] pairs, computed in f64 and rounded once.
pub fn rope_table(inv_freq: &[f64], positions: usize) -> Vec<f32> {
    (0..positions)
        .flat_map(|p| {
            inv_freq.iter().flat_map(move |f| {
                let (sin, cos) = (p as f64 * f).sin_cos();
                [cos as f32, sin as f32]
            })
        })
        .collect()
}

/// The twin's result: q [n, heads · head_dim] scaled, k and v [n, kv_heads · head_dim].
pub type Heads = (Vec<f32>, Vec<f32>, Vec<f32>);

/// The twin: qkv [n, sections] → (q, k, v). `rope` is [`rope_table`]'s.
pub fn reference(qkv: &[f32], shape: HeadShape, rope: Option<&[f32]>, position: usize) -> Heads {
    let (k_at, v_at, total) = shape.sections();
    let (mut q, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new());
    for (t, row) in qkv.chunks_exact(total).enumerate() {
        let rotate = |x: &[f32]| -> Vec<f32> {
            let Some(rope) = rope else { return x.to_vec() };
            let table = &rope[(position + t) * shape.head_dim..][..shape.head_dim];
            let turned = x.iter().enumerate().map(|(i, _)| {
                let d = i % shape.head_dim / 2 * 2;
                let (cos, sin) = (table[d], table[d + 1]);
                if i % 2 == 0 { x[i] * cos - x[i + 1] * sin } else { x[i] * cos + x[i - 1] * sin }
            });
            turned.collect()
        };
        q.extend(rotate(&row[..shape.heads * shape.head_dim]).iter().map(|x| x * scale(shape)));
        k.extend(rotate(&row[k_at..][..shape.kv_heads * shape.head_dim]));
        v.extend_from_slice(&row[v_at..][..shape.kv_heads * shape.head_dim]);
    }
    (q, k, v)
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes = [(1, 1, 2), (4, 4, 64), (6, 3, 12), (5, 1, 24), (2, 1, 14), (3, 3, 128)];
    for (i, (heads_n, kv_heads, head_dim)) in shapes.into_iter().enumerate() {
        for format in [Format::F32, Format::F16] {
            for rotate in [true, false] {
                let shape = HeadShape { heads: heads_n, kv_heads, head_dim };
                let name = format!(
                    "attention/heads {} {heads_n}/{kv_heads}x{head_dim} rope {rotate}",
                    format.name()
                );
                let limit = if format == Format::F32 { F32_LIMIT } else { F16_LIMIT };
                cases.push(Case::new(name, limit, async move |gpu| {
                    let (n, total) = (4, shape.sections().2);
                    // The twin's cache starts empty, so positions before `position` stay zero in
                    // both.
                    let position = [0, 30, 33][i % 3];
                    let qkv = random(i as u64, n * total);
                    let inv_freq: Vec<f64> = (0..head_dim / 2)
                        .map(|j| 10_000f64.powf(-2.0 * j as f64 / head_dim as f64))
                        .collect();
                    let table = rope_table(&inv_freq, position + n);
                    let table_gpu = gpu.storage("rope", table.len() as u64 * 4).await?;
                    gpu.write(&table_gpu, 0, bytemuck::cast_slice(&table));
                    let qkv_gpu = gpu.upload("qkv", &qkv, n, total).await?;
                    let q_gpu =
                        gpu.storage("q", (n * shape.heads * shape.dims() * 4) as u64).await?;
                    let kv = KvLayer::new(gpu, shape, 64, format).await?;
                    let mut rec = gpu.recorder();
                    heads(
                        &mut rec,
                        &qkv_gpu,
                        n,
                        rotate.then_some(&table_gpu),
                        position,
                        &q_gpu,
                        &kv,
                    );
                    rec.submit();
                    let (q, k, v) = reference(&qkv, shape, rotate.then_some(&table[..]), position);
                    let before = vec![0.0; position * shape.kv_heads * shape.head_dim];
                    let (k, v) = ([before.clone(), k].concat(), [before, v].concat());
                    let (k_words, v_words) = pack_cache(&k, &v, shape, kv.capacity, format);
                    let mut got = Vec::new();
                    for head in
                        words_to_floats(&gpu.read(&q_gpu, 0, q_gpu.bytes()).await?, Format::F32)
                            [..n * shape.heads * shape.dims()]
                            .chunks_exact(shape.dims())
                    {
                        got.extend_from_slice(&head[..head_dim]);
                    }
                    let k_bytes = k_words.len() as u64 * 4;
                    got.extend(words_to_floats(&gpu.read(&kv.keys, 0, k_bytes).await?, format));
                    got.extend(words_to_floats(
                        &gpu.read(&kv.values, 0, v_words.len() as u64 * 4).await?,
                        format,
                    ));
                    let want = [
                        q,
                        words_to_floats(bytemuck::cast_slice(&k_words), format),
                        words_to_floats(bytemuck::cast_slice(&v_words), format),
                    ];
                    Ok((got, want.concat()))
                }));
            }
        }
    }
    cases
}
