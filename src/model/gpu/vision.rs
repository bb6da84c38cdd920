//! The vision tower on the GPU: pixels → features [patches, d]. Upstream: `CLIPVisionTower.forward`
//! (second-to-last layer, class token dropped), `SiglipVisionTransformer.forward`.

use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Matrix, Paced, Recorder, Storage, Tensor};
use crate::image::Pixels;
use crate::kernels::attention::cache::KvLayer;
use crate::kernels::attention::heads::heads;
use crate::kernels::attention::{Mask, attention};
use crate::kernels::layer_norm::layer_norm;
use crate::kernels::patchify::patchify;
use crate::kernels::product::{linear, linear_act, linear_add};
use crate::kernels::vision_embed::vision_embed;
use crate::model::parts::{Norm, Vision};
use crate::quant::Format;

/// Activations of one square; tokens = patches, and one more with a class token, which is first.
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

impl Scratch {
    pub(super) async fn new(gpu: &Gpu, config: &Config) -> Result<Scratch> {
        let v = &config.vision;
        let (patches, tokens, shape) = (v.patches(), v.tokens(), v.shape());
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

/// Runs the tower. The features are rows [`VisionConfig::first_patch`].. of the returned tensor
/// [tokens, d]; a class token stands before them.
///
/// [`VisionConfig::first_patch`]: crate::config::VisionConfig::first_patch
pub(super) async fn encode<'s>(
    gpu: &Gpu,
    config: &Config,
    w: &Vision<Matrix, Tensor>,
    a: &'s Scratch,
    pixels: &Pixels,
    cancel: &Cancel,
) -> Result<&'s Tensor> {
    let v = &config.vision;
    let tokens = v.tokens();
    cancel.check()?;
    gpu.write_rows(&a.pixels, 0, &pixels.data);
    let mut run = Paced::new(gpu, cancel, tokens);
    let rec = &mut run.rec;
    patchify(rec, &a.pixels, v.image_size, v.patch, &a.patches);
    linear(rec, a.patches.slice(0..v.patches()), &w.patch, &a.embedded);
    let norm = |rec: &mut Recorder, x: &Tensor, norm: &Norm<Tensor>, out: &Tensor| {
        layer_norm(rec, x, 0, tokens, Some((&norm.weight, &norm.bias)), v.eps, out);
    };
    let first = if w.pre_norm.is_some() { &a.normed } else { &a.x };
    vision_embed(rec, &a.embedded, w.class.as_ref(), &w.position, first);
    if let Some(pre_norm) = &w.pre_norm {
        norm(rec, &a.normed, pre_norm, &a.x);
    }
    for layer in &w.layers {
        let rec = &mut run.rec;
        // Attention.
        norm(rec, &a.x, &layer.norm1, &a.normed);
        linear(rec, a.normed.slice(0..tokens), &layer.qkv, &a.qkv);
        heads(rec, &a.qkv, tokens, None, 0, &a.q, &a.kv);
        attention(rec, &a.q, tokens, &a.kv, Mask::All(tokens), &a.mixed);
        linear_add(rec, a.mixed.slice(0..tokens), &layer.out, &a.x);
        // MLP.
        norm(rec, &a.x, &layer.norm2, &a.normed);
        linear_act(rec, a.normed.slice(0..tokens), &layer.fc1, v.act.into(), &a.wide);
        linear_add(rec, a.wide.slice(0..tokens), &layer.fc2, &a.x);
        run.layer_done().await?;
    }
    let features = match &w.post_norm {
        Some(post_norm) => {
            norm(&mut run.rec, &a.x, post_norm, &a.normed);
            &a.normed
        }
        None => &a.x,
    };
    run.submit();
    Ok(features)
}
