//! Keys of a pair of files → the `config.json` and `preprocessor_config.json` that a checkpoint
//! would have. What would change an answer is honoured or refused by its name; a key under `llama.`
//! or `clip.` that is not known is refused too.
//!
//! Upstream: llama.cpp's `conversion/llama.py` and `convert_image_encoder_to_gguf.py`, which write
//! them.

use super::container::Container;
use super::keys::{LANGUAGE, LANGUAGE_IDLE, VISION, VISION_IDLE, check_known};
use super::value::{Value as Given, decimal};
use crate::error::Result;
use crate::untrusted::{cut, limits};
use serde_json::{Map, Value, json};

/// The only architecture of decoders that is read.
pub(super) const LLAMA: &str = "llama";
/// The architecture of vision towers with a projector.
pub(super) const CLIP: &str = "clip";

/// Layers and width of a whole CLIP ViT-L. Where a file has all of them, LLaVA reads the last but
/// one.
const CLIP_L: (u64, u64) = (24, 1024);

/// Refuses a file that is not a whole model of its own.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt).
pub(super) fn check_general(file: &Container) -> Result<()> {
    if let Some(count) = file.whole("split.count")?.filter(|count| *count > 1) {
        return Err(file.bad(format!(
            "it is one of {count} parts of a split file; join them with llama.cpp's llama-gguf-split first"
        )));
    }
    if let Some(kind) = file.text("general.type")?.filter(|k| !["model", "mmproj"].contains(k)) {
        return Err(file
            .bad(format!("general.type is {:?}; a model and an mmproj are read", cut(kind, 60))));
    }
    match file.whole("general.quantization_version")? {
        None | Some(0 | 2) => Ok(()),
        Some(other) => Err(file.bad(format!(
            "general.quantization_version is {other}; 2, that of all published files, is read"
        ))),
    }
}

/// Keys of one part, by their rest.
struct Part<'a> {
    file: &'a Container,
    before: &'a str,
}

impl Part<'_> {
    fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.before)
    }

    fn whole(&self, rest: &str) -> Result<Option<u64>> {
        self.file.whole(&self.key(rest))
    }

    fn number(&self, rest: &str) -> Result<Option<f64>> {
        self.file.number(&self.key(rest))
    }

    /// # Errors
    /// If the key is absent.
    fn required<T>(&self, rest: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.file.bad(format!("it has no key {}", self.key(rest))))
    }

    fn count(&self, rest: &str) -> Result<u64> {
        self.required(rest, self.whole(rest)?)
    }

    /// Refuses a value other than what its absence means.
    fn refuse(&self, rest: &str, idle: impl Fn(&Given) -> bool, hint: &str) -> Result<()> {
        let key = self.key(rest);
        match self.file.keys.get(&key).filter(|value| !idle(value)) {
            Some(value) => Err(self.file.bad(format!("{key} {value} is not supported{hint}"))),
            None => Ok(()),
        }
    }
}

fn is_zero(value: &Given) -> bool {
    matches!(value, Given::Unsigned(0) | Given::Signed(0))
}

fn is_false(value: &Given) -> bool {
    *value == Given::Bool(false)
}

/// The decoder's part of `config.json`, and the width of its heads.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the key.
pub(super) fn language(file: &Container) -> Result<(Map<String, Value>, usize)> {
    let mut config = Map::new();
    let part = Part { file, before: "llama." };
    check_known(file, part.before, [&LANGUAGE, &LANGUAGE_IDLE])?;
    part.refuse("expert_count", is_zero, ": mixtures of experts are not run")?;
    part.refuse("expert_used_count", is_zero, ": mixtures of experts are not run")?;
    part.refuse("use_parallel_residual", is_false, "")?;
    part.refuse(
        "tensor_data_layout",
        |value| *value == Given::Text("Meta AI original pth".into()),
        "",
    )?;
    config.insert("model_type".into(), json!("llava"));
    let (hidden, heads) = (part.count("embedding_length")?, part.count("attention.head_count")?);
    let head_dim = head_dim(&part, hidden, heads)?;
    let kv_heads = part.whole("attention.head_count_kv")?.unwrap_or(heads);
    config.extend([
        ("hidden_size".into(), json!(hidden)),
        ("num_attention_heads".into(), json!(heads)),
        ("num_key_value_heads".into(), json!(kv_heads)),
        ("head_dim".into(), json!(head_dim)),
        ("num_hidden_layers".into(), json!(part.count("block_count")?)),
        ("intermediate_size".into(), json!(part.count("feed_forward_length")?)),
        ("max_position_embeddings".into(), json!(part.count("context_length")?)),
    ]);
    let eps = "attention.layer_norm_rms_epsilon";
    config.insert("rms_norm_eps".into(), json!(part.required(eps, part.number(eps)?)?));
    let theta = part.number("rope.freq_base")?.filter(|theta| *theta != 0.0);
    config.insert("rope_theta".into(), json!(theta.unwrap_or(10_000.0)));
    if let Some(window) = part.whole("attention.sliding_window")?.filter(|window| *window > 0) {
        config.insert("sliding_window".into(), json!(window));
    }
    if let Some((vocab, rows)) = part.whole("vocab_size")?.zip(rows(file))
        && vocab != rows
    {
        return Err(
            file.bad(format!("llama.vocab_size is {vocab}, but token_embd.weight has {rows} rows"))
        );
    }
    let tied = !file.tensors.contains_key("output.weight");
    config.insert("tie_word_embeddings".into(), json!(tied));
    rope_scaling(&part, &mut config)?;
    let head_dim = usize::try_from(head_dim).ok();
    let head_dim = head_dim.ok_or_else(|| file.bad("its heads are too wide".into()))?;
    Ok((config, head_dim))
}

