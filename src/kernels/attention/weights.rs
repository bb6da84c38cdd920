//! The weights of [`super::attention`] themselves, summed over the heads: which keys each query
//! looks at. For [`crate::Session::looked_at`]; no answer needs them.

use super::cache::{HeadShape, KvLayer, pack_cache, read_prelude};
use crate::gpu::{Bind, Kernel, Recorder, Storage, Tensor};
use crate::kernels::check::{Case, F32_LIMIT, random};
use crate::kernels::{REDUCE, Variant, kernel, params};
use crate::quant::Format;

params! { n_keys: u32, heads: u32, group: u32, dims: u32, stride: u32, capacity: u32, position: u32, share: f32 }

static KERNEL: Kernel = kernel!("attention/weights", [Read, Read, Write]);

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let all = [(Format::F32, 0), (Format::F32, 1), (Format::F16, 0), (Format::F16, 1)];
    all.map(|(format, add)| Variant {
        kernel: &KERNEL,
        preludes: vec![REDUCE, read_prelude(format)],
        constants: vec![("ADD", add)],
    })
    .into()
}

/// What becomes of the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// What they are multiplied by: 1 / heads for their mean over the heads of one layer.
    pub factor: f32,
    /// Whether they are added to those that are there.
    pub adds: bool,
}

/// Records `n` queries `q` [n, heads · dims] (scaled, as `heads` writes them), the first of which
/// sees keys 0 to `position` → out [≥ n, position + n].
pub fn attention_weights(
    rec: &mut Recorder,
    q: &Storage,
    n: usize,
    kv: &KvLayer,
    position: usize,
    share: Share,
    out: &Tensor,
) {
    let (shape, n_keys) = (kv.shape, position + n);
    assert!(
        n_keys <= kv.capacity && n <= out.rows && out.cols == n_keys,
        "attention weights: {n} queries, {n_keys} keys"
    );
    let params = Params {
        n_keys: n_keys as u32,
        heads: shape.heads as u32,
        group: (shape.heads / shape.kv_heads) as u32,
        dims: shape.dims() as u32,
        stride: out.stride() as u32,
        capacity: kv.capacity as u32,
        position: position as u32,
        share: share.factor,
    };
    let binds: [&dyn Bind; 3] = [q, &kv.keys, out];
    let constants = [("ADD", u32::from(share.adds))];
    let preludes = [REDUCE, read_prelude(kv.format)];
    rec.dispatch(&KERNEL, &preludes, &constants, params, &binds, [n as u32, 1, 1]);
}

/// The twin: q [n, heads · head_dim] scaled, keys [≥ position + n, kv_heads · head_dim] → the sum
/// over heads of each query's weights, [n, position + n]; rows sum to the number of heads.
pub fn reference(q: &[f32], keys: &[f32], shape: HeadShape, position: usize) -> Vec<f32> {
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let (width, kv_width) = (heads * head_dim, kv_heads * head_dim);
    let n = q.len() / width;
    let rows = crate::parallel::map(n, |t| {
        let mut out = vec![0.0f32; position + n];
        for head in 0..heads {
            let at = head / (heads / kv_heads) * head_dim;
            let q = &q[t * width + head * head_dim..][..head_dim];
            let scores: Vec<f32> = (0..=position + t)
                .map(|j| q.iter().zip(&keys[j * kv_width + at..]).map(|(a, b)| a * b).sum())
                .collect();
            let top = scores.iter().copied().fold(f32::MIN, f32::max);
            let weights: Vec<f32> = scores.iter().map(|score| (score - top).exp()).collect();
            let total: f32 = weights.iter().sum();
            out.iter_mut().zip(&weights).for_each(|(out, weight)| *out += weight / total);
        }
        out
    });
    rows.concat()
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes = [
        (1, 1, 2, 1, 0),
        (4, 4, 64, 5, 58),
        (6, 3, 12, 3, 62),
        (5, 1, 24, 2, 63),
        (2, 1, 14, 1, 130),
        (2, 2, 128, 4, 66),
    ];
    for (heads, kv_heads, head_dim, n, position) in shapes {
        for (format, adds) in [(Format::F32, false), (Format::F16, true)] {
            let shape = HeadShape { heads, kv_heads, head_dim };
            let name = format!(
                "attention/weights {} {heads}/{kv_heads}x{head_dim} {n} queries at {position}{}",
                format.name(),
                if adds { ", added" } else { "" }
            );
            cases.push(Case::new(name, F32_LIMIT, async move |gpu| {
                let keys = position + n;
                // As in the cases of attention itself: sharp enough that a wrong maximum shows.
                let q: Vec<f32> = random(1, n * heads * head_dim).iter().map(|v| v * 2.0).collect();
                let mut k = random(2, keys * kv_heads * head_dim);
                if format == Format::F16 {
                    k.iter_mut().for_each(|v| *v = half::f16::from_f32(*v).to_f32());
                }
                let kv = KvLayer::new(gpu, shape, keys, format).await?;
                let (words, _) = pack_cache(&k, &k, shape, kv.capacity, format);
                gpu.write(&kv.keys, 0, bytemuck::cast_slice(&words));
                let mut padded = vec![0.0f32; n * heads * shape.dims()];
                for (to, from) in
                    padded.chunks_exact_mut(shape.dims()).zip(q.chunks_exact(head_dim))
                {
                    to[..head_dim].copy_from_slice(from);
                }
                let q_gpu = gpu.storage("q", padded.len() as u64 * 4).await?;
                gpu.write(&q_gpu, 0, bytemuck::cast_slice(&padded));
                let before = random(3, n * keys);
                let out = gpu.upload("out", &before, n, keys).await?;
                let mut rec = gpu.recorder();
                let share = Share { factor: 0.5, adds };
                attention_weights(&mut rec, &q_gpu, n, &kv, position, share, &out);
                rec.submit();
                let mut want = reference(&q, &k, shape, position);
                for (want, before) in want.iter_mut().zip(&before) {
                    *want = *want * 0.5 + if adds { *before } else { 0.0 };
                }
                Ok((gpu.read_rows(&out, 0, n).await?, want))
            }));
        }
    }
    cases
}
