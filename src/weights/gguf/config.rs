//! Keys of a pair of files → the `config.json` and `preprocessor_config.json` that a checkpoint
//! would have. What would change an answer is honoured or refused by its name; a key under `llama.`,
//! `clip.` or `tokenizer.ggml.` that is not known here is refused too.
//!
//! Upstream: llama.cpp's `gguf-py/gguf/constants.py` for the names, `conversion/llama.py` and
//! `convert_image_encoder_to_gguf.py` for who writes what.

use super::container::Container;
use super::value::{Value as Given, decimal};
use crate::error::Result;
use crate::untrusted::{cut, limits, short};
use serde_json::{Map, Value, json};

/// Fields of `config.json` and the keys that they come from.
pub(super) const LANGUAGE_FIELDS: [(&str, &str); 12] = [
    ("hidden_size", "llama.embedding_length"),
    ("num_attention_heads", "llama.attention.head_count"),
    ("num_key_value_heads", "llama.attention.head_count_kv"),
    ("head_dim", "llama.attention.key_length"),
    ("num_hidden_layers", "llama.block_count"),
    ("intermediate_size", "llama.feed_forward_length"),
    ("max_position_embeddings", "llama.context_length"),
    ("rms_norm_eps", "llama.attention.layer_norm_rms_epsilon"),
    ("rope_theta", "llama.rope.freq_base"),
    ("sliding_window", "llama.attention.sliding_window"),
    ("factor", "llama.rope.scaling.factor"),
    ("image_aspect_ratio", "clip.vision.image_aspect_ratio"),
];
/// The same of the tower's `config.json` and its `preprocessor_config.json`.
pub(super) const VISION_FIELDS: [(&str, &str); 9] = [
    ("image_size", "clip.vision.image_size"),
    ("patch_size", "clip.vision.patch_size"),
    ("hidden_size", "clip.vision.embedding_length"),
    ("intermediate_size", "clip.vision.feed_forward_length"),
    ("num_attention_heads", "clip.vision.attention.head_count"),
    ("num_hidden_layers", "clip.vision.block_count"),
    ("layer_norm_eps", "clip.vision.attention.layer_norm_epsilon"),
    ("image_mean", "clip.vision.image_mean"),
    ("image_std", "clip.vision.image_std"),
];

/// The only architecture of decoders that is read.
pub(super) const LLAMA: &str = "llama";
/// The architecture of vision towers with a projector.
pub(super) const CLIP: &str = "clip";

/// Keys of `llama.` that are read here.
const LANGUAGE: [&str; 20] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "expert_count",
    "expert_used_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.type",
    "tensor_data_layout",
    "use_parallel_residual",
    "vocab_size",
];
/// Those that change nothing without a scaling of the rotation that is refused.
const LANGUAGE_IDLE: [&str; 3] =
    ["rope.scaling.attn_factor", "rope.scaling.finetuned", "rope.scaling.original_context_length"];

/// Keys of `clip.` that are read here.
const VISION: [&str; 22] = [
    "has_audio_encoder",
    "has_llava_projector",
    "has_text_encoder",
    "has_vision_encoder",
    "projector_type",
    "use_gelu",
    "use_silu",
    "vision.attention.head_count",
    "vision.attention.layer_norm_epsilon",
    "vision.block_count",
    "vision.embedding_length",
    "vision.feature_layer",
    "vision.feed_forward_length",
    "vision.image_aspect_ratio",
    "vision.image_mean",
    "vision.image_size",
    "vision.image_std",
    "vision.mm_patch_merge_type",
    "vision.mm_projector_type",
    "vision.patch_size",
    "vision.projector_type",
    "vision.projection_dim",
];
/// Those that only pictures cut into several squares need, which are refused where
/// `mm_patch_merge_type` or `image_aspect_ratio` asks for them. CLIP's own projection is never used.
const VISION_IDLE: [&str; 3] = [
    "vision.image_crop_resolution",
    "vision.image_grid_pinpoints",
    "vision.image_split_resolution",
];