/// The width of a head, which the whole of it must be rotated in.
fn head_dim(part: &Part, hidden: u64, heads: u64) -> Result<u64> {
    let file = part.file;
    let head_dim = match part.whole("attention.key_length")? {
        Some(n) => n,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(file.bad(format!(
                "llama.embedding_length {hidden} does not divide into {heads} heads"
            )));
        }
    };
    for rest in ["attention.value_length", "rope.dimension_count"] {
        if let Some(n) = part.whole(rest)?.filter(|n| *n != head_dim) {
            return Err(file.bad(format!(
                "llama.{rest} is {n}, a head's width {head_dim}: only the same is supported"
            )));
        }
    }
    Ok(head_dim)
}

fn rows(file: &Container) -> Option<u64> {
    file.tensors.get("token_embd.weight").map(|info| info.shape[0] as u64)
}

/// How the rotation is stretched. A factor without a type is linear, as llama.cpp takes it.
fn rope_scaling(part: &Part, config: &mut Map<String, Value>) -> Result<()> {
    let factor = match part.number("rope.scaling.factor")? {
        None | Some(0.0) => part.number("rope.scale_linear")?,
        factor => factor,
    };
    let kind = part.file.text("llama.rope.scaling.type")?;
    match (kind.unwrap_or("linear"), factor) {
        ("none", _) | ("linear", None) => {}
        ("linear", Some(factor)) => {
            config.insert("rope_scaling".into(), json!({"type": "linear", "factor": factor}));
        }
        (other, _) => {
            return Err(part.file.bad(format!(
                "llama.rope.scaling.type {:?} is not supported; none and linear are",
                cut(other, 60)
            )));
        }
    }
    // Without that type it has nothing to act on.
    let one = |value: &Given| matches!(value, Given::Float(1.0));
    part.refuse("rope.scaling.attn_factor", one, "; 1 is")
}

/// Three numbers of a list; `clip`'s own where they are these in 32 bits, which is all that the
/// file keeps of them.
fn triple(file: &Container, key: &str, clip: [f64; 3]) -> Result<[f64; 3]> {
    let Some(list) = file.floats(key)? else { return Ok(clip) };
    let Ok(three) = <[f32; 3]>::try_from(list) else {
        return Err(file.bad(format!("{key} has {} numbers, not three", list.len())));
    };
    Ok(if three == clip.map(|x| x as f32) { clip } else { three.map(decimal) })
}

/// The projector of Idefics3 and SmolVLM.
const IDEFICS: &str = "idefics3";

/// Which projector it is; `mlp` says nothing of how many layers it has.
fn projector(part: &Part, config: &mut Map<String, Value>) -> Result<()> {
    let file = part.file;
    for rest in ["projector_type", "vision.projector_type"] {
        match file.text(&part.key(rest))? {
            None | Some("mlp") => {}
            Some(IDEFICS) => {
                config.insert("model_type".into(), json!(IDEFICS));
            }
            Some("linear") => {
                config.insert("mm_projector_type".into(), json!("linear"));
            }
            Some(other) => {
                return Err(file.bad(format!(
                    "clip.{rest} {:?} is not supported yet; mlp and linear, LLaVA-1.5's, and idefics3 are",
                    cut(other, 60)
                )));
            }
        }
    }
    if let Some(kind) = file.text("clip.vision.mm_projector_type")? {
        config.insert("mm_projector_type".into(), json!(cut(kind, limits::NAME)));
    }
    Ok(())
}

/// The layer that the projector reads, as `config.json` would say it.
fn selected_layer(file: &Container, blocks: u64, width: u64) -> Result<Value> {
    Ok(match file.wholes("clip.vision.feature_layer")? {
        None if (blocks, width) == CLIP_L => json!(-2),
        // llama.cpp's converter has left out the layers behind the one that LLaVA reads: all that
        // are stored run. (llama.cpp itself leaves out one more.)
        None => json!(blocks),
        Some([one]) => json!(one),
        Some(several) => {
            return Err(file.bad(format!(
                "clip.vision.feature_layer names {} layers; one is supported",
                several.len()
            )));
        }
    })
}

