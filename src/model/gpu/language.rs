//! The decoder on the GPU: slots (tokens and image tokens) → keys and values in the cache, and
//! what the caller wants of the last one. Upstream: transformers `LlamaForCausalLM`.

use super::decode::{Decoder, Operands, Picker};
use crate::attention;
use crate::cancel::Cancel;
use crate::config::{Config, LanguageConfig};
use crate::error::Result;
use crate::gpu::{Gpu, Matrix, Paced, Recorder, Storage, Tensor};
use crate::kernels::attention::cache::KvLayer;
use crate::kernels::attention::heads::{heads, rope_table};
use crate::kernels::attention::weights::{Share, attention_weights};
use crate::kernels::attention::{Mask, attention as attend};
use crate::kernels::embed::embed;
use crate::kernels::pick::pick;
use crate::kernels::product::{linear, linear_add};
use crate::kernels::rms_norm::rms_norm;
use crate::kernels::swiglu::swiglu;
use crate::model::back_end::{CHUNK, Rows};
use crate::model::parts::Language;
use crate::model::{Chunk, Slot, Want, Wanted};
use crate::quant::Format;
use crate::weights::layout::gate_up_rows;

/// Keys and values of a conversation, and the rotation table for its positions.
pub(in crate::model) struct KvCache {
    gpu: Gpu,
    layers: Vec<KvLayer>,
    rope: Storage,
    pub(super) picker: Picker,
    /// Steps that run ahead; `None` with `--arithmetic exact`, whose decoding is the plain layers.
    pub(in crate::model) decoder: Option<Decoder>,
}

impl Drop for KvCache {
    fn drop(&mut self) {
        self.gpu.forget_bind_groups();
    }
}

impl KvCache {
    pub(super) async fn new(
        gpu: &Gpu,
        config: &LanguageConfig,
        w: &Language<Matrix, Tensor>,
        context: usize,
        format: Format,
    ) -> Result<KvCache> {
        let table = rope_table(&config.inv_freq, context);
        let rope = gpu.storage("rope", table.len() as u64 * 4).await?;
        gpu.write(&rope, 0, bytemuck::cast_slice(&table));
        let mut layers = Vec::new();
        for _ in 0..config.layers {
            layers.push(KvLayer::new(gpu, config.shape, context, format).await?);
        }
        let picker = Picker::new(gpu, config.vocab).await?;
        let decoder =
            if format == Format::F16 { Decoder::new(gpu, config, context).await? } else { None };
        let mut cache = KvCache { gpu: gpu.clone(), layers, rope, picker, decoder };
        cache.prepare(config, w);
        Ok(cache)
    }

    /// Records the steps for the way of picking that was begun, unless that is done.
    pub(super) fn prepare(&mut self, config: &LanguageConfig, w: &Language<Matrix, Tensor>) {
        if let Some(decoder) = &mut self.decoder {
            let operands = Operands {
                l: config,
                w,
                layers: &self.layers,
                rope: &self.rope,
                picker: &self.picker,
            };
            decoder.prepare(&self.gpu, &operands);
        }
    }
}

/// Activations of one chunk.
pub(in crate::model) struct Scratch {
    ids: Storage,
    /// [chunk, hidden]: the residual stream
    x: Tensor,
    /// [chunk, hidden]
    normed: Tensor,
    /// [chunk, sections of q, k, v]
    qkv: Tensor,
    /// [chunk, heads, dims]
    q: Storage,
    /// [chunk, heads · head_dim]
    mixed: Tensor,
    /// [chunk, gates and ups]
    gate_up: Tensor,
    /// [chunk, ffn]
    wide: Tensor,
    /// [1, vocab]
    logits: Tensor,
}

impl Scratch {
    pub(super) async fn new(gpu: &Gpu, config: &Config) -> Result<Scratch> {
        let l = &config.language;
        let shape = l.shape;
        Ok(Scratch {
            ids: gpu.storage("ids", CHUNK as u64 * 4).await?,
            x: gpu.tensor("x", CHUNK, l.hidden).await?,
            normed: gpu.tensor("normed", CHUNK, l.hidden).await?,
            qkv: gpu.tensor("qkv", CHUNK, shape.sections().2).await?,
            q: gpu.storage("q", (CHUNK * shape.heads * shape.dims() * 4) as u64).await?,
            mixed: gpu.tensor("mixed", CHUNK, shape.heads * shape.head_dim).await?,
            gate_up: gpu.tensor("gate_up", CHUNK, gate_up_rows(l.ffn)).await?,
            wide: gpu.tensor("wide", CHUNK, l.ffn).await?,
            logits: gpu.tensor("logits", 1, l.vocab).await?,
        })
    }
}

