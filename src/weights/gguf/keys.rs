//! Which keys are read, which change nothing, and which fields of a `config.json` they become.
//! Upstream: llama.cpp's `gguf-py/gguf/constants.py`.

use super::container::Container;
use crate::error::Result;
use crate::untrusted::short;

/// Fields of `config.json` and the keys that they come from, behind the architecture's name.
pub(super) const LANGUAGE_FIELDS: [(&str, &str); 12] = [
    ("hidden_size", "embedding_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "attention.key_length"),
    ("num_hidden_layers", "block_count"),
    ("intermediate_size", "feed_forward_length"),
    ("max_position_embeddings", "context_length"),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    ("rope_theta", "rope.freq_base"),
    ("sliding_window", "attention.sliding_window"),
    ("factor", "rope.scaling.factor"),
    ("image_aspect_ratio", "clip.vision.image_aspect_ratio"),
];
/// The same of the tower's `config.json` and its `preprocessor_config.json`, behind `clip.vision.`.
pub(super) const VISION_FIELDS: [(&str, &str); 9] = [
    ("image_size", "image_size"),
    ("patch_size", "patch_size"),
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_hidden_layers", "block_count"),
    ("layer_norm_eps", "attention.layer_norm_epsilon"),
    ("image_mean", "image_mean"),
    ("image_std", "image_std"),
];

/// Keys of `llama.` and `qwen2.` that are read here.
pub(super) const LANGUAGE: [&str; 20] = [
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
pub(super) const LANGUAGE_IDLE: [&str; 3] =
    ["rope.scaling.attn_factor", "rope.scaling.finetuned", "rope.scaling.original_context_length"];

/// Keys of `clip.` that are read here.
pub(super) const VISION: [&str; 24] = [
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
    "vision.preproc_image_size",
    "vision.projector.scale_factor",
    "vision.projector_type",
    "vision.projection_dim",
];
/// Those that only pictures cut into several squares need, which are refused where
/// `mm_patch_merge_type` or `image_aspect_ratio` asks for them. CLIP's own projection is never
/// used.
pub(super) const VISION_IDLE: [&str; 3] = [
    "vision.image_crop_resolution",
    "vision.image_grid_pinpoints",
    "vision.image_split_resolution",
];

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
