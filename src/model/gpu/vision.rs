//! The vision tower and the projector on the GPU: pixels → features [patches, d] → image tokens
//! [M, hidden]. Upstream: `CLIPVisionTower.forward` (second-to-last layer, class token dropped),
//! MQT-LLaVA `query_abstractor`, LLaVA `mm_projector` and M3's average pooling of its outputs.

use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Matrix, Paced, Storage, Tensor};
use crate::image::Pixels;
use crate::kernels::attention::cache::KvLayer;
use crate::kernels::attention::heads::heads;
use crate::kernels::attention::{Mask, attention};
use crate::kernels::layer_norm::layer_norm;
use crate::kernels::mix::{Map, mix};
use crate::kernels::patchify::patchify;
use crate::kernels::product::{Act, Weights, linear, linear_act, linear_add};
use crate::kernels::vision_embed::vision_embed;
use crate::model::parts::{Mlp, Projector, Resampler, Vision};
use crate::quant::Format;
use crate::weights::fold;

/// Activations of one picture; tokens = patches + 1, the class token first.
pub(super) struct Scratch {
    /// [1, 3 · size²]
    pixels: Tensor,
    /// [patches, 3 · patch²]
    patches: Tensor,
    /// [patches, d]
    embedded: Tensor,
    /// [tokens, d]: the residual stream
    x: Tensor,
    /// [tokens, d]
    normed: Tensor,
    /// [tokens, sections of q, k, v]
    qkv: Tensor,
    /// [tokens, heads, dims]
    q: Storage,
    kv: KvLayer,
    /// [tokens, d]
    mixed: Tensor,
    /// [tokens, mlp]
    wide: Tensor,
}

/// What stands between tower and decoder: its weights, and the activations of one picture.
#[allow(clippy::large_enum_variant, reason = "a model has one")]
pub(super) enum Connector {
    Resampler {
        w: Resampler<Matrix, Tensor, Map>,
        /// [patches, d]: normalised features, then values
        features: Tensor,
        values: Tensor,
        /// [M, d]
        gathered: Tensor,
        /// [M, hidden]
        visual: Tensor,
    },
    Mlp {
        w: Mlp<Matrix, Tensor, Map>,
        /// [patches, hidden] each: the Linears write them by turns
        turns: [Tensor; 2],
        /// [pooled tokens, hidden]
        pooled: Tensor,
    },
}

impl Scratch {
    pub(super) async fn new(gpu: &Gpu, config: &Config) -> Result<Scratch> {
        let v = &config.vision;
        let (patches, tokens, shape) = (v.patches(), v.patches() + 1, v.shape());
        Ok(Scratch {
            pixels: gpu.tensor("pixels", 1, 3 * v.image_size * v.image_size).await?,
            patches: gpu.tensor("patches", patches, 3 * v.patch * v.patch).await?,
            embedded: gpu.tensor("embedded", patches, v.hidden).await?,
            x: gpu.tensor("vision x", tokens, v.hidden).await?,
            normed: gpu.tensor("vision normed", tokens, v.hidden).await?,
            qkv: gpu.tensor("vision qkv", tokens, shape.sections().2).await?,
            q: gpu.storage("vision q", (tokens * shape.heads * shape.dims() * 4) as u64).await?,
            kv: KvLayer::new(gpu, shape, tokens, Format::F32).await?,
            mixed: gpu.tensor("vision mixed", tokens, v.hidden).await?,
            wide: gpu.tensor("vision wide", tokens, v.mlp).await?,
        })
    }
}

impl Connector {
    pub(super) async fn new(
        gpu: &Gpu,
        config: &Config,
        weights: Projector<Matrix, Tensor, Map>,
    ) -> Result<Connector> {
        let (patches, d, hidden) =
            (config.vision.patches(), config.vision.hidden, config.language.hidden);
        Ok(match weights {
            Projector::Resampler(w) => Connector::Resampler {
                features: gpu.tensor("features", patches, d).await?,
                values: gpu.tensor("values", patches, d).await?,
                gathered: gpu.tensor("gathered", w.tokens, d).await?,
                visual: gpu.tensor("visual", w.tokens, hidden).await?,
                w,
            },
            Projector::Mlp(w) => Connector::Mlp {
                w,
                turns: [
                    gpu.tensor("projected", patches, hidden).await?,
                    gpu.tensor("projected too", patches, hidden).await?,
                ],
                pooled: gpu
                    .tensor("pooled", (config.visual_rows() - patches).max(1), hidden)
                    .await?,
            },
        })
    }
}

