//! [`super::attention`] without workgroup memory: each lane computes four queries of a head over
//! all keys.

use super::cache::{KvLayer, read_prelude};
use super::{Mask, Way};
use crate::gpu::{Bind, Kernel, Recorder, Storage, Tensor};
use crate::kernels::check::Case;
use crate::kernels::{Variant, kernel, params};
use crate::quant::Format;

params! { n_keys: u32, heads: u32, group: u32, head_dim: u32, queries: u32, out_stride: u32, capacity: u32, position: u32 }

static KERNEL: Kernel = kernel!("attention/lanes", [Read, Read, Read, Write]);

/// Queries of a lane.
const QUERIES: usize = 4;
/// Lanes of a workgroup.
const WG: usize = 32;

fn constants(causal: u32, dims: usize) -> [(&'static str, u32); 3] {
    [("CAUSAL", causal), ("QUADS", dims as u32 / 4), ("WG", WG as u32)]
}

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let all = [(Format::F32, 0), (Format::F32, 1), (Format::F16, 0), (Format::F16, 1)];
    let variant = |(format, causal)| Variant {
        kernel: &KERNEL,
        preludes: vec![read_prelude(format)],
        constants: constants(causal, 64).to_vec(),
    };
    all.map(variant).into()
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    super::cases::of(KERNEL.name, Way::Lanes)
}

/// Records `n` queries `q` [n, heads · dims] (scaled, as `heads` writes them) → out [≥ n, heads ·
/// head_dim].
pub(super) fn attention_lanes(
    rec: &mut Recorder,
    q: &Storage,
    n: usize,
    kv: &KvLayer,
    mask: Mask,
    out: &Tensor,
) {
    let shape = kv.shape;
    let (n_keys, causal, position) = mask.numbers(n);
    let params = Params {
        n_keys: n_keys as u32,
        heads: shape.heads as u32,
        group: (shape.heads / shape.kv_heads) as u32,
        head_dim: shape.head_dim as u32,
        queries: n as u32,
        out_stride: out.stride() as u32,
        capacity: kv.capacity as u32,
        position: position as u32,
    };
    let binds: [&dyn Bind; 4] = [q, &kv.keys, &kv.values, out];
    let groups = (shape.heads * n.div_ceil(QUERIES)).div_ceil(WG);
    rec.dispatch(
        &KERNEL,
        &[read_prelude(kv.format)],
        &constants(causal, shape.dims()),
        params,
        &binds,
        [groups as u32, 1, 1],
    );
}
