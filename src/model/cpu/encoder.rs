//! What makes image tokens of a picture, on the processor.

use super::super::Arithmetic;
use super::super::back_end::Encoded;
use super::super::parts::{self, Projector, Vision, VisionLayer};
use super::kernels::{Kernels, Memories};
use super::project::{project, put_together};
use crate::cancel::Cancel;
use crate::config::{Config, VisionConfig};
use crate::cpu::{self, Isa, KvRows, Matrix};
use crate::error::Result;
use crate::image::Pixels;
use crate::image::tiles::Plan;
use crate::kernels::attention::Mask;
use crate::kernels::product::Act;
use crate::kernels::{patchify, vision_embed};
use crate::parallel::{self, Pool};
use std::time::Duration;
use web_time::Instant;

/// The tower and the connector, and the memory that the whole network works in.
pub(in crate::model) struct Encoder {
    parts: parts::Encoder<Matrix, Vec<f32>, Vec<f32>>,
    /// The instruction set that it was loaded for.
    pub(super) isa: Isa,
    /// Whether the decoder's activations may be rounded to bytes.
    rounds: bool,
    pub(super) memory: Pool<Memories>,
}

impl Encoder {
    pub(in crate::model) fn new(
        parts: parts::Encoder<Matrix, Vec<f32>, Vec<f32>>,
        arithmetic: Arithmetic,
    ) -> Encoder {
        let isa = Isa::chosen();
        let rounds = arithmetic == Arithmetic::Fast && isa.rounds();
        Encoder { parts, isa, rounds, memory: Pool::default() }
    }

    pub(super) fn kernels<'a>(&self, cancel: &'a Cancel) -> Kernels<'a> {
        Kernels { isa: self.isa, rounds: self.rounds, cancel }
    }

    pub(in crate::model) async fn features(
        &self,
        config: &Config,
        pixels: &Pixels,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let mut memory = self.memory.take();
        let kernels = self.kernels(cancel);
        let features = encode(config, &self.parts.vision, pixels, kernels, &mut memory).await;
        self.memory.give(memory);
        features
    }

    pub(in crate::model) async fn look(
        &self,
        config: &Config,
        squares: &[Pixels],
        plan: &Plan,
        n: usize,
        cancel: &Cancel,
    ) -> Result<Encoded<Vec<f32>>> {
        let (mut vision, mut resample) = (Duration::ZERO, Duration::ZERO);
        let mut visual = Vec::new();
        let projector = &self.parts.projector;
        for pixels in squares {
            let start = Instant::now();
            let features = self.features(config, pixels, cancel).await?;
            let encoded = Instant::now();
            let mut memory = self.memory.take();
            let tokens = project(config, projector, features, n, self.kernels(cancel), &mut memory);
            self.memory.give(memory);
            cancel.check()?;
            visual.extend(tokens);
            vision += encoded - start;
            resample += encoded.elapsed();
        }
        let encoded = Instant::now();
        let visual = put_together(config, projector, visual, plan, self.isa);
        Ok(Encoded { visual, vision, resample: resample + encoded.elapsed() })
    }

    pub(super) fn map(&self) -> Option<Vec<f32>> {
        match &self.parts.projector {
            Projector::Resampler(r) => Some(r.map.clone()),
            Projector::Gridded(_) => None,
        }
    }
}

/// pixels [3, S, S] → features [patches, d].
async fn encode(
    config: &Config,
    w: &Vision<Matrix, Vec<f32>>,
    pixels: &Pixels,
    kernels: Kernels<'_>,
    memory: &mut Memories,
) -> Result<Vec<f32>> {
    let v = &config.vision;
    let patches = patchify::reference(&pixels.data, v.image_size, v.patch);
    kernels.linear(&patches, &w.patch, Act::None, &mut memory.wide, &mut memory.products);
    let embedded = vision_embed::reference(&memory.wide, w.class.as_deref(), &w.position);
    match &w.pre_norm {
        Some(norm) => kernels.layer_norm(&embedded, norm, v.eps, &mut memory.x),
        None => memory.x = embedded,
    }
    for layer in &w.layers {
        kernels.cancel.breathe().await?;
        parallel::inside(|| encode_attention(v, layer, kernels, memory));
        kernels.cancel.rest().await?;
        parallel::inside(|| encode_mlp(v, layer, kernels, memory));
    }
    kernels.cancel.check()?;
    let Memories { x, normed, .. } = memory;
    if let Some(norm) = &w.post_norm {
        kernels.layer_norm(x, norm, v.eps, normed);
        std::mem::swap(x, normed);
    }
    Ok(x[v.first_patch() * v.hidden..].to_vec())
}

/// The first half of a layer of the tower, for all patches and the class token.
fn encode_attention(
    v: &VisionConfig,
    layer: &VisionLayer<Matrix, Vec<f32>>,
    kernels: Kernels,
    memory: &mut Memories,
) {
    let Memories { products, attention, x, normed, qkv, q, mixed, .. } = memory;
    kernels.layer_norm(x, &layer.norm1, v.eps, normed);
    kernels.linear(normed, &layer.qkv, Act::None, qkv, products);
    let mut kv = KvRows::new(v.shape());
    kv.add(qkv, None, q);
    let mask = Mask::All(x.len() / v.hidden);
    cpu::attend(kernels.isa, q, &kv, mask, attention, mixed, kernels.cancel);
    kernels.linear_add(mixed, &layer.out, x, products);
}

/// The second half.
fn encode_mlp(
    v: &VisionConfig,
    layer: &VisionLayer<Matrix, Vec<f32>>,
    kernels: Kernels,
    memory: &mut Memories,
) {
    let Memories { products, x, normed, wide, .. } = memory;
    kernels.layer_norm(x, &layer.norm2, v.eps, normed);
    kernels.linear(normed, &layer.fc1, v.act.into(), wide, products);
    kernels.linear_add(wide, &layer.fc2, x, products);
}