/// Computes one chunk of at most [`CHUNK`] slots.
pub(super) async fn forward(
    gpu: &Gpu,
    config: &Config,
    w: &Language<Matrix, Tensor>,
    a: &Scratch,
    cache: &KvCache,
    chunk: Chunk<'_, Tensor>,
    cancel: &Cancel,
) -> Result<Wanted> {
    let l = &config.language;
    let (n, position, want) = (chunk.slots.len(), chunk.position, chunk.want);
    cancel.check()?;
    let mut run = Paced::new(gpu, cancel, n);
    gather(&mut run, w, a, &chunk);
    let looks = match want {
        Want::Attention => Some(gpu.tensor("attention weights", n, position + n).await?),
        _ => None,
    };
    let middle = attention::middle_third(l.layers);
    for i in 0..l.layers {
        let position = chunk.position_in(i);
        layer(&mut run.rec, l, (w, cache, i), a, n, position);
        if let Some(looks) = looks.as_ref().filter(|_| middle.contains(&i)) {
            let factor = 1.0 / (l.shape.heads * middle.len()) as f32;
            let share = Share { factor, adds: i > middle.start };
            attention_weights(&mut run.rec, &a.q, n, &cache.layers[i], position, share, looks);
        }
        // A single token is short work: one submission.
        if n > 1 {
            run.layer_done().await?;
        }
    }
    if let Some(looks) = looks {
        run.submit();
        let rows = gpu.read_rows(&looks, 0, n).await?;
        gpu.forget_bind_groups();
        return Ok(Wanted::Attention(rows));
    }
    finish(run, l, w, a, cache, (n, want)).await
}

/// Layer `i` of the decoder over `n` rows of the residual stream, which stays in `a.x`; queries
/// stay in `a.q`.
fn layer(
    rec: &mut Recorder,
    l: &LanguageConfig,
    (w, cache, i): (&Language<Matrix, Tensor>, &KvCache, usize),
    a: &Scratch,
    n: usize,
    position: usize,
) {
    let (layer, kv) = (&w.layers[i], &cache.layers[i]);
    // Attention.
    rms_norm(rec, &a.x, 0, n, &layer.norm1, l.eps, &a.normed);
    linear(rec, a.normed.slice(0..n), &layer.qkv, &a.qkv);
    heads(rec, &a.qkv, n, Some(&cache.rope), position, &a.q, kv);
    attend(rec, &a.q, n, kv, Mask::Causal(position), &a.mixed);
    linear_add(rec, a.mixed.slice(0..n), &layer.o, &a.x);
    // MLP.
    rms_norm(rec, &a.x, 0, n, &layer.norm2, l.eps, &a.normed);
    linear(rec, a.normed.slice(0..n), &layer.gate_up, &a.gate_up);
    swiglu(rec, &a.gate_up, n, &a.wide);
    linear_add(rec, a.wide.slice(0..n), &layer.down, &a.x);
}

/// What is wanted of `n` rows of `a.x` that have been through all layers.
async fn finish(
    mut run: Paced<'_>,
    l: &LanguageConfig,
    w: &Language<Matrix, Tensor>,
    a: &Scratch,
    cache: &KvCache,
    (n, want): (usize, Want),
) -> Result<Wanted> {
    let gpu = run.rec.gpu();
    let head = w.head.as_ref().unwrap_or(&w.embed);
    match want {
        Want::Nothing | Want::Attention => {
            run.submit();
            Ok(Wanted::Nothing)
        }
        Want::AllLogits => {
            let logits = gpu.tensor("all logits", n, l.vocab).await?;
            rms_norm(&mut run.rec, &a.x, 0, n, &w.norm, l.eps, &a.normed);
            linear(&mut run.rec, a.normed.slice(0..n), head, &logits);
            run.submit();
            let values = gpu.read_rows(&logits, 0, n).await?;
            gpu.forget_bind_groups();
            Ok(Wanted::Logits(values))
        }
        Want::Logits | Want::Pick => {
            rms_norm(&mut run.rec, &a.x, n - 1, 1, &w.norm, l.eps, &a.normed);
            linear(&mut run.rec, a.normed.slice(0..1), head, &a.logits);
            if want == Want::Logits {
                run.submit();
                return Ok(Wanted::Logits(gpu.read_rows(&a.logits, 0, 1).await?));
            }
            let picker = &cache.picker;
            pick(&mut run.rec, &a.logits, &picker.sets(), picker.way);
            run.submit();
            if picker.shows_logits {
                return Ok(Wanted::Logits(gpu.read_rows(&a.logits, 0, 1).await?));
            }
            Ok(Wanted::Nothing)
        }
    }
}

