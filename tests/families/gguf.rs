//! SmolVLM's case as llama.cpp would write it: a pack of the pair gives what PyTorch gives.

use super::settings::Changed;
use super::{Case, folder, load, read_json, run};
use mqt::cancel::Cancel;
use mqt::convert::{Conversion, convert};
use mqt::gpu::AdapterChoice;
use mqt::model::Weights;
use pollster::block_on;
use serde_json::Value;
use std::path::Path;

const F32: u32 = 0;
const F16: u32 = 1;

/// A GGUF file in the making.
#[derive(Default)]
struct Draft {
    keys: Vec<Vec<u8>>,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Draft {
    fn key(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.keys.push([&text(key)[..], &kind.to_le_bytes(), value].concat());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, 8, &text(value));
    }

    fn whole(&mut self, key: &str, value: u64) {
        self.key(key, 4, &(value as u32).to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, 6, &value.to_le_bytes());
    }

    fn list(&mut self, key: &str, kind: u32, items: &[Vec<u8>]) {
        let head = [&kind.to_le_bytes()[..], &(items.len() as u64).to_le_bytes()].concat();
        self.key(key, 9, &[head, items.concat()].concat());
    }

    fn write(&self, path: &Path) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        self.keys.iter().for_each(|key| bytes.extend(key));
        let mut at = 0;
        for (name, shape, data) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend((shape.len() as u32).to_le_bytes());
            // The innermost dimension first.
            shape.iter().rev().for_each(|n| bytes.extend((*n as u64).to_le_bytes()));
            let half = data.len() == 2 * shape.iter().product::<usize>();
            bytes.extend(if half { F16 } else { F32 }.to_le_bytes());
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

/// llama.cpp's name of a published tensor, and whether it is of the vision half.
fn renamed(name: &str) -> (String, bool) {
    let layer = |rest: &str, before: &str, parts: &[(&str, &str)]| {
        let (number, rest) = rest.split_once('.').unwrap();
        let (part, end) = rest.rsplit_once('.').unwrap();
        let own = parts.iter().find(|(published, _)| *published == part).unwrap().1;
        format!("{before}blk.{number}.{own}.{end}")
    };
    if let Some(rest) = name.strip_prefix("model.vision_model.") {
        let parts = [
            ("layer_norm1", "ln1"),
            ("layer_norm2", "ln2"),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.out_proj", "attn_out"),
            ("mlp.fc1", "ffn_up"),
            ("mlp.fc2", "ffn_down"),
        ];
        let own = match rest.strip_prefix("encoder.layers.") {
            Some(rest) => layer(rest, "v.", &parts),
            None => format!("v.{rest}")
                .replace("embeddings.patch_embedding", "patch_embd")
                .replace("embeddings.position_embedding", "position_embd")
                .replace("post_layernorm", "post_ln"),
        };
        return (own, true);
    }
    match name {
        "model.connector.modality_projection.proj.weight" => ("mm.model.fc.weight".into(), true),
        "lm_head.weight" => ("output.weight".into(), false),
        "model.text_model.embed_tokens.weight" => ("token_embd.weight".into(), false),
        "model.text_model.norm.weight" => ("output_norm.weight".into(), false),
        _ => {
            let parts = [
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
            (layer(name.strip_prefix("model.text_model.layers.").unwrap(), "", &parts), false)
        }
    }
}

/// Rows of q and k: rotation partners become neighbours, head by head.
fn neighbours(data: &[u8], rows: usize, head: usize) -> Vec<u8> {
    let width = data.len() / rows;
    let row = |to: usize| {
        let i = to % head;
        to / head * head + i / 2 + i % 2 * (head / 2)
    };
    (0..rows).flat_map(|to| data[row(to) * width..][..width].to_vec()).collect()
}

fn tensors(checkpoint: &Path, head: usize) -> [Draft; 2] {
    let bytes = std::fs::read(checkpoint.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut halves = [Draft::default(), Draft::default()];
    for (name, tensor) in file.tensors() {
        let (own, vision) = renamed(&name);
        let rotated = !vision && (own.contains("attn_q") || own.contains("attn_k"));
        let data = tensor.data();
        let data = if rotated { neighbours(data, tensor.shape()[0], head) } else { data.to_vec() };
        halves[usize::from(vision)].tensors.push((own, tensor.shape().to_vec(), data));
    }
    halves
}

fn tokenizer(draft: &mut Draft, checkpoint: &Path) {
    let json = read_json(&checkpoint.join("tokenizer.json"));
    let mut tokens = vec![(String::new(), 5); 369];
    for (text, id) in json["model"]["vocab"].as_object().unwrap() {
        tokens[id.as_u64().unwrap() as usize] = (text.clone(), 1);
    }
    for added in json["added_tokens"].as_array().unwrap() {
        let text = added["content"].as_str().unwrap().to_owned();
        tokens[added["id"].as_u64().unwrap() as usize] = (text, 3);
    }
    let merge = |merge: &Value| match merge {
        Value::String(line) => text(line),
        pair => text(&format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())),
    };
    let merges: Vec<_> = json["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    draft.text("tokenizer.ggml.model", "gpt2");
    draft.text("tokenizer.ggml.pre", "smollm");
    draft.list(
        "tokenizer.ggml.tokens",
        8,
        &tokens.iter().map(|(t, _)| text(t)).collect::<Vec<_>>(),
    );
    let kinds: Vec<_> = tokens.iter().map(|(_, kind)| i32::to_le_bytes(*kind).to_vec()).collect();
    draft.list("tokenizer.ggml.token_type", 5, &kinds);
    draft.list("tokenizer.ggml.merges", 8, &merges);
    draft.whole("tokenizer.ggml.bos_token_id", 1);
    draft.whole("tokenizer.ggml.eos_token_id", 368);
    draft.whole("tokenizer.ggml.unknown_token_id", 0);
    draft.key("tokenizer.ggml.add_bos_token", 7, &[0]);
    draft.text("tokenizer.chat_template", "{{ messages }}");
}

fn keys(language: &mut Draft, vision: &mut Draft) {
    language.text("general.architecture", "llama");
    for (key, value) in [
        ("embedding_length", 60),
        ("feed_forward_length", 70),
        ("block_count", 2),
        ("context_length", 8192),
        ("attention.head_count", 6),
        ("attention.head_count_kv", 2),
        ("attention.key_length", 10),
        ("rope.dimension_count", 10),
        ("vocab_size", 369),
    ] {
        language.whole(&format!("llama.{key}"), value);
    }
    language.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    language.float("llama.rope.freq_base", 100_000.0);
    vision.text("general.architecture", "clip");
    vision.text("clip.projector_type", "idefics3");
    vision.key("clip.has_vision_encoder", 7, &[1]);
    vision.key("clip.use_gelu", 7, &[1]);
    for (key, value) in [
        ("image_size", 40),
        ("patch_size", 5),
        ("embedding_length", 24),
        ("feed_forward_length", 50),
        ("block_count", 12),
        ("attention.head_count", 3),
        ("projection_dim", 60),
        ("projector.scale_factor", 4),
        ("preproc_image_size", 160),
    ] {
        vision.whole(&format!("clip.vision.{key}"), value);
    }
    vision.float("clip.vision.attention.layer_norm_epsilon", 1e-6);
    let half = vec![0.5f32.to_le_bytes().to_vec(); 3];
    vision.list("clip.vision.image_mean", 6, &half);
    vision.list("clip.vision.image_std", 6, &half);
}

#[test]
fn a_pair_of_gguf_files_equals_pytorch() {
    let case = super::CASES.iter().find(|case: &&Case| case.name == "smolvlm").unwrap();
    let (checkpoint, out) = (folder("smolvlm").join("checkpoint"), tempfile::tempdir().unwrap());
    let [mut language, mut vision] = tensors(&checkpoint, 10);
    keys(&mut language, &mut vision);
    tokenizer(&mut language, &checkpoint);
    let path = |name: &str| out.path().join(name);
    language.write(&path("smolvlm.gguf"));
    vision.write(&path("mmproj.gguf"));
    let (model, mmproj, pack) = (path("smolvlm.gguf"), path("mmproj.gguf"), path("pack"));
    let what = Conversion { mmproj: Some(&mmproj), ..Conversion::new(&model, &pack, Weights::F32) };
    block_on(convert(&what, &Cancel::new(), &mut |_| {}, &mut |_| {})).unwrap();
    let model = load(pack, AdapterChoice::Cpu, Weights::F32).unwrap();
    let (config, read) = (model.config(), Changed::of("smolvlm").open().unwrap());
    assert_eq!((&config.vision, &config.projector), (&read.vision, &read.projector));
    assert_eq!((&config.preparing, &config.end_ids), (&read.preparing, &read.end_ids));
    run(case, &model);
    // The ids of the case come from the published tokenizer; so do the pair's.
    let folder = load(checkpoint, AdapterChoice::Cpu, Weights::F32).unwrap();
    for text in ["User: what is it?", "\n\n", "in 2024 café ☃"] {
        let (got, want) = (model.tokenizer().encode(text), folder.tokenizer().encode(text));
        assert_eq!(got, want, "{text:?}");
    }
}
