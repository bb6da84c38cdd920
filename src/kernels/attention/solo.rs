//! [`super::step`] without workgroup memory: each lane computes one head over all positions. Its
//! cases are that module's.

use super::cache::{HeadShape, KvLayer};
use super::heads;
use super::step::{NEWEST, Split};
use crate::gpu::{Kernel, Recorder, Storage, Tensor};
use crate::kernels::check::Case;
use crate::kernels::state::STATE;
use crate::kernels::{Variant, kernel, params};

params! { heads: u32, kv_heads: u32, head_dim: u32, k_at: u32, v_at: u32, capacity: u32, scale: f32 }

static KERNEL: Kernel = kernel!("attention/solo", [Read, Read, Read, Write, Write, Write]);

fn constants(shape: HeadShape) -> [(&'static str, u32); 2] {
    [("WG", Split::SOLO.lanes), ("UNITS", shape.dims() as u32 / 8)]
}

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let shape = HeadShape { heads: 1, kv_heads: 1, head_dim: 64 };
    vec![Variant {
        kernel: &KERNEL,
        preludes: vec![STATE, NEWEST],
        constants: constants(shape).to_vec(),
    }]
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    super::step::cases_by(KERNEL.name, Split::SOLO)
}

/// As [`super::step::attention_step`].
pub(super) fn attention_solo(
    rec: &mut Recorder,
    state: &Storage,
    qkv: &Tensor,
    rope: &Storage,
    kv: &KvLayer,
    out: &Tensor,
) {
    let shape = kv.shape;
    let (k_at, v_at, _) = shape.sections();
    let params = Params {
        heads: shape.heads as u32,
        kv_heads: shape.kv_heads as u32,
        head_dim: shape.head_dim as u32,
        k_at: k_at as u32,
        v_at: v_at as u32,
        capacity: kv.capacity as u32,
        scale: heads::scale(shape),
    };
    let grid = [(shape.heads as u32).div_ceil(Split::SOLO.lanes), 1, 1];
    rec.dispatch(
        &KERNEL,
        &[STATE, NEWEST],
        &constants(shape),
        params,
        &[state, qkv, rope, &kv.keys, &kv.values, out],
        grid,
    );
}
