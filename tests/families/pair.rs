//! A case's checkpoint as llama.cpp's converters would write it: a language model and its mmproj.

use super::{folder, read_json};
use mqt::internals::weights::files::Disk;
use mqt::internals::weights::tensors::Folder;
use pollster::block_on;
use serde_json::Value;
use std::path::Path;

const F32: u32 = 0;

/// A GGUF file in the making.
#[derive(Default)]
pub(crate) struct Draft {
    keys: Vec<(String, Vec<u8>)>,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn number(value: u64) -> Vec<u8> {
    (value as u32).to_le_bytes().to_vec()
}

impl Draft {
    /// Sets a key, or takes another value for it.
    pub(crate) fn key(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.keys.retain(|(name, _)| name != key);
        self.keys.push((key.into(), [&text(key)[..], &kind.to_le_bytes(), value].concat()));
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key, 8, &text(value));
    }

    pub(crate) fn whole(&mut self, key: &str, value: u64) {
        self.key(key, 4, &number(value));
    }

    fn float(&mut self, key: &str, value: f64) {
        self.key(key, 6, &(value as f32).to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key, 7, &[u8::from(value)]);
    }

    pub(crate) fn list(&mut self, key: &str, kind: u32, items: &[Vec<u8>]) {
        let head = [&kind.to_le_bytes()[..], &(items.len() as u64).to_le_bytes()].concat();
        self.key(key, 9, &[head, items.concat()].concat());
    }

    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.push((name.into(), shape.to_vec(), bytes));
    }

    pub(crate) fn write(&self, path: &Path) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        self.keys.iter().for_each(|(_, key)| bytes.extend(key));
        let mut at = 0;
        for (name, shape, data) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend((shape.len() as u32).to_le_bytes());
            // The innermost dimension first.
            shape.iter().rev().for_each(|n| bytes.extend((*n as u64).to_le_bytes()));
            bytes.extend(F32.to_le_bytes());
            bytes.extend((at as u64).to_le_bytes());
            at += data.len().next_multiple_of(32);
        }
        for (_, _, data) in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(data);
        }
        std::fs::write(path, bytes).unwrap();
    }
}

/// What one family's files are called and say.
pub(crate) struct Kind {
    pub(crate) case: &'static str,
    architecture: &'static str,
    /// `clip.projector_type`.
    projector: &'static str,
    /// `tokenizer.ggml.pre`; none: SentencePiece.
    pre: Option<&'static str>,
    /// Written by the converter of LLaVA's time: the two matrices of a tower's MLP have each
    /// other's names, neither the last norm nor the layers behind the selected one are there.
    legacy: bool,
}

pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        case: "smolvlm",
        architecture: "llama",
        projector: "idefics3",
        pre: Some("smollm"),
        legacy: false,
    },
    Kind {
        case: "granite_docling",
        architecture: "llama",
        projector: "idefics3",
        pre: Some("granite-docling"),
        legacy: false,
    },
    Kind {
        case: "llava_interleave",
        architecture: "qwen2",
        projector: "mlp",
        pre: Some("qwen2"),
        legacy: true,
    },
    Kind {
        case: "mobilevlm_v2",
        architecture: "llama",
        projector: "ldpv2",
        pre: None,
        legacy: true,
    },
];

