//! The decoder on the GPU: slots (tokens and image tokens) → keys and values in the cache, and
//! what the caller wants of the last one. Upstream: transformers `LlamaForCausalLM`.

use super::decode::{Decoder, Operands, Picker};
use crate::cancel::Cancel;
use crate::config::{Config, LanguageConfig};
use crate::error::Result;
use crate::gpu::{Gpu, Matrix, Paced, Storage, Tensor};
use crate::kernels::attention::cache::KvLayer;
use crate::kernels::attention::heads::{heads, rope_table};
use crate::kernels::attention::{Mask, attention};
use crate::kernels::embed::embed;
use crate::kernels::pick::pick;
use crate::kernels::product::{linear, linear_add};
use crate::kernels::rms_norm::rms_norm;
use crate::kernels::swiglu::swiglu;
use crate::model::back_end::CHUNK;
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
    for (layer, kv) in w.layers.iter().zip(&cache.layers) {
        let rec = &mut run.rec;
        // Attention.
        rms_norm(rec, &a.x, 0, n, &layer.norm1, l.eps, &a.normed);
        linear(rec, a.normed.slice(0..n), &layer.qkv, &a.qkv);
        heads(rec, &a.qkv, n, Some(&cache.rope), position, &a.q, kv);
        attention(rec, &a.q, n, kv, Mask::Causal(position), &a.mixed);
        linear_add(rec, a.mixed.slice(0..n), &layer.o, &a.x);
        // MLP.
        rms_norm(rec, &a.x, 0, n, &layer.norm2, l.eps, &a.normed);
        linear(rec, a.normed.slice(0..n), &layer.gate_up, &a.gate_up);
        swiglu(rec, &a.gate_up, n, &a.wide);
        linear_add(rec, a.wide.slice(0..n), &layer.down, &a.x);
        // A single token is short work: one submission.
        if n > 1 {
            run.layer_done().await?;
        }
    }
    let head = w.head.as_ref().unwrap_or(&w.embed);
    match want {
        Want::Nothing => {
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
            pick(
                &mut run.rec,
                &a.logits,
                &cache.picker.seen,
                &cache.picker.state,
                cache.picker.greedy,
            );
            run.submit();
            Ok(Wanted::Nothing)
        }
    }
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