/// Runs the tower. The features are rows 1.. of the returned tensor [patches + 1, d]; row 0 is the
/// class token.
pub(super) async fn encode<'s>(
    gpu: &Gpu,
    config: &Config,
    w: &Vision<Matrix, Tensor>,
    a: &'s Scratch,
    pixels: &Pixels,
    cancel: &Cancel,
) -> Result<&'s Tensor> {
    let v = &config.vision;
    let (tokens, act) = (v.patches() + 1, if v.exact_gelu { Act::Gelu } else { Act::QuickGelu });
    cancel.check()?;
    gpu.write_rows(&a.pixels, 0, &pixels.data);
    let mut run = Paced::new(gpu, cancel, tokens);
    let rec = &mut run.rec;
    patchify(rec, &a.pixels, v.image_size, v.patch, &a.patches);
    linear(rec, a.patches.slice(0..v.patches()), &w.patch, &a.embedded);
    vision_embed(rec, &a.embedded, &w.class, &w.position, &a.normed);
    layer_norm(
        rec,
        &a.normed,
        0,
        tokens,
        Some((&w.pre_norm.weight, &w.pre_norm.bias)),
        v.eps,
        &a.x,
    );
    for layer in &w.layers {
        let rec = &mut run.rec;
        // Attention.
        layer_norm(
            rec,
            &a.x,
            0,
            tokens,
            Some((&layer.norm1.weight, &layer.norm1.bias)),
            v.eps,
            &a.normed,
        );
        linear(rec, a.normed.slice(0..tokens), &layer.qkv, &a.qkv);
        heads(rec, &a.qkv, tokens, None, 0, &a.q, &a.kv);
        attention(rec, &a.q, tokens, &a.kv, Mask::All(tokens), &a.mixed);
        linear_add(rec, a.mixed.slice(0..tokens), &layer.out, &a.x);
        // MLP.
        layer_norm(
            rec,
            &a.x,
            0,
            tokens,
            Some((&layer.norm2.weight, &layer.norm2.bias)),
            v.eps,
            &a.normed,
        );
        linear_act(rec, a.normed.slice(0..tokens), &layer.fc1, act, &a.wide);
        linear_add(rec, a.wide.slice(0..tokens), &layer.fc2, &a.x);
        run.layer_done().await?;
    }
    run.submit();
    Ok(&a.x)
}

impl Connector {
    /// Turns features (rows 1.. of `x`) into image tokens: the first `n` of a resampler's, or all
    /// of an MLP's and their averages.
    pub(super) async fn project(
        &self,
        gpu: &Gpu,
        config: &Config,
        x: &Tensor,
        n: usize,
        cancel: &Cancel,
    ) -> Result<Tensor> {
        let patches = config.vision.patches();
        match self {
            Connector::Resampler { w, features, values, gathered, visual } => {
                let out = gpu.tensor("image tokens", n, config.language.hidden).await?;
                let fold = Weights { matrix: &w.out, bias: Some(&w.bias) };
                let mut rec = gpu.recorder();
                layer_norm(&mut rec, x, 1, patches, None, fold::EPS, features);
                linear(&mut rec, features.slice(0..patches), &w.value, values);
                mix(&mut rec, &w.map, values, n, gathered);
                linear(&mut rec, gathered.slice(0..n), fold, visual);
                // Copied rather than written in place: what no kernel binds, no bind group keeps
                // alive.
                rec.copy_rows(visual, 0, &out, 0, n);
                rec.finish().await?;
                Ok(out)
            }
            Connector::Mlp { w: Mlp { linears, pool }, turns, pooled } => {
                let rows = config.visual_rows();
                let out = gpu.tensor("image tokens", rows, config.language.hidden).await?;
                let mut run = Paced::new(gpu, cancel, patches);
                for (i, layer) in linears.iter().enumerate() {
                    let (from, first) = if i == 0 { (x, 1) } else { (&turns[(i + 1) % 2], 0) };
                    let from = from.slice(first..first + patches);
                    let act = if i + 1 < linears.len() { Act::Gelu } else { Act::None };
                    linear_act(&mut run.rec, from, layer, act, &turns[i % 2]);
                    run.layer_done().await?;
                }
                let projected = &turns[(linears.len() + 1) % 2];
                run.rec.copy_rows(projected, 0, &out, 0, patches);
                if let Some(map) = pool {
                    let n = rows - patches;
                    mix(&mut run.rec, map, projected, n, pooled);
                    run.rec.copy_rows(pooled, 0, &out, patches, n);
                }
                run.submit();
                gpu.idle().await?;
                Ok(out)
            }
        }
    }
}