/// Refuses a file that is not a whole model of its own.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt).
pub(super) fn check_general(file: &Container) -> Result<()> {
    if let Some(count) = file.whole("split.count")?.filter(|count| *count > 1) {
        return Err(file.bad(format!(
            "it is one of {count} parts of a split file; join them with llama.cpp's `llama-gguf-split --merge` first"
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

/// Refuses keys under `before` that are in none of the lists.
pub(super) fn check_known(file: &Container, before: &str, lists: [&[&str]; 2]) -> Result<()> {
    let known = |rest: &str| lists.iter().any(|list| list.contains(&rest));
    let unknown =
        file.keys.keys().find(|key| key.strip_prefix(before).is_some_and(|rest| !known(rest)));
    match unknown {
        Some(key) => Err(file.bad(format!(
            "its key {:?} is not known to this version, and may change the answers",
            short(key)
        ))),
        None => Ok(()),
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
    let head_dim = match part.whole("attention.key_length")? {
        Some(n) => n,
        None if heads > 0 && hidden % heads == 0 => hidden / heads,
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
    rope_scaling(&part, &mut config)?;
    let head_dim = usize::try_from(head_dim).ok();
    let head_dim = head_dim.ok_or_else(|| file.bad("its heads are too wide".into()))?;
    Ok((config, head_dim))
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

/// Three numbers of a list; `clip`'s own where they are these in 32 bits, which is all that the file
/// keeps of them.
fn triple(file: &Container, key: &str, clip: [f64; 3]) -> Result<[f64; 3]> {
    let Some(list) = file.floats(key)? else { return Ok(clip) };
    let Ok(three) = <[f32; 3]>::try_from(list) else {
        return Err(file.bad(format!("{key} has {} numbers, not three", list.len())));
    };
    Ok(if three == clip.map(|x| x as f32) { clip } else { three.map(decimal) })
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
    part.refuse("has_llava_projector", is_true, ": only LLaVA's is read")?;
    part.refuse("has_text_encoder", is_false, ": LLaVA has none")?;
    part.refuse("has_audio_encoder", is_false, "")?;
    part.refuse("use_silu", is_false, ": only GELU and quick-GELU are")?;
    let merged = |value: &Given| *value == Given::Text("flat".into());
    part.refuse(
        "vision.mm_patch_merge_type",
        merged,
        ": pictures are not cut into several squares",
    )?;
    for rest in ["projector_type", "vision.projector_type"] {
        match file.text(&part.key(rest))? {
            None | Some("mlp") => {}
            Some("linear") => {
                config.insert("mm_projector_type".into(), json!("linear"));
            }
            Some(other) => {
                return Err(file.bad(format!(
                    "clip.{rest} {:?} is not supported yet; mlp and linear, LLaVA-1.5's, are",
                    cut(other, 60)
                )));
            }
        }
    }
    if let Some(kind) = file.text("clip.vision.mm_projector_type")? {
        config.insert("mm_projector_type".into(), json!(cut(kind, limits::NAME)));
    }
    // Pictures are padded to a square unless the file says otherwise, as llama.cpp does.
    let aspect = file.text("clip.vision.image_aspect_ratio")?.unwrap_or("pad");
    config.insert("image_aspect_ratio".into(), json!(cut(aspect, limits::NAME)));
    let blocks = part.count("vision.block_count")?;
    let selected = match file.wholes("clip.vision.feature_layer")? {
        // The converter has left out the layers behind the one that LLaVA reads.
        None => json!(blocks),
        Some([one]) => json!(one),
        Some(several) => {
            return Err(file.bad(format!(
                "clip.vision.feature_layer names {} layers; one is supported",
                several.len()
            )));
        }
    };
    config.insert("mm_vision_select_layer".into(), selected);
    let act = if file.flag("clip.use_gelu")? == Some(true) { "gelu" } else { "quick_gelu" };
    let eps = part.number("vision.attention.layer_norm_epsilon")?.unwrap_or(1e-5);
    config.insert(
        "vision_config".into(),
        json!({
            "image_size": part.count("vision.image_size")?,
            "patch_size": part.count("vision.patch_size")?,
            "hidden_size": part.count("vision.embedding_length")?,
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
