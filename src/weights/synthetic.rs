//! Random weights of a named shape: a benchmark needs only the sizes, not trained values.

use crate::error::Result;
use crate::future::Boxed;
use crate::quant::block::Params;
use crate::quant::{Format, PANEL, Packed};
use crate::weights::layout::{Entry, Role};
use crate::weights::{Supply, Weights};

/// Supplies every tensor of a layout from a seeded generator, in the ranges that trained weights
/// have.
pub(crate) struct Synthetic {
    pub(crate) weights: Weights,
}

impl Supply for Synthetic {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Packed>> {
        Box::pin(async move { Ok(matrix(self.weights.format(entry.role), entry)) })
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Vec<f32>>> {
        Box::pin(async move { Ok(vector(entry)) })
    }
}

/// Words straight from the generator: packing floats would take minutes at 7B.
fn matrix(format: Format, entry: &Entry) -> Packed {
    let mut packed = Packed::zeros(format, entry.rows, entry.cols);
    let mut random = Random::of(&entry.name);
    // Rows of length about 1, whatever the width.
    let spread = 1.0 / (entry.cols as f32).sqrt();
    let half = |random: &mut Random| half::f16::from_f32(random.signed() * 1.7 * spread).to_bits();
    for word in &mut packed.data {
        *word = match format {
            Format::F32 => (random.signed() * 1.7 * spread).to_bits(),
            Format::F16 => u32::from(half(&mut random)) | u32::from(half(&mut random)) << 16,
            Format::Q8 | Format::Q5 | Format::Q4 => random.next(),
        };
    }
    let words = format.scale_words();
    let Some(bits) = format.code_bits() else {
        // The spread of uniform bytes is 74.
        let scale = half::f16::from_f32(spread / 74.0).to_bits();
        packed.scales.fill(u32::from(scale) | u32::from(scale) << 16);
        return packed;
    };
    // The spread of uniform nibbles is 4.6, of codes of five bits 9.2; the zero is in the middle.
    let params = Params::of_scale(spread / if bits == 4 { 4.6 } else { 9.2 }).word();
    for (i, word) in packed.scales.iter_mut().enumerate() {
        let is_fifth = i % words >= PANEL;
        *word = if is_fifth { random.next() } else { params | params << 16 };
    }
    packed
}

fn vector(entry: &Entry) -> Vec<f32> {
    let n = entry.rows * entry.cols;
    if entry.role == Role::Map {
        // Rows of a softmax.
        return vec![1.0 / entry.cols as f32; n];
    }
    let mut random = Random::of(&entry.name);
    let base = if entry.name.ends_with("bias") || entry.rows > 1 { 0.0 } else { 1.0 };
    (0..n).map(|_| base + 0.02 * random.signed()).collect()
}

/// SplitMix64, seeded by a name.
struct Random(u64);

impl Random {
    fn of(name: &str) -> Random {
        Random(
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
                (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
            }),
        )
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z >> 32) as u32
    }

    /// Uniform in [-1, 1).
    fn signed(&mut self) -> f32 {
        (self.next() >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    }
}
