//! The weights of attention themselves, summed over the heads: which keys each query looks at.

use super::attend::KvRows;
use crate::kernels::attention::cache::HeadShape;
use crate::parallel;
use crate::quant::PANEL;

/// Adds `share` · the sum over heads of each query's weights to `out` [n, keys]. Queries `q` [n,
/// heads · head_dim] are scaled; the first sees keys 0 to `position`.
///
/// Plain loops: a row of the cache is 32 keys, which the compiler turns into vectors, and this runs
/// once for an answer.
pub(crate) fn attention_weights(
    q: &[f32],
    kv: &KvRows,
    position: usize,
    share: f32,
    out: &mut [f32],
) {
    let HeadShape { heads, kv_heads, head_dim } = kv.shape;
    let width = heads * head_dim;
    let n = q.len() / width;
    if n == 0 {
        return;
    }
    parallel::chunks(out, out.len() / n, |t, out| {
        let visible = position + t + 1;
        for head in 0..heads {
            let q = &q[t * width + head * head_dim..][..head_dim];
            let keys = &kv.keys[head / (heads / kv_heads)];
            let mut scores = Vec::with_capacity(visible.next_multiple_of(PANEL));
            for keys in keys.chunks_exact(head_dim).take(visible.div_ceil(PANEL)) {
                let mut sums = [0.0f32; PANEL];
                for (q, keys) in q.iter().zip(keys) {
                    sums.iter_mut().zip(&keys.0).for_each(|(sum, key)| *sum += q * key);
                }
                scores.extend(sums);
            }
            scores.truncate(visible);
            let top = scores.iter().copied().fold(f32::MIN, f32::max);
            scores.iter_mut().for_each(|score| *score = (*score - top).exp());
            let factor = share / scores.iter().sum::<f32>();
            out.iter_mut().zip(&scores).for_each(|(out, weight)| *out += weight * factor);
        }
    });
}
