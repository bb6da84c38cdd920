//! What a measurement needs from a model: a picture, a prompt, its sizes.

use super::ModelFacts;
use crate::gpu::Counters;
use crate::image::Pixels;
use crate::model::{Model, Slot};
use crate::quant::Format;
use crate::weights::layout::{Role, layout};

/// A picture of the model's size.
pub(super) fn sample_picture(model: &Model) -> Pixels {
    let size = model.config().vision.image_size;
    let data = (0..3 * size * size).map(|i| (i % 97) as f32 / 48.0 - 1.0).collect();
    Pixels { size, data, rgb: Vec::new(), source: (1, 1), readings_differ: false }
}

/// `n` tokens for positions from `first` on.
pub(super) fn slots(model: &Model, first: usize, n: usize) -> Vec<Slot> {
    let vocab = model.config().language.vocab as u32;
    (first..first + n).map(|i| Slot::Token((i as u32 * 7919 + 5) % vocab)).collect()
}

pub(super) fn difference(before: Counters, after: Counters) -> Counters {
    Counters {
        dispatches: after.dispatches - before.dispatches,
        objects: after.objects - before.objects,
        readbacks: after.readbacks - before.readbacks,
        ..after
    }
}

pub(super) fn facts(model: &Model) -> ModelFacts {
    let entries = layout(model.config());
    let parameters = entries.iter().map(|e| (e.rows * e.cols) as u64).sum();
    // A generated token reads the layers and the head; of the embedding table only a row.
    let head = if model.config().language.tied { "language.embed" } else { "language.head" };
    let read = entries.iter().filter(|e| {
        e.name.starts_with("language.layers") || e.name == head || e.name == "language.norm"
    });
    let weights = model.weights();
    let bytes_per_token =
        read.map(|e| crate::model::bytes_of(e, &|role: Role| weights.format(role))).sum();
    ModelFacts {
        name: model.name().to_owned(),
        weights: model.weights_name(),
        parameters,
        bytes_per_token,
    }
}

/// Bytes of keys and values that a query at `context` reads.
pub(super) fn cache_bytes(model: &Model, context: usize) -> u64 {
    let l = &model.config().language;
    let exact = model.arithmetic() == crate::model::Arithmetic::Exact;
    // The processor keeps floats either way.
    let format = if exact || model.processor().is_some() { Format::F32 } else { Format::F16 };
    crate::kernels::attention::cache::KvLayer::bytes(l.shape, context, format) * l.layers as u64
}

/// 10⁹ operations of the tower: matrices and attention.
pub(super) fn vision_gflop(model: &Model) -> f64 {
    let v = &model.config().vision;
    let (tokens, d) = (v.tokens() as f64, v.hidden as f64);
    let matrices = 4.0 * d * d + 2.0 * d * v.mlp as f64;
    let layer = 2.0 * tokens * matrices + 4.0 * tokens * tokens * d;
    let patch = 2.0 * v.patches() as f64 * d * (3 * v.patch * v.patch) as f64;
    (layer * v.layers as f64 + patch) / 1e9
}
