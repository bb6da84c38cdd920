//! Random values with the ranges of trained ones: near-normal weights with heavy tails and a few
//! outlier channels, norms around one.

use super::layout::{Dtype, Kind, Tensor};
use half::{bf16, f16};
use std::ops::Range;

/// One channel in this many carries far larger weights, as in trained LLaMAs.
const OUTLIER_CHANNELS: u64 = 509;
const OUTLIER_SCALE: f32 = 6.0;
/// One weight in this many comes from a wider distribution.
const TAIL: u64 = 1 << 10;
const TAIL_SCALE: f32 = 3.0;
/// Elements whose order of making is fixed, whatever the number of threads.
const PIECE: usize = 1 << 16;

/// The values of one tensor.
pub(super) struct Stream {
    seed: u64,
    kind: Kind,
    width: usize,
}

/// SplitMix64's mixing.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    pub(super) fn new(seed: u64, tensor: &Tensor) -> Stream {
        let seed = tensor
            .key
            .bytes()
            .fold(mix(seed.wrapping_add(STEP)), |h, b| mix(h ^ u64::from(b)).wrapping_add(STEP));
        Stream {
            seed,
            kind: tensor.kind,
            width: tensor.shape.iter().skip(1).product::<usize>().max(1),
        }
    }

    /// Element `i`: four 16-bit uniforms added are near enough to a normal deviate.
    fn value(&self, i: usize) -> f32 {
        let bits = mix(self.seed.wrapping_add((i as u64).wrapping_mul(STEP)));
        let sum: f32 = (0..4).map(|k| f32::from((bits >> (16 * k)) as u16)).sum();
        // Mean 0, variance 1.
        let normal = (sum / 65_536.0 - 1.999_97) * 1.732_05;
        match self.kind {
            Kind::Norm => 0.9 + 0.25 * normal,
            Kind::Bias => 0.02 * normal,
            Kind::Scalar(value) => value,
            Kind::Rows(_, rows) if i / self.width >= rows => 0.0,
            Kind::Weight(std) | Kind::Rows(std, _) => {
                let channel = mix(self.seed ^ ((i % self.width) as u64).wrapping_mul(STEP));
                let outlier =
                    if channel.is_multiple_of(OUTLIER_CHANNELS) { OUTLIER_SCALE } else { 1.0 };
                let tail = if (bits >> 7).is_multiple_of(TAIL) { TAIL_SCALE } else { 1.0 };
                std * normal * outlier * tail
            }
        }
    }

    /// Elements of a range as they lie in the file.
    pub(super) fn bytes(&self, range: Range<usize>, dtype: Dtype) -> Vec<u8> {
        let size = dtype.size() as usize;
        let mut bytes = vec![0; range.len() * size];
        let pieces = bytes.chunks_mut(PIECE * size).enumerate().collect();
        crate::parallel::for_each(pieces, |(piece, out): (usize, &mut [u8])| {
            let first = range.start + piece * PIECE;
            for (i, out) in out.chunks_exact_mut(size).enumerate() {
                let value = self.value(first + i);
                match dtype {
                    // CLIP was trained in halves: its f32 file says no more than an f16 one.
                    Dtype::F32 => out.copy_from_slice(&f16::from_f32(value).to_f32().to_le_bytes()),
                    Dtype::F16 => out.copy_from_slice(&f16::from_f32(value).to_le_bytes()),
                    Dtype::Bf16 => out.copy_from_slice(&bf16::from_f32(value).to_le_bytes()),
                }
            }
        });
        bytes
    }
}
