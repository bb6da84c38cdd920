//! The product of [`super::product`] with activations rounded to bytes: integers are multiplied,
//! four at a time where the device can.
//!
//! One of the cuts that a product chooses among, for the decoder's q8, q5 and q4 weights under
//! `--arithmetic fast`. What the rounding costs: docs/quantisation.md. On devices whose WGSL has no
//! packed dot product it works but is not a candidate; where the driver only emulates one,
//! measuring shows that it is slower. A step covers 64 columns, so that the sums over a scale's
//! columns are integer sums; each group rounds the activations itself, which needs no extra pass
//! and no extra memory. A zero subtracts from a sum its product with the sum of the activations'
//! bytes, which is made once for all rows.

use super::cut::{self, Cut, Via};
use super::{Act, PRODUCT, Params, constants, epilogue};
use crate::gpu::Kernel;
use crate::kernels::check::Case;
use crate::kernels::{Variant, data_prelude, kernel, weight_prelude};
use crate::quant::{BLOCK, Format, PANEL, Packed, padded_cols, round_to};

pub(super) static KERNEL: Kernel = kernel!("product/bytes", [Read, Read, Read, Read, Write]);

/// Equal but for the order of sums, unless a driver divides less exactly and a value near a tie
/// becomes the other byte: that is a 127th of a block's peak, in one column of one token.
pub(super) const LIMIT: f64 = 1e-3;

/// What rounds activations, and what multiplies the words.
pub(super) fn preludes(packed_dot: bool) -> [&'static str; 2] {
    [BYTES, if packed_dot { BUILTIN } else { PLAIN }]
}

const BYTES: &str = include_str!("../../../shaders/common/bytes.wgsl");
const BUILTIN: &str = include_str!("../../../shaders/common/dot_builtin.wgsl");
const PLAIN: &str = include_str!("../../../shaders/common/dot_plain.wgsl");

pub(in crate::kernels) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for format in Format::SCALED {
        for (i, cut) in cuts().enumerate() {
            let (bias, act, store) = epilogue(i);
            let own = [cut.prelude(), data_prelude(i % 2 == 0), weight_prelude(format), PRODUCT];
            let preludes = own.into_iter().chain(preludes(i % 2 == 0)).collect();
            all.push(Variant {
                kernel: &KERNEL,
                preludes,
                constants: constants(cut, 128, bias, act, store),
            });
        }
    }
    all
}

/// Rounds each block of 64 values to its step: codes in −127…127, and the step.
fn rounded(block: &[f32]) -> (Vec<i32>, f32) {
    let peak = block.iter().fold(0.0f32, |peak, v| peak.max(v.abs()));
    let inverse = if peak > 1e-30 { 127.0 / peak } else { 0.0 };
    (block.iter().map(|v| round_to(v * inverse, -127, 127)).collect(), peak / 127.0)
}

/// The twin: x [n, cols] → [n, rows].
pub(crate) fn reference(x: &[f32], w: &Packed, bias: Option<&[f32]>, act: Act) -> Vec<f32> {
    let stride = padded_cols(w.cols);
    let mut row = vec![0.0; stride];
    let n = x.len() / w.cols;
    let mut out = vec![0.0; n * w.rows];
    for (t, x) in x.chunks_exact(w.cols).enumerate() {
        let blocks: Vec<_> = x.chunks(BLOCK).map(rounded).collect();
        for r in 0..w.rows {
            w.unpack_codes(r / PANEL, r % PANEL, &mut row);
            let block = w.format.block();
            let sums = row.chunks_exact(block).enumerate().map(|(b, row)| {
                let (codes, step) = &blocks[b * block / BLOCK];
                let codes = codes.iter().skip(b * block % BLOCK).take(block);
                let (scale, zero) = w.scale(r / PANEL, b, r % PANEL);
                let total: i32 = codes.clone().sum();
                let sum: i32 = codes.zip(row).map(|(x, w)| x * *w as i32).sum();
                (sum as f32 - zero * total as f32) * step * scale
            });
            out[t * w.rows + r] =
                super::activate(sums.sum::<f32>() + bias.map_or(0.0, |b| b[r]), act);
        }
    }
    out
}

pub(in crate::kernels) fn cases() -> Vec<Case> {
    super::cases::of(KERNEL.name)
}

/// Cuts of this kernel.
fn cuts() -> impl Iterator<Item = Cut> {
    cut::all().into_iter().filter(|cut| cut.via == Via::Bytes && cut.is_for(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{compare, random};

    /// Rounding moves a value by half a step at most, a 254th of its block's peak: of values spread
    /// evenly, 0.4 % of a sum's size.
    #[test]
    fn bytes_stay_close_to_the_activations() {
        let (n, rows, cols) = (3, 40, 200);
        let (values, x) = (random(5, rows * cols), random(6, n * cols));
        for format in Format::SCALED {
            let w = Packed::pack(format, &values, rows, cols);
            let check = compare(
                &reference(&x, &w, None, Act::None),
                &crate::kernels::product::reference(&x, &w, None, Act::None),
                0.005,
            );
            assert!(check.ok && check.error > 1e-4, "{}: {}", format.name(), check.error);
        }
    }

    #[cfg(feature = "native")]
    #[test]
    fn devices_without_a_packed_product_give_the_same() {
        let Some(gpu) = crate::kernels::check::gpu_or_skip() else { return };
        gpu.forget_packed_dot();
        let checks: Vec<_> =
            cases().into_iter().map(|case| pollster::block_on(case.run(&gpu)).unwrap()).collect();
        assert!(checks.len() >= 10 && checks.iter().all(|check| check.ok), "{checks:?}");
    }

    #[test]
    fn blocks_of_next_to_nothing_and_of_no_numbers_give_codes() {
        assert_eq!(rounded(&[0.0; 64]), (vec![0; 64], 0.0));
        assert_eq!(rounded(&[1e-38; 3]).0, [0; 3]);
        assert_eq!(rounded(&[-2.0, 1.0, f32::NAN]).0, [-127, 64, 0]);
    }
}