/// A chunk's slots as they enter the decoder.
pub(super) async fn embedded(
    gpu: &Gpu,
    config: &Config,
    w: &Language<Matrix, Tensor>,
    a: &Scratch,
    chunk: Chunk<'_, Tensor>,
) -> Result<Vec<f32>> {
    let cancel = Cancel::new();
    let mut run = Paced::new(gpu, &cancel, chunk.slots.len());
    gather(&mut run, w, a, &chunk);
    run.submit();
    debug_assert_eq!(a.x.cols, config.language.hidden);
    gpu.read_rows(&a.x, 0, chunk.slots.len()).await
}

/// Runs some layers over rows of the residual stream, from the host and back to it.
pub(super) async fn run_layers(
    gpu: &Gpu,
    config: &Config,
    w: &Language<Matrix, Tensor>,
    a: &Scratch,
    cache: &KvCache,
    rows: Rows<'_>,
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    let l = &config.language;
    let Rows { x, position, layers, looks } = rows;
    let n = x.len() / l.hidden;
    cancel.check()?;
    gpu.write_rows(&a.x, 0, x);
    let mut run = Paced::new(gpu, cancel, n);
    for i in layers.clone() {
        layer(&mut run.rec, l, (w, cache, i), a, n, position);
        run.layer_done().await?;
    }
    let mut weights = None;
    if looks && !layers.is_empty() {
        let looked = gpu.tensor("attention weights", n, position + n).await?;
        let share = Share { factor: 1.0 / l.shape.heads as f32, adds: false };
        let kv = &cache.layers[layers.end - 1];
        attention_weights(&mut run.rec, &a.q, n, kv, position, share, &looked);
        weights = Some(looked);
    }
    run.submit();
    x.copy_from_slice(&gpu.read_rows(&a.x, 0, n).await?);
    let Some(looked) = weights else { return Ok(Vec::new()) };
    let all = gpu.read_rows(&looked, 0, n).await?;
    gpu.forget_bind_groups();
    Ok(all)
}

/// What is wanted of a row that has been through all layers.
pub(super) async fn finished(
    gpu: &Gpu,
    config: &Config,
    w: &Language<Matrix, Tensor>,
    a: &Scratch,
    cache: &KvCache,
    (row, want): (&[f32], Want),
    cancel: &Cancel,
) -> Result<Wanted> {
    cancel.check()?;
    gpu.write_rows(&a.x, 0, row);
    finish(Paced::new(gpu, cancel, 1), &config.language, w, a, cache, (1, want)).await
}

/// Fills the residual stream: rows of the embedding table, then image tokens over their places.
fn gather(run: &mut Paced, w: &Language<Matrix, Tensor>, a: &Scratch, chunk: &Chunk<Tensor>) {
    let ids: Vec<u32> = chunk.slots.iter().map(|s| s.token().unwrap_or(0)).collect();
    run.rec.gpu().write(&a.ids, 0, bytemuck::cast_slice(&ids));
    embed(&mut run.rec, &a.ids, ids.len(), &w.embed, &a.x, 0);
    let mut row = 0;
    while let Some(slot) = chunk.slots.get(row) {
        let Slot::Visual { picture, index } = *slot else {
            row += 1;
            continue;
        };
        // A run of neighbouring image tokens is one copy.
        let next = |i: usize| Slot::Visual { picture, index: index + i as u32 };
        let run_of = |slots: &[Slot]| (0..).zip(slots).take_while(|(i, s)| **s == next(*i)).count();
        let n = run_of(&chunk.slots[row..]);
        run.rec.copy_rows(chunk.visual(picture), index as usize, &a.x, row, n);
        row += n;
    }
}
