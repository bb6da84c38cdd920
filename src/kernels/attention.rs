//! Softmax attention of queries over cached keys and values: with a causal mask for the decoder,
//! without for the tower.

use super::attention_lanes::attention_lanes;
use super::check::{Case, F32_LIMIT, random};
use super::heads::{HeadShape, KvLayer, pack_cache, read_prelude};
use super::{LANES, Variant, kernel, params};
use crate::gpu::{Gpu, Kernel, Recorder, Storage, Tensor};
use crate::quant::Format;

params! { n_keys: u32, heads: u32, group: u32, head_dim: u32, dims: u32, out_stride: u32, capacity: u32, position: u32 }

static KERNEL: Kernel = kernel!("attention", [Read, Read, Read, Write]);

/// How queries are shared among lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A workgroup per query and head.
    Groups,
    /// A lane per four queries of a head: no barriers, which software adapters pay dearly for.
    Lanes,
}

impl Way {
    fn chosen(gpu: &Gpu) -> Way {
        match gpu.chosen("attention").as_deref() {
            Some("lanes") => Way::Lanes,
            Some("groups") => Way::Groups,
            _ if gpu.is_software() => Way::Lanes,
            _ => Way::Groups,
        }
    }
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// The first so many keys.
    All(usize),
    /// Keys 0 to p for the query at position p; the first query's position.
    Causal(usize),
}

impl Mask {
    /// (keys there are, 1 if causal, the first query's position) for `n` queries.
    pub(super) fn numbers(self, n: usize) -> (usize, u32, usize) {
        match self {
            Mask::All(keys) => (keys, 0, 0),
            Mask::Causal(position) => (position + n, 1, position),
        }
    }
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for format in [Format::F32, Format::F16] {
        for causal in [0, 1] {
            for spans in [1, 2] {
                all.push(Variant {
                    kernel: &KERNEL,
                    preludes: vec![read_prelude(format)],
                    constants: vec![("CAUSAL", causal), ("SPANS", spans)],
                });
            }
        }
    }
    all
}

/// Records `n` queries `q` [n, heads · dims] (scaled, as `heads` writes them) → out [≥ n, heads ·
/// head_dim].
pub fn attention(
    rec: &mut Recorder,
    q: &Storage,
    n: usize,
    kv: &KvLayer,
    mask: Mask,
    out: &Tensor,
) {
    let way = Way::chosen(rec.gpu());
    attention_by(rec, way, q, n, kv, mask, out);
}

/// The same in a given way.
pub fn attention_by(
    rec: &mut Recorder,
    way: Way,
    q: &Storage,
    n: usize,
    kv: &KvLayer,
    mask: Mask,
    out: &Tensor,
) {
    let shape = kv.shape;
    let (n_keys, causal, position) = mask.numbers(n);
    assert!(
        n_keys <= kv.capacity && n <= out.rows && out.cols == shape.heads * shape.head_dim,
        "attention: {n} queries, {n_keys} keys"
    );
    if way == Way::Lanes {
        return attention_lanes(rec, q, n, kv, mask, out);
    }
    let params = Params {
        n_keys: n_keys as u32,
        heads: shape.heads as u32,
        group: (shape.heads / shape.kv_heads) as u32,
        head_dim: shape.head_dim as u32,
        dims: shape.dims() as u32,
        out_stride: out.stride() as u32,
        capacity: kv.capacity as u32,
        position: position as u32,
    };
    let constants = [("CAUSAL", causal), ("SPANS", shape.dims().div_ceil(2 * LANES) as u32)];
    let binds: [&dyn crate::gpu::Bind; 4] = [q, &kv.keys, &kv.values, out];
    rec.dispatch(
        &KERNEL,
        &[read_prelude(kv.format)],
        &constants,
        params,
        &binds,
        [shape.heads as u32, n as u32, 1],
    );
}

