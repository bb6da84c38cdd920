//! Keys of a vision half → the tower's part of a `config.json`, and `preprocessor_config.json`. A
//! key that would change an answer is honoured or refused by name; an unknown key under `clip.` is
//! refused too.
//!
//! Upstream: llama.cpp's converter of Idefics3's and SmolVLM's halves, and for LLaVA's and
//! MobileVLM's `convert_image_encoder_to_gguf.py`, which write them.

use super::config::{Part, is_false};
use super::container::Container;
use super::keys::{VISION, VISION_IDLE, check_known};
use super::value::{Value as Given, decimal};
use crate::error::Result;
use crate::untrusted::{cut, limits};
use serde_json::{Map, Value, json};

/// Layers and width of a whole CLIP ViT-L. Where a file has all of them, LLaVA reads the last but
/// one.
const CLIP_L: (u64, u64) = (24, 1024);

/// Three numbers of a list; the usual ones where they are these in 32 bits, which is all that the
/// file keeps of them.
fn triple(file: &Container, key: &str, usual: [f64; 3]) -> Result<[f64; 3]> {
    let Some(list) = file.floats(key)? else { return Ok(usual) };
    let Ok(three) = <[f32; 3]>::try_from(list) else {
        return Err(file.bad(format!("{key} has {} numbers, not three", list.len())));
    };
    Ok(if three == usual.map(|x| x as f32) { usual } else { three.map(decimal) })
}

/// What a file calls a projector, and the family that has it.
const PROJECTORS: [(&str, &str); 4] =
    [("mlp", LLAVA), ("linear", LLAVA), (IDEFICS, IDEFICS), ("ldpv2", "mobilevlm")];
/// What `config.json` says of two of them.
const SAID: [(&str, &str, &str); 3] = [
    ("linear", "mm_projector_type", "linear"),
    ("ldpv2", "mm_projector_type", "ldpnetv2"),
    ("ldpv2", "vision_tower_type", "clip"),
];
/// LLaVA's family; `mlp` says nothing of how many layers it has.
const LLAVA: &str = "llava";
/// Idefics3's and SmolVLM's.
const IDEFICS: &str = "idefics3";

/// The family that the file's projector belongs to.
fn family(part: &Part, config: &mut Map<String, Value>) -> Result<&'static str> {
    let file = part.file;
    let mut family = LLAVA;
    for rest in ["projector_type", "vision.projector_type"] {
        let Some(kind) = file.text(&part.key(rest))? else { continue };
        let Some((_, found)) = PROJECTORS.iter().find(|(name, _)| *name == kind) else {
            return Err(file.bad(format!(
                "clip.{rest} {:?} is not supported yet; mlp and linear (LLaVA-1.5, LLaVA-interleave), ldpv2 (MobileVLM V2) and idefics3 (SmolVLM, granite-docling) are",
                cut(kind, 60)
            )));
        };
        family = found;
        let said = SAID.iter().filter(|(name, ..)| *name == kind);
        config.extend(said.map(|(_, field, value)| ((*field).to_owned(), json!(value))));
    }
    config.insert("model_type".into(), json!(family));
    if let Some(kind) = file.text("clip.vision.mm_projector_type")?.filter(|_| family == LLAVA) {
        config.insert("mm_projector_type".into(), json!(cut(kind, limits::NAME)));
    }
    Ok(family)
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

/// Refuses what only LLaVA-1.6 and LLaVA-OneVision ask for.
pub(super) fn refuse_tiles(file: &Container) -> Result<()> {
    let newline = "model.image_newline";
    let key = "clip.vision.mm_patch_merge_type";
    let merge = file.text(key)?.filter(|kind| *kind != "flat");
    let what = match merge {
        Some(kind) => format!("{key} {:?}", cut(kind, 60)),
        None if file.tensors.contains_key(newline) => newline.to_owned(),
        None => return Ok(()),
    };
    Err(file.bad(format!(
        "it has {what}: LLaVA-1.6, which is not supported yet, and LLaVA-OneVision cut pictures into several squares, and a GGUF file does not say how; give LLaVA-OneVision's published folder"
    )))
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
    if family(&part, &mut config)? == IDEFICS {
        return idefics(&part, config);
    }
    part.refuse("has_llava_projector", is_true, ": only LLaVA's is read")?;
    part.refuse("use_silu", is_false, ": only GELU and quick-GELU are")?;
    refuse_tiles(file)?;
    let (blocks, width) =
        (part.count("vision.block_count")?, part.count("vision.embedding_length")?);
    let selected = selected_layer(file, blocks, width)?;
    config.insert("mm_vision_select_layer".into(), selected);
    let side = part.count("vision.image_size")?;
    let mut tower = json!({
        "image_size": side,
        "patch_size": part.count("vision.patch_size")?,
        "hidden_size": width,
        "intermediate_size": part.count("vision.feed_forward_length")?,
        "num_attention_heads": part.count("vision.attention.head_count")?,
        "num_hidden_layers": blocks,
    });
    let eps = part.number("vision.attention.layer_norm_epsilon")?;
    let aspect = file.text("clip.vision.image_aspect_ratio")?;
    let mut pictures = json!({});
    // As llama.cpp tells them apart: CLIP's towers have a class token.
    let is_clip = file.tensors.contains_key("v.class_embd");
    let (usual, aspect) = if is_clip {
        let gelu = file.flag("clip.use_gelu")? == Some(true);
        tower["hidden_act"] = json!(if gelu { "gelu" } else { "quick_gelu" });
        tower["layer_norm_eps"] = json!(eps.unwrap_or(1e-5));
        let clip = crate::image::ImageSpec::clip(1);
        // Pictures are padded to a square unless the file says otherwise, as llama.cpp does.
        ((clip.mean, clip.std), Some(aspect.unwrap_or("pad")))
    } else {
        // `use_gelu` is false of GELU by tanh, which every published SigLIP tower has.
        tower["model_type"] = json!("siglip_vision_model");
        tower["layer_norm_eps"] = json!(eps.unwrap_or(1e-6));
        config.insert("vision_feature_select_strategy".into(), json!("full"));
        pictures["image_processor_type"] = json!("SiglipImageProcessor");
        pictures["size"] = json!({"height": side, "width": side});
        // LLaVA-interleave's pictures are stretched.
        (([0.5; 3], [0.5; 3]), aspect)
    };
    if let Some(aspect) = aspect {
        config.insert("image_aspect_ratio".into(), json!(cut(aspect, limits::NAME)));
    }
    config.insert("vision_config".into(), tower);
    pictures["image_mean"] = json!(triple(file, "clip.vision.image_mean", usual.0)?);
    pictures["image_std"] = json!(triple(file, "clip.vision.image_std", usual.1)?);
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
