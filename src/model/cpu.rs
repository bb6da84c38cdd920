//! The network on plain slices, from the kernels' twins: the oracle of the tests, and the fallback
//! where there is no adapter.

use super::back_end::{BackEnd, Encoded, Start};
use super::parts::{Language, Linear, Parts, Projector, Vision, Way};
use super::{Chunk, Slot, Want, Wanted};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::image::Pixels;
use crate::image::tiles::Plan;
use crate::kernels::attention::heads::{self, rope_table};
use crate::kernels::attention::{self, Mask};
use crate::kernels::gather::{self, Taps};
use crate::kernels::product::Act;
use crate::kernels::{
    depthwise, embed, layer_norm, mix, patchify, pick, product, rms_norm, shuffle, swiglu,
    vision_embed,
};
use crate::quant::{Format, Packed};
use crate::sample::{self, Picked, Sampling};
use crate::weights::fold;
use std::ops::Range;
use std::time::Duration;
use web_time::Instant;

/// The network on the processor.
pub(super) struct Network(Parts<Packed, Vec<f32>, Vec<f32>>);

impl Network {
    pub(super) fn new(parts: Parts<Packed, Vec<f32>, Vec<f32>>) -> Network {
        Network(parts)
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
        encode(config, &self.0.vision, pixels, cancel).await
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
        for pixels in squares {
            let start = Instant::now();
            let features = encode(config, &self.0.vision, pixels, cancel).await?;
            let encoded = Instant::now();
            visual.extend(project(config, &self.0.projector, &features, n));
            vision += encoded - start;
            resample += encoded.elapsed();
        }
        let encoded = Instant::now();
        let visual = put_together(config, &self.0.projector, visual, plan);
        Ok(Encoded { visual, vision, resample: resample + encoded.elapsed() })
    }

    async fn map(&self) -> Result<Option<Vec<f32>>> {
        Ok(match &self.0.projector {
            Projector::Resampler(r) => Some(r.map.clone()),
            Projector::Gridded(_) => None,
        })
    }

    async fn read_visual(&self, visual: &Vec<f32>, rows: Range<usize>) -> Result<Vec<f32>> {
        let hidden = self.0.language.norm.len();
        Ok(visual[rows.start * hidden..rows.end * hidden].to_vec())
    }

    fn begin(&self, _: &Config, kv: &mut KvCache, start: &Start) {
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
        forward(config, &self.0.language, kv, chunk, cancel).await
    }
}

/// Keys and values of one layer, [len, kv_heads · head_dim] each.
type KvRows = (Vec<f32>, Vec<f32>);

/// Keys and values of every layer, and the rotation table.
pub(super) struct KvCache {
    layers: Vec<KvRows>,
    rope: Vec<f32>,
    sampling: Sampling,
    seen: Vec<u32>,
    vocab: usize,
    /// The tokens picked since [`KvCache::begin`].
    picked: Vec<Picked>,
}

impl KvCache {
    pub(super) fn new(config: &Config, context: usize) -> KvCache {
        let (layers, rope) = (
            vec![KvRows::default(); config.language.layers],
            rope_table(&config.language.inv_freq, context),
        );
        KvCache {
            layers,
            rope,
            sampling: Sampling::default(),
            seen: Vec::new(),
            vocab: config.language.vocab,
            picked: Vec::new(),
        }
    }

    /// As the GPU's `Picker::begin`.
    pub(super) fn begin(&mut self, sampling: &Sampling, seen: &[u32]) {
        self.sampling = *sampling;
        self.seen = pick::seen_words(
            self.vocab,
            seen.iter().copied().filter(|&t| (t as usize) < self.vocab),
        );
        self.picked.clear();
    }

    /// The token picked last.
    pub(super) fn picked(&self) -> Picked {
        self.picked.last().copied().unwrap_or(Picked::new(0, 0.0))
    }

    fn pick(&mut self, logits: &[f32]) {
        let picked = sample::pick(logits, &self.seen, &self.sampling, self.picked.len() as u32);
        self.seen[picked.token as usize / 32] |= 1 << (picked.token % 32);
        self.picked.push(picked);
    }

