//! The product of [`super::matmul`] for many tokens: tiles in workgroup memory, so that a weight is
//! unpacked once for 64 of them.
//!
//! One of the cuts that `matmul` chooses among; its twin is [`super::matmul::reference`].

use super::check::Case;
use super::cut::{self, Via};
use super::matmul::{self, Act, Store};
use super::{Variant, data_prelude, kernel, weight_prelude};
use crate::gpu::Kernel;
use crate::quant::Format;
use matmul::Params;

pub(super) static KERNEL: Kernel = kernel!("gemm", [Read, Read, Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for format in [Format::F32, Format::F16, Format::Q8, Format::Q4] {
        for (i, cut) in cut::all().into_iter().filter(|cut| cut.via == Via::Tile).enumerate() {
            let (bias, act, store) =
                [(false, Act::None, Store::Replace), (true, Act::QuickGelu, Store::Add)][i % 2];
            let preludes = vec![
                cut.prelude(),
                data_prelude(i % 2 == 0),
                weight_prelude(format),
                matmul::PRODUCT,
            ];
            all.push(Variant {
                kernel: &KERNEL,
                preludes,
                constants: matmul::constants(cut, 128, bias, act, store),
            });
        }
    }
    all
}

pub(super) fn cases() -> Vec<Case> {
    matmul::cases_by(KERNEL.name)
}