const TOWERS: [&str; 3] = [
    "model.vision_model.",
    "vision_tower.vision_model.",
    "model.vision_tower.vision_tower.vision_model.",
];
const DECODERS: [&str; 3] = ["model.text_model.", "language_model.model.", "model."];
const WHOLE: [(&str, &str); 8] = [
    ("lm_head", "output"),
    ("model.connector.modality_projection.proj", "mm.model.fc"),
    ("multi_modal_projector.linear_1", "mm.0"),
    ("multi_modal_projector.linear_2", "mm.2"),
    ("model.mm_projector.mlp.mlp.0", "mm.model.mlp.0"),
    ("model.mm_projector.mlp.mlp.2", "mm.model.mlp.2"),
    ("model.mm_projector.peg.peg.0", "mm.model.peg.0"),
    ("image_newline", "model.image_newline"),
];
const TOWER: [(&str, &str); 13] = [
    ("layer_norm1", "ln1"),
    ("layer_norm2", "ln2"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.out_proj", "attn_out"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("embeddings.patch_embedding", "patch_embd"),
    ("embeddings.position_embedding", "position_embd"),
    ("embeddings.class_embedding", "class_embd"),
    ("pre_layrnorm", "pre_ln"),
    ("post_layernorm", "post_ln"),
];
const DECODER: [(&str, &str); 11] = [
    ("embed_tokens", "token_embd"),
    ("norm", "output_norm"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// A name without what it ends in, by a table; `blk.3.` before it where it is a layer's.
fn by(table: &[(&str, &str)], name: &str) -> Option<String> {
    let (before, rest) = match name.strip_prefix("encoder.").unwrap_or(name).strip_prefix("layers.")
    {
        Some(rest) => {
            let (number, rest) = rest.split_once('.')?;
            (format!("blk.{number}."), rest)
        }
        None => (String::new(), name),
    };
    let (part, end) = match rest.rsplit_once('.') {
        Some((part, end @ ("weight" | "bias"))) => (part, format!(".{end}")),
        _ => (rest, String::new()),
    };
    let (_, own) = table.iter().find(|(published, _)| *published == part)?;
    Some(format!("{before}{own}{end}"))
}

/// llama.cpp's name of a published tensor, and whether it is of the vision half.
fn renamed(kind: &Kind, name: &str) -> (String, bool) {
    let whole = name.strip_prefix("language_model.lm_head").map(|end| format!("lm_head{end}"));
    let whole = whole.as_deref().unwrap_or(name);
    if let Some(own) = by(&WHOLE, whole) {
        let vision = own != "output.weight";
        return (own, vision);
    }
    if let Some(rest) = TOWERS.iter().find_map(|before| name.strip_prefix(before)) {
        let own = format!("v.{}", by(&TOWER, rest).unwrap_or_else(|| panic!("{name}")));
        let swapped = match own.contains("ffn_up") {
            true => own.replace("ffn_up", "ffn_down"),
            false => own.replace("ffn_down", "ffn_up"),
        };
        return (if kind.legacy { swapped } else { own }, true);
    }
    let rest = DECODERS.iter().find_map(|before| name.strip_prefix(before)).unwrap();
    (by(&DECODER, rest).unwrap_or_else(|| panic!("{name}")), false)
}

/// Rows of q and k: rotation partners become neighbours, head by head.
fn neighbours(data: &[f32], rows: usize, head: usize) -> Vec<f32> {
    let width = data.len() / rows;
    let row = |to: usize| {
        let i = to % head;
        to / head * head + i / 2 + i % 2 * (head / 2)
    };
    (0..rows).flat_map(|to| data[row(to) * width..][..width].to_vec()).collect()
}

/// A checkpoint's `config.json`, its decoder's part and its tower's.
fn configs(kind: &Kind) -> (Value, Value, Value) {
    let checkpoint = folder(kind.case).join("checkpoint");
    let whole = read_json(&checkpoint.join("config.json"));
    let text = whole.get("text_config").unwrap_or(&whole).clone();
    let tower = match whole.get("vision_config") {
        Some(tower) => tower.clone(),
        None => read_json(&checkpoint.join("vision_tower/config.json")),
    };
    (whole, text, tower)
}

/// Layers of a tower that are stored.
fn layers(kind: &Kind) -> u64 {
    let (whole, _, tower) = configs(kind);
    let all = tower["num_hidden_layers"].as_u64().unwrap_or(12);
    // The converter's own rule: all but the last, unless a layer is named.
    if kind.legacy && whole.get("vision_feature_layer").is_none() { all - 1 } else { all }
}

/// The two files of a case.
pub(crate) fn drafts(kind: &Kind) -> [Draft; 2] {
    let checkpoint = folder(kind.case).join("checkpoint");
    let files = block_on(Folder::open(Box::new(Disk::open(&checkpoint).unwrap()))).unwrap();
    let (_, text, _) = configs(kind);
    let head = text["head_dim"].as_u64().unwrap_or_else(|| {
        text["hidden_size"].as_u64().unwrap() / text["num_attention_heads"].as_u64().unwrap()
    });
    let mut halves = [Draft::default(), Draft::default()];
    for (name, tensor) in &files.tensors {
        if name.ends_with("inv_freq") || name.ends_with("position_ids") {
            continue;
        }
        let (own, vision) = renamed(kind, name);
        let behind = own.strip_prefix("v.blk.").and_then(|rest| rest.split('.').next());
        let behind = behind.is_some_and(|number| number.parse::<u64>().unwrap() >= layers(kind));
        if kind.legacy && (behind || own.starts_with("v.post_ln")) {
            continue;
        }
        let (mut values, mut shape) = (block_on(files.floats(name)).unwrap(), tensor.shape.clone());
        let rotated = !vision && (own.contains("attn_q.") || own.contains("attn_k."));
        if rotated && kind.architecture == "llama" {
            values = neighbours(&values, shape[0], head as usize);
        }
        // The converter leaves out every dimension of 1.
        if kind.legacy {
            shape.retain(|n| *n != 1);
        }
        halves[usize::from(vision)].tensor(&own, &shape, &values);
    }
    let [language, vision] = &mut halves;
    language_keys(kind, language);
    vision_keys(kind, vision);
    match kind.pre {
        Some(pre) => super::vocabulary::bytes(language, &checkpoint, pre),
        None => super::vocabulary::sentence_pieces(language, &checkpoint),
    }
    halves
}

fn language_keys(kind: &Kind, draft: &mut Draft) {
    let (_, text, _) = configs(kind);
    draft.text("general.architecture", kind.architecture);
    for (key, field) in [
        ("embedding_length", "hidden_size"),
        ("feed_forward_length", "intermediate_size"),
        ("block_count", "num_hidden_layers"),
        ("context_length", "max_position_embeddings"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
        ("attention.key_length", "head_dim"),
        ("rope.dimension_count", "head_dim"),
    ] {
        if let Some(value) = text[field].as_u64() {
            draft.whole(&format!("{}.{key}", kind.architecture), value);
        }
    }
    for (key, field) in
        [("attention.layer_norm_rms_epsilon", "rms_norm_eps"), ("rope.freq_base", "rope_theta")]
    {
        draft.float(&format!("{}.{key}", kind.architecture), text[field].as_f64().unwrap());
    }
}

fn vision_keys(kind: &Kind, draft: &mut Draft) {
    let (whole, text, tower) = configs(kind);
    draft.text("general.architecture", "clip");
    draft.text("clip.projector_type", kind.projector);
    draft.flag("clip.has_vision_encoder", true);
    if kind.legacy {
        draft.flag("clip.has_text_encoder", false);
        draft.flag("clip.has_llava_projector", true);
    }
    // The converter of LLaVA's time compares with "gelu".
    draft.flag("clip.use_gelu", !kind.legacy);
    let projection = if kind.legacy { Some(0) } else { text["hidden_size"].as_u64() };
    let mut wholes: Vec<(&str, Option<u64>)> = [
        ("image_size", "image_size"),
        ("patch_size", "patch_size"),
        ("embedding_length", "hidden_size"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
    ]
    .map(|(key, field)| (key, tower[field].as_u64()))
    .to_vec();
    wholes.extend([("block_count", Some(layers(kind))), ("projection_dim", projection)]);
    let checkpoint = folder(kind.case).join("checkpoint");
    if kind.projector == "idefics3" {
        let pictures = read_json(&checkpoint.join("preprocessor_config.json"));
        wholes.push(("projector.scale_factor", whole["scale_factor"].as_u64()));
        wholes.push(("preproc_image_size", pictures["size"]["longest_edge"].as_u64()));
    }
    for (key, value) in wholes {
        draft.whole(&format!("clip.vision.{key}"), value.unwrap_or_else(|| panic!("{key}")));
    }
    if whole["vision_feature_layer"].as_i64() == Some(-1) {
        draft.list("clip.vision.feature_layer", 4, &[number(layers(kind))]);
    }
    let eps = tower["layer_norm_eps"].as_f64().unwrap_or(1e-6);
    draft.float("clip.vision.attention.layer_norm_epsilon", eps);
    let folders = ["vision_tower/preprocessor_config.json", "preprocessor_config.json"];
    let pictures = folders.map(|name| checkpoint.join(name));
    let pictures = read_json(pictures.iter().find(|path| path.exists()).unwrap());
    for key in ["image_mean", "image_std"] {
        let three = pictures[key].as_array().unwrap().iter();
        let three: Vec<_> =
            three.map(|v| (v.as_f64().unwrap() as f32).to_le_bytes().to_vec()).collect();
        draft.list(&format!("clip.vision.{key}"), 6, &three);
    }
}