    pub(super) fn rewind(&mut self, config: &Config, len: usize) {
        let width = config.language.shape.kv_heads * config.language.shape.head_dim;
        for (keys, values) in &mut self.layers {
            keys.truncate(len * width);
            values.truncate(len * width);
        }
    }
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// pixels [3, S, S] → features [patches, d].
async fn encode(
    config: &Config,
    w: &Vision<Packed, Vec<f32>>,
    pixels: &Pixels,
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    let v = &config.vision;
    let (d, shape) = (v.hidden, v.shape());
    let act = v.act.into();
    let patches = patchify::reference(&pixels.data, v.image_size, v.patch);
    let embedded =
        product::reference(&patches, &w.patch.weight, w.patch.bias.as_deref(), Act::None);
    let mut x = vision_embed::reference(&embedded, w.class.as_deref(), &w.position);
    if let Some(norm) = &w.pre_norm {
        x = layer_norm::reference(&x, d, Some((&norm.weight, &norm.bias)), v.eps);
    }
    for layer in &w.layers {
        cancel.breathe().await?;
        let normed =
            layer_norm::reference(&x, d, Some((&layer.norm1.weight, &layer.norm1.bias)), v.eps);
        let qkv =
            product::reference(&normed, &layer.qkv.weight, layer.qkv.bias.as_deref(), Act::None);
        let (q, keys, values) = heads::reference(&qkv, shape, None, 0);
        let mixed = attention::reference(&q, &keys, &values, shape, Mask::All(v.tokens()));
        add(
            &mut x,
            &product::reference(&mixed, &layer.out.weight, layer.out.bias.as_deref(), Act::None),
        );
        let normed =
            layer_norm::reference(&x, d, Some((&layer.norm2.weight, &layer.norm2.bias)), v.eps);
        let wide = product::reference(&normed, &layer.fc1.weight, layer.fc1.bias.as_deref(), act);
        add(
            &mut x,
            &product::reference(&wide, &layer.fc2.weight, layer.fc2.bias.as_deref(), Act::None),
        );
    }
    if let Some(norm) = &w.post_norm {
        x = layer_norm::reference(&x, d, Some((&norm.weight, &norm.bias)), v.eps);
    }
    Ok(x.split_off(v.first_patch() * d))
}

/// features [patches, d] → image tokens, as the GPU's `Connector::project`.
fn project(
    config: &Config,
    w: &Projector<Packed, Vec<f32>, Vec<f32>>,
    features: &[f32],
    n: usize,
) -> Vec<f32> {
    match w {
        Projector::Resampler(w) => {
            let d = config.vision.hidden;
            let normed = layer_norm::reference(features, d, None, fold::EPS);
            let values = product::reference(&normed, &w.value, None, Act::None);
            let gathered = mix::reference(&w.map, w.heads, w.tokens, &values, d, n);
            product::reference(&gathered, &w.out, Some(&w.bias), Act::None)
        }
        Projector::Gridded(w) => grid(config, &w.way, features),
    }
}

/// features [patches, d] → the tokens of one square, as the GPU's `Steps::run`.
fn grid(config: &Config, way: &Way<Packed, Vec<f32>>, features: &[f32]) -> Vec<f32> {
    let apply = |x: &[f32], linear: &Linear<Packed, Vec<f32>>, act: Act| {
        product::reference(x, &linear.weight, linear.bias.as_deref(), act)
    };
    let (patches, side) = (config.vision.grid(), config.square_side());
    match way {
        Way::Mlp { linears, .. } => {
            let mut tokens = features.to_vec();
            for (i, linear) in linears.iter().enumerate() {
                let act = if i + 1 < linears.len() { Act::Gelu } else { Act::None };
                tokens = apply(&tokens, linear, act);
            }
            tokens
        }
        Way::Shuffle(linear) => {
            let d = config.vision.hidden;
            apply(&shuffle::reference(features, d, patches, patches / side), linear, Act::None)
        }
        Way::Ldp2 { linears, weight, bias } => {
            let wide = apply(features, &linears[0], Act::Gelu);
            let means = gather::reference(&Taps::means(patches, side), &wide, bias.len());
            depthwise::reference(&apply(&means, &linears[1], Act::None), weight, bias, side)
        }
    }
}

/// The tokens of all squares in the order of the prompt, as the GPU's `Connector::finish`.
fn put_together(
    config: &Config,
    w: &Projector<Packed, Vec<f32>, Vec<f32>>,
    mut tokens: Vec<f32>,
    plan: &Plan,
) -> Vec<f32> {
    let (Projector::Gridded(w), hidden) = (w, config.language.hidden) else { return tokens };
    if Config::is_assembled(plan) {
        if let Way::Mlp { newline: Some(newline), .. } = &w.way {
            tokens.extend(newline);
        }
        return gather::reference(&config.assembly(plan), &tokens, hidden);
    }
    if let (Some(map), 1) = (&w.pool, plan.squares()) {
        let n = config.visual_rows() - config.square_tokens();
        tokens.extend(mix::reference(map, 1, n, &tokens, hidden, n));
    }
    tokens
}

/// Computes a chunk, as the GPU's `language::forward`.
async fn forward(
    config: &Config,
    w: &Language<Packed, Vec<f32>>,
    cache: &mut KvCache,
    chunk: Chunk<'_, Vec<f32>>,
    cancel: &Cancel,
) -> Result<Wanted> {
    let l = &config.language;
    let Chunk { slots, position, want, .. } = chunk;
    let mut x = Vec::with_capacity(slots.len() * l.hidden);
    for slot in slots {
        match slot {
            Slot::Token(id) => x.extend(embed::reference(&[*id], &w.embed)),
            Slot::Visual { picture, index } => {
                let visual = chunk.visual(*picture);
                x.extend_from_slice(&visual[*index as usize * l.hidden..][..l.hidden]);
            }
        }
    }
    for (layer, (keys, values)) in w.layers.iter().zip(&mut cache.layers) {
        cancel.breathe().await?;
        let normed = rms_norm::reference(&x, &layer.norm1, l.eps);
        let qkv =
            product::reference(&normed, &layer.qkv.weight, layer.qkv.bias.as_deref(), Act::None);
        let (q, k, v) = heads::reference(&qkv, l.shape, Some(&cache.rope), position);
        keys.extend(k);
        values.extend(v);
        let mixed = attention::reference(&q, keys, values, l.shape, Mask::Causal(position));
        add(&mut x, &product::reference(&mixed, &layer.o, None, Act::None));
        let normed = rms_norm::reference(&x, &layer.norm2, l.eps);
        let gate_up = product::reference(&normed, &layer.gate_up, None, Act::None);
        add(
            &mut x,
            &product::reference(&swiglu::reference(&gate_up, l.ffn), &layer.down, None, Act::None),
        );
    }
    let head = w.head.as_ref().unwrap_or(&w.embed);
    let rows = match want {
        Want::Nothing => return Ok(Wanted::Nothing),
        Want::AllLogits => &x[..],
        Want::Logits | Want::Pick => &x[x.len() - l.hidden..],
    };
    let logits =
        product::reference(&rms_norm::reference(rows, &w.norm, l.eps), head, None, Act::None);
    if want == Want::Pick {
        cache.pick(&logits);
        return Ok(Wanted::Nothing);
    }
    Ok(Wanted::Logits(logits))
}