/// The same of a SigLIP tower with Idefics3's projector. How pictures are cut is in no key of older
/// files: they are cut as published, their longer edge into four squares.
fn idefics(part: &Part, mut config: Map<String, Value>) -> Result<(Map<String, Value>, Value)> {
    let (side, scale) =
        (part.count("vision.image_size")?, part.count("vision.projector.scale_factor")?);
    part.refuse("use_silu", is_false, ": only GELU is")?;
    config.insert("scale_factor".into(), json!(scale));
    let eps = part.number("vision.attention.layer_norm_epsilon")?.unwrap_or(1e-6);
    config.insert(
        "vision_config".into(),
        json!({
            "image_size": side,
            "patch_size": part.count("vision.patch_size")?,
            "hidden_size": part.count("vision.embedding_length")?,
            "intermediate_size": part.count("vision.feed_forward_length")?,
            "num_attention_heads": part.count("vision.attention.head_count")?,
            "num_hidden_layers": part.count("vision.block_count")?,
            "layer_norm_eps": eps,
        }),
    );
    let edge = part.whole("vision.preproc_image_size")?;
    let edge = edge.unwrap_or_else(|| side.saturating_mul(4));
    let pictures = json!({
        "image_mean": triple(part.file, "clip.vision.image_mean", [0.5; 3])?,
        "image_std": triple(part.file, "clip.vision.image_std", [0.5; 3])?,
        "image_processor_type": "Idefics3ImageProcessor",
        "size": {"longest_edge": edge},
        "max_image_size": {"longest_edge": side},
        "resample": 1,
    });
    Ok((config, pictures))
}

/// The tower's part of `config.json`, and `preprocessor_config.json`.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the key.
pub(super) fn vision(file: &Container) -> Result<(Map<String, Value>, Value)> {
    let mut config = Map::new();
    let part = Part { file, before: "clip." };
    check_known(file, part.before, [&VISION, &VISION_IDLE])?;
    let is_true = |value: &Given| *value == Given::Bool(true);
    part.refuse("has_vision_encoder", is_true, ": pictures need one")?;
    part.refuse("has_text_encoder", is_false, ": LLaVA has none")?;
    part.refuse("has_audio_encoder", is_false, "")?;
    projector(&part, &mut config)?;
    if config.get("model_type").is_some_and(|kind| kind == IDEFICS) {
        return idefics(&part, config);
    }
    part.refuse("has_llava_projector", is_true, ": only LLaVA's is read")?;
    part.refuse("use_silu", is_false, ": only GELU and quick-GELU are")?;
    let merged = |value: &Given| *value == Given::Text("flat".into());
    part.refuse(
        "vision.mm_patch_merge_type",
        merged,
        ": pictures are not cut into several squares",
    )?;
    // Pictures are padded to a square unless the file says otherwise, as llama.cpp does.
    let aspect = file.text("clip.vision.image_aspect_ratio")?.unwrap_or("pad");
    config.insert("image_aspect_ratio".into(), json!(cut(aspect, limits::NAME)));
    let (blocks, width) =
        (part.count("vision.block_count")?, part.count("vision.embedding_length")?);
    let selected = selected_layer(file, blocks, width)?;
    config.insert("mm_vision_select_layer".into(), selected);
    let act = if file.flag("clip.use_gelu")? == Some(true) { "gelu" } else { "quick_gelu" };
    let eps = part.number("vision.attention.layer_norm_epsilon")?.unwrap_or(1e-5);
    config.insert(
        "vision_config".into(),
        json!({
            "image_size": part.count("vision.image_size")?,
            "patch_size": part.count("vision.patch_size")?,
            "hidden_size": width,
            "intermediate_size": part.count("vision.feed_forward_length")?,
            "num_attention_heads": part.count("vision.attention.head_count")?,
            "num_hidden_layers": blocks,
            "layer_norm_eps": eps,
            "hidden_act": act,
        }),
    );
    let clip = crate::image::ImageSpec::clip(1);
    let pictures = json!({
        "image_mean": triple(file, "clip.vision.image_mean", clip.mean)?,
        "image_std": triple(file, "clip.vision.image_std", clip.std)?,
    });
    Ok((config, pictures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_stored_layer_runs_but_the_last_of_a_whole_clip() {
        let (keys, tensors) = (BTreeMap::new(), BTreeMap::new());
        let mut file = Container { file: "x".into(), size: 0, version: 3, keys, tensors };
        assert_eq!(selected_layer(&file, 23, 1024).unwrap(), 23);
        assert_eq!(selected_layer(&file, 24, 1024).unwrap(), -2);
        assert_eq!(selected_layer(&file, 24, 768).unwrap(), 24);
        file.keys.insert("clip.vision.feature_layer".into(), Given::Wholes(vec![24]));
        assert_eq!(selected_layer(&file, 24, 1024).unwrap(), 24);
    }
}
