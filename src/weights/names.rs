//! The checkpoint families' names, found by looking at the tensors rather than at the folder's
//! name.

use std::collections::BTreeMap;

/// Where the parts of a checkpoint begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Before `embed_tokens.weight`, `layers.0…`, `norm.weight`.
    pub language: String,
    /// The output head's full name, if it has one.
    pub head: Option<String>,
    /// What stands between tower and decoder, if anything does.
    pub projector: Option<ProjectorNames>,
    /// Before `embeddings…`, `encoder…`.
    pub vision: Option<String>,
    /// The token that ends a row of a tiled picture.
    pub newline: Option<String>,
}

/// The projector's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectorNames {
    /// Before `query`, `pos_embed`, `attn…`.
    Resampler(String),
    /// Before `.weight` and `.bias` of each Linear, in their order.
    Mlp(Vec<String>),
    /// Before `.weight` of the one Linear.
    Shuffle(String),
    /// Before `.weight` and `.bias` of the two Linears, and of the convolution.
    Ldp2([String; 2], String),
}

const LANGUAGE: [&str; 4] =
    ["model.", "language_model.model.", "model.language_model.", "model.text_model."];
const HEAD: [&str; 2] = ["lm_head.weight", "language_model.lm_head.weight"];
const RESAMPLER: [&str; 2] = ["model.query_abstractor.", "query_abstractor."];
/// LLaVA's own: `0`, `2`, … of a Sequential, or a bare Linear.
const MLP: [&str; 2] = ["model.mm_projector", "mm_projector"];
/// Idefics3's.
const SHUFFLE: [&str; 2] =
    ["model.connector.modality_projection.proj", "connector.modality_projection.proj"];
/// MobileVLM V2's: `mlp.mlp.0`, `mlp.mlp.2` and `peg.peg.0` behind it.
const LDP2: [&str; 2] = ["model.mm_projector.", "mm_projector."];
const NEWLINE: [&str; 2] = ["image_newline", "model.image_newline"];
/// llava-hf's: `linear_1`, `linear_2`.
const MLP_HF: [&str; 2] = ["multi_modal_projector", "model.multi_modal_projector"];
/// The tower, from the most to the least specific.
const VISION: [&str; 8] = [
    "model.vision_tower.vision_tower.vision_model.",
    "model.vision_tower.vision_model.",
    "model.vision_model.",
    "vision_tower.vision_model.",
    "model.vision_tower.",
    "vision_tower.",
    "vision_model.",
    "",
];
/// Always present in a tower, under these names in every family.
const VISION_SIGN: &str = "embeddings.patch_embedding.weight";
/// More Linears than any projector has.
const MOST_LINEARS: usize = 16;

/// The prefix among `candidates` under which `sign` exists.
fn find<T>(tensors: &BTreeMap<String, T>, candidates: &[&str], sign: &str) -> Option<String> {
    candidates.iter().find(|p| tensors.contains_key(&format!("{p}{sign}"))).map(|p| (*p).to_owned())
}

/// The prefix of the vision tower, if these tensors hold one.
pub fn vision_prefix<T>(tensors: &BTreeMap<String, T>) -> Option<String> {
    find(tensors, &VISION, VISION_SIGN)
}

fn projector<T>(tensors: &BTreeMap<String, T>) -> Option<ProjectorNames> {
    if let Some(prefix) = find(tensors, &RESAMPLER, "query") {
        return Some(ProjectorNames::Resampler(prefix));
    }
    if let Some(name) = find(tensors, &SHUFFLE, ".weight") {
        return Some(ProjectorNames::Shuffle(name));
    }
    if let Some(prefix) = find(tensors, &LDP2, "peg.peg.0.weight") {
        let linears = [0, 2].map(|i| format!("{prefix}mlp.mlp.{i}"));
        return Some(ProjectorNames::Ldp2(linears, format!("{prefix}peg.peg.0")));
    }
    let there = |name: &String| tensors.contains_key(&format!("{name}.weight"));
    let sequence = |prefix: &str| {
        (0..MOST_LINEARS)
            .map(|i| format!("{prefix}.{}", 2 * i))
            .take_while(there)
            .collect::<Vec<_>>()
    };
    let numbered = |prefix: &str| {
        (1..=MOST_LINEARS)
            .map(|i| format!("{prefix}.linear_{i}"))
            .take_while(there)
            .collect::<Vec<_>>()
    };
    let bare = |prefix: &str| Some(prefix.to_owned()).filter(there).into_iter().collect::<Vec<_>>();
    let found =
        MLP.iter().flat_map(|p| [sequence(p), bare(p)]).chain(MLP_HF.iter().map(|p| numbered(p)));
    found.into_iter().find(|linears| !linears.is_empty()).map(ProjectorNames::Mlp)
}

/// Recognises the families of a checkpoint's tensors; `None` if there is no language model among
/// them.
pub fn recognise<T>(tensors: &BTreeMap<String, T>) -> Option<Names> {
    Some(Names {
        language: find(tensors, &LANGUAGE, "embed_tokens.weight")?,
        head: find(tensors, &HEAD, ""),
        projector: projector(tensors),
        vision: vision_prefix(tensors),
        newline: find(tensors, &NEWLINE, ""),
    })
}
