//! Softmax attention of queries over cached keys and values: with a causal mask for the decoder,
//! without for the tower.
//!
//! `heads` cuts and rotates queries, keys and values and fills the `cache`; `groups` and
//! `lanes` attend over a prompt; `step`, with `solo` and `join`, is one token of decoding;
//! `weights` says what was looked at.

pub mod cache;
mod cases;
pub(super) mod groups;
pub mod heads;
pub mod join;
pub(super) mod lanes;
pub(super) mod solo;
pub mod step;
pub mod weights;

use crate::gpu::{Gpu, Recorder, Storage, Tensor};
use cache::{HeadShape, KvLayer};
use groups::attention_groups;
use lanes::attention_lanes;

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
    /// The first this many keys.
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
    let (n_keys, _, _) = mask.numbers(n);
    assert!(
        n_keys <= kv.capacity && n <= out.rows && out.cols == shape.heads * shape.head_dim,
        "attention: {n} queries, {n_keys} keys"
    );
    match way {
        Way::Groups => attention_groups(rec, q, n, kv, mask, out),
        Way::Lanes => attention_lanes(rec, q, n, kv, mask, out),
    }
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
