//! Cases of attention over a prompt, for each way.

use super::cache::{HeadShape, KvLayer, pack_cache};
use super::{Mask, Way, attention_by, reference};
use crate::kernels::check::{Case, F32_LIMIT, random};
use crate::quant::Format;

/// Cases of one way, which is the kernel `kernel`.
pub(super) fn of(kernel: &'static str, way: Way) -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes = [
        (1, 1, 2, 1, 1),
        (4, 4, 64, 5, 63),
        (6, 3, 12, 3, 64),
        (5, 1, 24, 2, 65),
        (2, 1, 14, 1, 131),
        (2, 2, 128, 4, 70),
        (2, 1, 160, 2, 66),
        (2, 2, 72, 3, 66),
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
