//! llama.cpp's names of tensors ↔ the published names that the recipes know.

use super::keys::{LANGUAGE_FIELDS, VISION_FIELDS};
use crate::error::Error;

/// Before the tower's names, as LLaVA publishes them.
const TOWER: &str = "model.vision_tower.vision_tower.vision_model.";

/// Of the decoder: llama.cpp's, the published one.
const LANGUAGE: [(&str, &str); 4] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
    ("mm.weight", "model.mm_projector.weight"),
];
/// Of a layer of the decoder, without `.weight` or `.bias`.
const LANGUAGE_LAYER: [(&str, &str); 10] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_rot_embd", "self_attn.rotary_emb"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
/// Of the tower.
const VISION: [(&str, &str); 8] = [
    ("v.patch_embd.weight", "embeddings.patch_embedding.weight"),
    ("v.patch_embd.bias", "embeddings.patch_embedding.bias"),
    ("v.class_embd", "embeddings.class_embedding"),
    ("v.position_embd.weight", "embeddings.position_embedding.weight"),
    // The misspelling is the real name.
    ("v.pre_ln.weight", "pre_layrnorm.weight"),
    ("v.pre_ln.bias", "pre_layrnorm.bias"),
    ("v.post_ln.weight", "post_layernorm.weight"),
    ("v.post_ln.bias", "post_layernorm.bias"),
];
/// A tensor of each projector: one of them is in every vision half.
pub(super) const PROJECTORS: [&str; 4] =
    ["mm.0.weight", "mm.weight", "mm.model.fc.weight", "mm.model.mlp.0.weight"];