/// The twin: q [n, heads · head_dim] scaled, keys and values [≥ keys, kv_heads · head_dim] → [n,
/// heads · head_dim].
pub fn reference(
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    shape: HeadShape,
    mask: Mask,
) -> Vec<f32> {
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let (width, kv_width) = (heads * head_dim, kv_heads * head_dim);
    let rows = crate::parallel::map(q.len() / width, |t| {
        let visible = match mask {
            Mask::All(keys) => keys,
            Mask::Causal(position) => position + t + 1,
        };
        let mut out = vec![0.0f32; width];
        for head in 0..heads {
            let at = head / (heads / kv_heads) * head_dim;
            let q = &q[t * width + head * head_dim..][..head_dim];
            let scores: Vec<f32> = (0..visible)
                .map(|j| q.iter().zip(&keys[j * kv_width + at..]).map(|(a, b)| a * b).sum())
                .collect();
            let top = scores.iter().copied().fold(f32::MIN, f32::max);
            let mut total = 0.0;
            let out = &mut out[head * head_dim..][..head_dim];
            for (j, score) in scores.iter().enumerate() {
                let weight = (score - top).exp();
                total += weight;
                out.iter_mut()
                    .zip(&values[j * kv_width + at..])
                    .for_each(|(o, v)| *o += weight * v);
            }
            out.iter_mut().for_each(|o| *o /= total);
        }
        out
    });
    rows.concat()
}

pub(super) fn cases() -> Vec<Case> {
    cases_by(KERNEL.name, Way::Groups)
}

/// Cases of one way, which is the kernel `kernel`.
pub(super) fn cases_by(kernel: &'static str, way: Way) -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes = [
        (1, 1, 2, 1, 1),
        (4, 4, 64, 5, 63),
        (6, 3, 12, 3, 64),
        (5, 1, 24, 2, 65),
        (2, 1, 14, 1, 131),
        (2, 2, 128, 4, 70),
        (2, 1, 160, 2, 66),
    ];
    for (heads, kv_heads, head_dim, n, keys) in shapes {
        for format in [Format::F32, Format::F16] {
            for causal in [true, false] {
                let shape = HeadShape { heads, kv_heads, head_dim };
                let keys = if causal { keys.max(n) } else { keys };
                let mask = if causal { Mask::Causal(keys - n) } else { Mask::All(keys) };
                let name = format!(
                    "{kernel} {} {heads}/{kv_heads}x{head_dim} {n} queries {mask:?}",
                    format.name()
                );
                cases.push(Case::new(name, F32_LIMIT, async move |gpu| {
                    let round = |mut x: Vec<f32>| {
                        if format == Format::F16 {
                            x.iter_mut().for_each(|v| *v = half::f16::from_f32(*v).to_f32());
                        }
                        x
                    };
                    // Scaled queries up to ±2: sharp enough that a wrong maximum or mask shows.
                    let q: Vec<f32> =
                        random(1, n * heads * head_dim).iter().map(|v| v * 2.0).collect();
                    let k = round(random(2, keys * kv_heads * head_dim));
                    let v = round(random(3, keys * kv_heads * head_dim));
                    let kv = KvLayer::new(gpu, shape, keys, format).await?;
                    let (k_words, v_words) = pack_cache(&k, &v, shape, kv.capacity, format);
                    gpu.write(&kv.keys, 0, bytemuck::cast_slice(&k_words));
                    gpu.write(&kv.values, 0, bytemuck::cast_slice(&v_words));
                    let mut q_padded = vec![0.0f32; n * heads * shape.dims()];
                    for (to, from) in
                        q_padded.chunks_exact_mut(shape.dims()).zip(q.chunks_exact(head_dim))
                    {
                        to[..head_dim].copy_from_slice(from);
                    }
                    let q_gpu = gpu.storage("q", q_padded.len() as u64 * 4).await?;
                    gpu.write(&q_gpu, 0, bytemuck::cast_slice(&q_padded));
                    let out = gpu.tensor("out", n, heads * head_dim).await?;
                    let mut rec = gpu.recorder();
                    attention_by(&mut rec, way, &q_gpu, n, &kv, mask, &out);
                    rec.submit();
                    Ok((gpu.read_rows(&out, 0, n).await?, reference(&q, &k, &v, shape, mask)))
                }));
            }
        }
    }
    cases
}
