//! The product for any number of tokens: each lane computes a tile of rows and tokens in registers.

use super::cut::{self, Via};
use super::{PRODUCT, Params, TILE, constants, epilogue};
use crate::gpu::Kernel;
use crate::kernels::check::Case;
use crate::kernels::{Variant, data_prelude, kernel, weight_prelude};
use crate::quant::Format;

pub(super) static KERNEL: Kernel = kernel!("product/lanes", [Read, Read, Read, Read, Write]);

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for (f, format) in Format::ALL.into_iter().enumerate() {
        for (i, cut) in cut::all()
            .into_iter()
            .filter(|cut| matches!(cut.via, Via::Lanes | Via::Window))
            .enumerate()
        {
            let (bias, act, store) = epilogue(i);
            let preludes = vec![
                cut.prelude(),
                data_prelude((f + i) % 2 == 0),
                weight_prelude(format),
                PRODUCT,
                TILE,
            ];
            all.push(Variant {
                kernel: &KERNEL,
                preludes,
                constants: constants(cut, 128, bias, act, store),
            });
        }
    }
    all
}

pub(crate) fn cases() -> Vec<Case> {
    super::cases::of(KERNEL.name)
}