/// Of Idefics3's projector and of MobileVLM V2's.
const PROJECTOR: [(&str, &str); 7] = [
    ("mm.model.fc.weight", "model.connector.modality_projection.proj.weight"),
    ("mm.model.mlp.0.weight", "model.mm_projector.mlp.mlp.0.weight"),
    ("mm.model.mlp.0.bias", "model.mm_projector.mlp.mlp.0.bias"),
    ("mm.model.mlp.2.weight", "model.mm_projector.mlp.mlp.2.weight"),
    ("mm.model.mlp.2.bias", "model.mm_projector.mlp.mlp.2.bias"),
    ("mm.model.peg.0.weight", CONVOLUTION),
    ("mm.model.peg.0.bias", "model.mm_projector.peg.peg.0.bias"),
];
/// MobileVLM V2's convolution, [hidden, 1, 3, 3].
pub(super) const CONVOLUTION: &str = "model.mm_projector.peg.peg.0.weight";
/// Of a layer of the tower, without `.weight` or `.bias`.
const VISION_LAYER: [(&str, &str); 8] = [
    ("ln1", "layer_norm1"),
    ("ln2", "layer_norm2"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_out", "self_attn.out_proj"),
    ("ffn_up", "mlp.fc1"),
    ("ffn_down", "mlp.fc2"),
];

/// The published one of two names, by the other.
fn published(table: &[(&str, &str)], name: &str) -> Option<String> {
    table.iter().find(|(own, _)| *own == name).map(|(_, published)| (*published).to_owned())
}

/// `3`, `attn_q`, `weight` of `blk.3.attn_q.weight`.
fn layer(name: &str) -> Option<(usize, &str, &str)> {
    let (number, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, end) = rest.rsplit_once('.')?;
    let number = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
    matches!(end, "weight" | "bias").then_some((number, part, end))
}

/// The published name of a decoder's tensor.
pub(super) fn language(name: &str) -> Option<String> {
    if let Some((number, part, end)) = layer(name) {
        let part = published(&LANGUAGE_LAYER, part)?;
        // It follows from the base of the rotation, and is ignored under this name.
        let end = if part.ends_with("rotary_emb") { "inv_freq" } else { end };
        return Some(format!("model.layers.{number}.{part}.{end}"));
    }
    published(&LANGUAGE[..3], name)
}

/// The published name of a tensor of the tower or of the projector. `swapped` says of a layer
/// whether its two matrices have each other's names, as all had that llama.cpp's first converter
/// wrote.
pub(super) fn vision(name: &str, swapped: impl Fn(usize) -> bool) -> Option<String> {
    if let Some((number, part, end)) = name.strip_prefix("v.").and_then(layer) {
        let part = match part {
            "ffn_up" if swapped(number) => "ffn_down",
            "ffn_down" if swapped(number) => "ffn_up",
            part => part,
        };
        let part = published(&VISION_LAYER, part)?;
        return Some(format!("{TOWER}encoder.layers.{number}.{part}.{end}"));
    }
    if let Some(name) = published(&VISION, name) {
        return Some(format!("{TOWER}{name}"));
    }
    if let Some(name) = published(&PROJECTOR, name) {
        return Some(name);
    }
    // The pooling of the whole picture that SigLIP's towers end in, which nothing here reads.
    if let Some(rest) = name.strip_prefix("v.head.") {
        return Some(format!("{TOWER}head.{rest}"));
    }
    let rest = name.strip_prefix("mm.")?;
    let known = match rest.split_once('.') {
        None => matches!(rest, "weight" | "bias"),
        Some((number, end)) => {
            matches!(end, "weight" | "bias")
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        }
    };
    known.then(|| format!("model.mm_projector.{rest}"))
}

/// llama.cpp's name of a published one.
fn own(name: &str) -> Option<String> {
    let back = |table: &[(&str, &str)], name: &str| {
        table.iter().find(|(_, published)| *published == name).map(|(own, _)| (*own).to_owned())
    };
    let in_layer = |table: &[(&str, &str)], before: &str, rest: &str| {
        let (number, rest) = rest.split_once('.')?;
        let (part, end) = rest.rsplit_once('.')?;
        Some(format!("{before}blk.{number}.{}.{end}", back(table, part)?))
    };
    if let Some(rest) = name.strip_prefix(TOWER) {
        return match rest.strip_prefix("encoder.layers.") {
            Some(rest) => in_layer(&VISION_LAYER, "v.", rest),
            None => back(&VISION, rest),
        };
    }
    if let Some(rest) = name.strip_prefix("model.layers.") {
        return in_layer(&LANGUAGE_LAYER, "", rest);
    }
    let projector = name.strip_prefix("model.mm_projector.").map(|rest| format!("mm.{rest}"));
    back(&LANGUAGE, name).or(back(&PROJECTOR, name)).or(projector)
}

/// The same error in the words of the files: their names of tensors, and which of them is meant.
/// `decoder` is what the keys of the model's architecture begin with.
pub(super) fn in_files_words(
    error: Error,
    (model, decoder): (&str, &'static str),
    mmproj: &str,
) -> Error {
    let own = |name: String| own(&name).unwrap_or(name);
    match error {
        Error::TensorMissing { name, hint } => Error::TensorMissing { name: own(name), hint },
        Error::TensorShape { name, expected, got } => {
            Error::TensorShape { name: own(name), expected, got }
        }
        Error::TensorType { name, dtype } => Error::TensorType { name: own(name), dtype },
        Error::TensorUnknown { name } => Error::TensorUnknown { name: own(name) },
        Error::Tensors { faults } => {
            let faults =
                faults.into_iter().map(|fault| in_files_words(fault, (model, decoder), mmproj));
            Error::Tensors { faults: faults.collect() }
        }
        Error::ModelCorrupt { file, problem } => match file.as_str() {
            "config.json" => about(model, decoder, &LANGUAGE_FIELDS, &problem),
            "the vision tower's config.json" | "preprocessor_config.json" => {
                about(mmproj, "clip.vision.", &VISION_FIELDS, &problem)
            }
            "tokenizer.model" | "tokenizer.json" | "tokenizer_config.json" => {
                Error::ModelCorrupt { file: format!("the tokenizer in {model}"), problem }
            }
            _ => Error::ModelCorrupt { file, problem },
        },
        error => error,
    }
}

/// A sentence that begins with a field says the key that it comes from.
fn about(file: &str, before: &str, fields: &[(&str, &str)], problem: &str) -> Error {
    let key = problem.split_once(' ').and_then(|(field, rest)| {
        let (_, key) = fields.iter().find(|(name, _)| *name == field)?;
        // One field of the model's configuration comes from the other half.
        let before = if key.starts_with("clip.") { "" } else { before };
        Some(format!("{before}{key} {rest}"))
    });
    Error::ModelCorrupt { file: file.into(), problem: key.unwrap_or_else(|| problem.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_there_and_back() {
        for name in
            ["token_embd.weight", "output.weight", "blk.31.attn_q.bias", "blk.0.ffn_down.weight"]
        {
            assert_eq!(own(&language(name).unwrap()).as_deref(), Some(name));
        }
        for name in [
            "v.class_embd",
            "v.blk.22.ffn_up.bias",
            "v.blk.3.attn_out.weight",
            "v.patch_embd.bias",
            "mm.2.weight",
            "mm.bias",
            "mm.model.fc.weight",
            "mm.model.mlp.2.bias",
            "mm.model.peg.0.weight",
        ] {
            assert_eq!(own(&vision(name, |_| false).unwrap()).as_deref(), Some(name));
        }
        assert_eq!(
            vision("v.blk.7.ffn_down.weight", |layer| layer == 7).as_deref(),
            Some("model.vision_tower.vision_tower.vision_model.encoder.layers.7.mlp.fc1.weight")
        );
    }

    #[test]
    fn other_names_lead_nowhere() {
        for name in [
            "",
            "blk.",
            "blk.x.attn_q.weight",
            "blk.-1.attn_q.weight",
            "blk.0.attn_qkv.weight",
            "blk.0.attn_q.scale",
            "v.class_embd",
            "rope_freqs.weight",
            "mm.weight",
        ] {
            assert_eq!(language(name), None, "{name}");
        }
        for name in [
            "token_embd.weight",
            "v.blk.0.attn_q",
            "mm.a.weight",
            "mm..weight",
            "mm.model.mlp.1.weight",
            "mm.model.mb_block.1.block.0.0.weight",
            "model.image_newline",
        ] {
            assert_eq!(vision(name, |_| false), None, "{name}");
        }
    }
}
