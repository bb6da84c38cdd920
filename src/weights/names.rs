//! The checkpoint families' names, found by looking at the tensors rather than at the folder's name.

use std::collections::BTreeMap;

use super::safetensors::Entry;

/// Where the parts of a checkpoint begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Before `embed_tokens.weight`, `layers.0…`, `norm.weight`.
    pub language: String,
    /// The output head's full name, if it has one.
    pub head: Option<String>,
    /// Before `query`, `pos_embed`, `attn…`.
    pub resampler: Option<String>,
    /// Before `embeddings…`, `encoder…`.
    pub vision: Option<String>,
}

const LANGUAGE: [&str; 3] = ["model.", "language_model.model.", "model.language_model."];
const HEAD: [&str; 2] = ["lm_head.weight", "language_model.lm_head.weight"];
const RESAMPLER: [&str; 2] = ["model.query_abstractor.", "query_abstractor."];
const VISION: [&str; 5] =
    ["model.vision_tower.vision_tower.vision_model.", "model.vision_tower.vision_model.", "vision_tower.vision_model.", "vision_model.", ""];
/// Always present in a tower, under these names in every family.
const VISION_SIGN: &str = "embeddings.patch_embedding.weight";

type Tensors = BTreeMap<String, Entry>;

/// The prefix among `candidates` under which `sign` exists.
fn find(tensors: &Tensors, candidates: &[&str], sign: &str) -> Option<String> {
    candidates.iter().find(|p| tensors.contains_key(&format!("{p}{sign}"))).map(|p| (*p).to_owned())
}

/// The prefix of the vision tower, if these tensors hold one.
pub fn vision_prefix(tensors: &Tensors) -> Option<String> {
    find(tensors, &VISION, VISION_SIGN)
}

/// Recognises the families of a checkpoint's tensors; `None` if there is no language model among them.
pub fn recognise(tensors: &Tensors) -> Option<Names> {
    Some(Names {
        language: find(tensors, &LANGUAGE, "embed_tokens.weight")?,
        head: find(tensors, &HEAD, ""),
        resampler: find(tensors, &RESAMPLER, "query"),
        vision: vision_prefix(tensors),
    })
}
