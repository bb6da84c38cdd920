//! The product of [`super::product`] for many tokens: tiles in workgroup memory, so that a weight
//! is unpacked once for 64 of them.
//!
//! One of the cuts that a product chooses among; its twin is [`super::reference`].

use super::cut::{self, Via};
use super::{PRODUCT, Params, constants, epilogue};
use crate::gpu::Kernel;
use crate::kernels::check::Case;
use crate::kernels::{Variant, data_prelude, kernel, weight_prelude};
use crate::quant::Format;

pub(super) static KERNEL: Kernel = kernel!("product/tiles", [Read, Read, Read, Read, Write]);

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for (f, format) in Format::ALL.into_iter().enumerate() {
        for (i, cut) in cut::all().into_iter().filter(|cut| cut.via == Via::Tile).enumerate() {
            // There are fewer cuts than epilogues.
            let (bias, act, store) = epilogue(f + i);
            let preludes =
                vec![cut.prelude(), data_prelude(i % 2 == 0), weight_prelude(format), PRODUCT];
            all.push(Variant {
                kernel: &KERNEL,
                preludes,
                constants: constants(cut, 128, bias, act, store),
            });
        }
    }
    all
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    super::cases::of(KERNEL.name)
}
