//! The network on the processor, on the kernels of [`crate::cpu`].

mod cache;
mod kernels;
mod project;

pub(super) use cache::KvCache;
use kernels::{Kernels, Memories};
use project::{project, put_together};

use super::back_end::{BackEnd, Encoded, Start};
use super::parts::{Language, LanguageLayer, Parts, Projector, Vision, VisionLayer};
use super::{Arithmetic, Chunk, Model, Slot, Want, Wanted};
use crate::cancel::Cancel;
use crate::config::{Config, LanguageConfig, VisionConfig};
use crate::cpu::{self, Isa, KvRows, Matrix};
use crate::error::Result;
use crate::image::Pixels;
use crate::image::tiles::Plan;
use crate::kernels::attention::Mask;
use crate::kernels::product::Act;
use crate::kernels::{patchify, vision_embed};
use crate::parallel::{self, Pool};
use crate::quant::Format;
use crate::sample::Picked;
use std::ops::Range;
use std::time::Duration;
use web_time::Instant;

/// The network on the processor.
pub(super) struct Network {
    parts: Parts<Matrix, Vec<f32>, Vec<f32>>,
    /// The instruction set that it was loaded for.
    isa: Isa,
    /// Whether the decoder's activations may be rounded to bytes.
    rounds: bool,
    memory: Pool<Memories>,
}

impl Network {
    pub(super) fn new(parts: Parts<Matrix, Vec<f32>, Vec<f32>>, arithmetic: Arithmetic) -> Network {
        let isa = Isa::chosen();
        let rounds = arithmetic == Arithmetic::Fast && isa.rounds();
        Network { parts, isa, rounds, memory: Pool::default() }
    }

    fn kernels<'a>(&self, cancel: &'a Cancel) -> Kernels<'a> {
        Kernels { isa: self.isa, rounds: self.rounds, cancel }
    }
}

impl Model {
    /// The instruction set, where the model runs on the processor.
    pub fn processor(&self) -> Option<Isa> {
        match &self.network {
            super::Network::Gpu(_) => None,
            super::Network::Cpu(network) => Some(network.isa),
        }
    }
}

impl BackEnd for Network {
    type Visual = Vec<f32>;
    type Kv = KvCache;

    async fn new_cache(&self, config: &Config, _: Format, context: usize) -> Result<KvCache> {
        Ok(KvCache::new(config, context))
    }

    async fn features(
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

    async fn look(
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

    async fn map(&self) -> Result<Option<Vec<f32>>> {
        Ok(match &self.parts.projector {
            Projector::Resampler(r) => Some(r.map.clone()),
            Projector::Gridded(_) => None,
        })
    }

    async fn read_visual(&self, visual: &Vec<f32>, rows: Range<usize>) -> Result<Vec<f32>> {
        let hidden = self.parts.language.norm.len();
        Ok(visual[rows.start * hidden..rows.end * hidden].to_vec())
    }

    fn begin(&self, _: &Config, kv: &mut KvCache, start: &Start) {
        kv.reserve(start.prompt + start.limit);
        kv.begin(start.sampling, start.seen);
    }

    async fn picked(&self, kv: &KvCache) -> Result<Picked> {
        Ok(kv.picked())
    }

    async fn extend(
        &self,
        config: &Config,
        kv: &mut KvCache,
        chunk: Chunk<'_, Vec<f32>>,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        let mut memory = self.memory.take();
        let kernels = self.kernels(cancel);
        let wanted = forward(config, &self.parts.language, kv, chunk, kernels, &mut memory).await;
        self.memory.give(memory);
        wanted
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

/// Computes a chunk, as the GPU's `language::forward`.
async fn forward(
    config: &Config,
    w: &Language<Matrix, Vec<f32>>,
    cache: &mut KvCache,
    chunk: Chunk<'_, Vec<f32>>,
    kernels: Kernels<'_>,
    memory: &mut Memories,
) -> Result<Wanted> {
    let l = &config.language;
    let Chunk { slots, position, want, .. } = chunk;
    let x = &mut memory.x;
    x.resize(slots.len() * l.hidden, 0.0);
    for (slot, x) in slots.iter().zip(x.chunks_exact_mut(l.hidden)) {
        match slot {
            Slot::Token(id) => w.embed.row(*id as usize, x),
            Slot::Visual { picture, index } => {
                let visual = chunk.visual(*picture);
                x.copy_from_slice(&visual[*index as usize * l.hidden..][..l.hidden]);
            }
        }
    }
    for (layer, kv) in w.layers.iter().zip(&mut cache.layers) {
        kernels.cancel.breathe().await?;
        let rope = &cache.rope[position * l.shape.head_dim..];
        parallel::inside(|| forward_layer(l, layer, (kv, rope, position), kernels, memory));
    }
    kernels.cancel.check()?;
    let Memories { products, x, normed, wide, .. } = memory;
    let rows = match want {
        Want::Nothing => return Ok(Wanted::Nothing),
        Want::AllLogits => &x[..],
        Want::Logits | Want::Pick => &x[x.len() - l.hidden..],
    };
    kernels.rms_norm(rows, &w.norm, l.eps, normed);
    kernels.linear(normed, w.head.as_ref().unwrap_or(&w.embed), Act::None, wide, products);
    kernels.cancel.check()?;
    if want == Want::Pick {
        cache.pick(wide);
        return Ok(Wanted::Nothing);
    }
    Ok(Wanted::Logits(wide.clone()))
}

/// One layer of the decoder. `rope` begins at the first token's position.
fn forward_layer(
    l: &LanguageConfig,
    layer: &LanguageLayer<Matrix, Vec<f32>>,
    (kv, rope, position): (&mut KvRows, &[f32], usize),
    kernels: Kernels,
    memory: &mut Memories,
) {
    let Memories { products, attention, x, normed, qkv, q, mixed, wide, narrow } = memory;
    kernels.rms_norm(x, &layer.norm1, l.eps, normed);
    kernels.linear(normed, &layer.qkv, Act::None, qkv, products);
    kv.add(qkv, Some(rope), q);
    let mask = Mask::Causal(position);
    cpu::attend(kernels.isa, q, kv, mask, attention, mixed, kernels.cancel);
    kernels.linear_add(mixed, &layer.o, x, products);
    kernels.rms_norm(x, &layer.norm2, l.eps, normed);
    kernels.linear(normed, &layer.gate_up, Act::None, wide, products);
    narrow.resize(x.len() / l.hidden * l.ffn, 0.0);
    cpu::swiglu(kernels.isa, wide, l.ffn, narrow);
    kernels.linear_add(narrow, &layer.down, x, products);
}
