//! Attention with a workgroup for each query and head: keys are shared among its lanes.

use super::cache::{KvLayer, read_prelude};
use super::{Mask, Way};
use crate::gpu::{Kernel, Recorder, Storage, Tensor};
use crate::kernels::check::Case;
use crate::kernels::{LANES, Variant, kernel, params};
use crate::quant::Format;

params! { n_keys: u32, heads: u32, group: u32, head_dim: u32, dims: u32, out_stride: u32, capacity: u32, position: u32 }

static KERNEL: Kernel = kernel!("attention/groups", [Read, Read, Read, Write]);

pub(in crate::kernels) fn variants() -> Vec<Variant> {
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

pub(in crate::kernels) fn cases() -> Vec<Case> {
    super::cases::of(KERNEL.name, Way::Groups)
}

/// Records `n` queries `q` [n, heads · dims] (scaled, as `heads` writes them) → out [≥ n, heads ·
/// head_dim].
pub(super) fn attention_groups(
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
