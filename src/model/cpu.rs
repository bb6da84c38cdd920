//! The network on the processor, on the kernels of [`crate::cpu`].

mod cache;
mod encoder;
mod kernels;
mod looks;
mod project;

pub(super) use cache::KvCache;
pub(super) use encoder::Encoder;
use kernels::{Kernels, Memories};
use looks::{Looks, run_layers};

use super::back_end::{BackEnd, Rows, Start};
use super::parts::{Language, LanguageLayer};
use super::{Chunk, Model, Slot, Want, Wanted};
use crate::cancel::Cancel;
use crate::config::{Config, LanguageConfig};
use crate::cpu::{self, Isa, KvRows, Matrix};
use crate::error::Result;
use crate::image::Pixels;
use crate::kernels::attention::Mask;
use crate::kernels::product::Act;
use crate::parallel;
use crate::quant::Format;
use crate::sample::Picked;
use std::ops::Range;
use std::sync::Arc;

/// The network on the processor.
pub(super) struct Network {
    pub(super) encoder: Arc<Encoder>,
    language: Language<Matrix, Vec<f32>>,
}

impl Network {
    pub(super) fn new(encoder: Arc<Encoder>, language: Language<Matrix, Vec<f32>>) -> Network {
        Network { encoder, language }
    }
}

impl Model {
    /// The instruction set, where the model runs on the processor.
    pub(crate) fn processor(&self) -> Option<Isa> {
        match &self.network {
            super::Network::Gpu(_) => None,
            super::Network::Cpu(network) => Some(network.encoder.isa),
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
        self.encoder.features(config, pixels, cancel).await
    }

    async fn map(&self) -> Result<Option<Vec<f32>>> {
        Ok(self.encoder.map())
    }

    async fn read_visual(&self, visual: &Vec<f32>, rows: Range<usize>) -> Result<Vec<f32>> {
        let hidden = self.language.norm.len();
        Ok(visual[rows.start * hidden..rows.end * hidden].to_vec())
    }

    fn begin(&self, _: &Config, kv: &mut KvCache, start: &Start) {
        kv.reserve(start.prompt + start.limit);
        kv.begin(start.sampling, start.seen, start.limit);
    }

    fn restrict(&self, _: &Config, kv: &mut KvCache, mask: &[u32]) {
        kv.restrict(mask);
    }

    fn show_logits(&self, kv: &mut KvCache) {
        kv.shows_logits = true;
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
        let mut memory = self.encoder.memory.take();
        let kernels = self.encoder.kernels(cancel);
        let wanted = forward(config, &self.language, kv, chunk, kernels, &mut memory).await;
        self.encoder.memory.give(memory);
        wanted
    }

    async fn embed(&self, config: &Config, chunk: Chunk<'_, Vec<f32>>) -> Result<Vec<f32>> {
        let mut x = Vec::new();
        embed(&config.language, &self.language, &chunk, &mut x);
        Ok(x)
    }

    async fn run_layers(
        &self,
        config: &Config,
        kv: &mut KvCache,
        rows: Rows<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let mut memory = self.encoder.memory.take();
        let kernels = self.encoder.kernels(cancel);
        let looked = run_layers(config, &self.language, kv, rows, kernels, &mut memory).await;
        self.encoder.memory.give(memory);
        looked
    }

    async fn finish(
        &self,
        config: &Config,
        kv: &mut KvCache,
        row: &[f32],
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        let mut memory = self.encoder.memory.take();
        memory.x = row.to_vec();
        let (l, w) = (&config.language, &self.language);
        let wanted = finish(l, w, kv, want, self.encoder.kernels(cancel), &mut memory);
        self.encoder.memory.give(memory);
        wanted
    }
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
    embed(l, w, &chunk, &mut memory.x);
    let rope = &cache.rope;
    let mut layers = w.layers.iter().zip(&mut cache.layers).enumerate();
    let mut looks = Looks::new(l, want, slots.len() * (position + slots.len()));
    let mut next = |(i, (layer, kv)): (usize, (&_, &mut _))| {
        let position = chunk.position_in(i);
        forward_layer(l, layer, (kv, rope, position), kernels, memory);
        looks.add(i, &memory.q, kv, position);
    };
    if kernels.cancel.pauses() {
        for layer in layers {
            kernels.cancel.breathe().await?;
            next(layer);
        }
    } else {
        // Going to the threads and back for each layer would cost a step some hundredths.
        parallel::inside(|| {
            layers.try_for_each(|layer| {
                kernels.cancel.step()?;
                next(layer);
                Ok(())
            })
        })?;
    }
    kernels.cancel.check()?;
    if want == Want::Attention {
        return Ok(Wanted::Attention(looks.rows));
    }
    finish(l, w, cache, want, kernels, memory)
}

/// The residual stream that a chunk begins with.
fn embed(
    l: &LanguageConfig,
    w: &Language<Matrix, Vec<f32>>,
    chunk: &Chunk<'_, Vec<f32>>,
    x: &mut Vec<f32>,
) {
    x.resize(chunk.slots.len() * l.hidden, 0.0);
    for (slot, x) in chunk.slots.iter().zip(x.chunks_exact_mut(l.hidden)) {
        match slot {
            Slot::Token(id) => w.embed.row(*id as usize, x),
            Slot::Visual { picture, index } => {
                let visual = chunk.visual(*picture);
                x.copy_from_slice(&visual[*index as usize * l.hidden..][..l.hidden]);
            }
        }
    }
}

/// What is wanted of the rows that have been through all layers.
fn finish(
    l: &LanguageConfig,
    w: &Language<Matrix, Vec<f32>>,
    cache: &mut KvCache,
    want: Want,
    kernels: Kernels<'_>,
    memory: &mut Memories,
) -> Result<Wanted> {
    let Memories { products, x, normed, wide, .. } = memory;
    let rows = match want {
        Want::Nothing | Want::Attention => return Ok(Wanted::Nothing),
        Want::AllLogits => &x[..],
        Want::Logits | Want::Pick => &x[x.len() - l.hidden..],
    };
    kernels.rms_norm(rows, &w.norm, l.eps, normed);
    kernels.linear(normed, w.head.as_ref().unwrap_or(&w.embed), Act::None, wide, products);
    kernels.cancel.check()?;
    if want == Want::Pick {
        cache.pick(wide);
        if !cache.shows_logits {
            return Ok(Wanted::Nothing);
        }
    }
    Ok(Wanted::Logits(wide.clone()))
}

/// One layer of the decoder. `rope` begins at position 0.
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
    kv.add(qkv, Some(&rope[position * l.shape.head_dim..]), q);
    let mask = Mask::Causal(position);
    cpu::attend(kernels.isa, q, kv, mask, attention, mixed, kernels.cancel);
    kernels.linear_add(mixed, &layer.o, x, products);
    kernels.rms_norm(x, &layer.norm2, l.eps, normed);
    kernels.linear(normed, &layer.gate_up, Act::None, wide, products);
    narrow.resize(x.len() / l.hidden * l.ffn, 0.0);
    cpu::swiglu(kernels.isa, wide, l.ffn, narrow);
    kernels.linear_add(narrow, &layer.down, x, products);
}
