//! A checkpoint's tokenizer as the keys of a GGUF file.

use super::pair::Draft;
use super::read_json;
use serde_json::Value;
use std::path::Path;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// Tokens, their types, and the ids of the special ones.
fn tokens(draft: &mut Draft, tokens: &[(String, i32)]) {
    let texts: Vec<_> = tokens.iter().map(|(token, _)| text(token)).collect();
    let kinds: Vec<_> = tokens.iter().map(|(_, kind)| kind.to_le_bytes().to_vec()).collect();
    draft.list("tokenizer.ggml.tokens", 8, &texts);
    draft.list("tokenizer.ggml.token_type", 5, &kinds);
}

/// A byte-level tokenizer, whose steps the file only names.
pub(crate) fn bytes(draft: &mut Draft, checkpoint: &Path, pre: &str) {
    let json = read_json(&checkpoint.join("tokenizer.json"));
    let settings = read_json(&checkpoint.join("tokenizer_config.json"));
    let config = read_json(&checkpoint.join("config.json"));
    let config = config.get("text_config").unwrap_or(&config).clone();
    // Rows of the table without a token are called so.
    let rows = config["vocab_size"].as_u64().unwrap();
    let mut all: Vec<_> = (0..rows).map(|id| (format!("[PAD{id}]"), 5)).collect();
    for (token, id) in json["model"]["vocab"].as_object().unwrap() {
        all[id.as_u64().unwrap() as usize] = (token.clone(), 1);
    }
    for added in json["added_tokens"].as_array().unwrap() {
        let token = added["content"].as_str().unwrap().to_owned();
        let kind = if added["special"].as_bool().unwrap() { 3 } else { 4 };
        all[added["id"].as_u64().unwrap() as usize] = (token, kind);
    }
    let merge = |merge: &Value| match merge {
        Value::String(line) => text(line),
        pair => text(&format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())),
    };
    let merges: Vec<_> = json["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    draft.text("tokenizer.ggml.model", "gpt2");
    draft.text("tokenizer.ggml.pre", pre);
    tokens(draft, &all);
    draft.list("tokenizer.ggml.merges", 8, &merges);
    // The tokenizer's own settings come first, then config.json's.
    for (key, name) in [("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token")] {
        let named = settings[name].as_str().and_then(|name| all.iter().position(|t| t.0 == name));
        let id = named.map(|id| id as u64).or(config[format!("{key}_token_id")].as_u64());
        if let Some(id) = id {
            draft.whole(&format!("tokenizer.ggml.{key}_token_id"), id);
        }
    }
    draft.key("tokenizer.ggml.add_bos_token", 7, &[0]);
    let jinja = std::fs::read_to_string(checkpoint.join("chat_template.jinja"));
    let template = jinja.unwrap_or_else(|_| {
        let json = read_json(&checkpoint.join("chat_template.json"));
        json["chat_template"].as_str().unwrap().to_owned()
    });
    draft.text("tokenizer.chat_template", &template);
}

/// The parts of a message of protobuf: number of the field, and its bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn number(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let before = bytes;
        let (n, skip) = match tag & 7 {
            0 => {
                number(&mut bytes);
                (before.len() - bytes.len(), 0)
            }
            1 => (8, 0),
            5 => (4, 0),
            _ => {
                let n = number(&mut bytes) as usize;
                (n, before.len() - bytes.len())
            }
        };
        found.push((tag >> 3, &before[skip..skip + n]));
        bytes = &before[skip + n..];
    }
    found
}

/// A SentencePiece model's pieces, scores and types.
pub(crate) fn sentence_pieces(draft: &mut Draft, checkpoint: &Path) {
    let model = std::fs::read(checkpoint.join("tokenizer.model")).unwrap();
    let mut all = Vec::new();
    let mut scores = Vec::new();
    for (_, piece) in fields(&model).into_iter().filter(|(field, _)| *field == 1) {
        let (mut token, mut kind, mut score) = (String::new(), 1, vec![0; 4]);
        for (field, value) in fields(piece) {
            match field {
                1 => token = String::from_utf8(value.to_vec()).unwrap(),
                2 => score = value.to_vec(),
                _ => kind = i32::from(value[0]),
            }
        }
        all.push((token, kind));
        scores.push(score);
    }
    draft.text("tokenizer.ggml.model", "llama");
    draft.text("tokenizer.ggml.pre", "default");
    tokens(draft, &all);
    draft.list("tokenizer.ggml.scores", 6, &scores);
    draft.whole("tokenizer.ggml.bos_token_id", 1);
    draft.whole("tokenizer.ggml.eos_token_id", 2);
    draft.key("tokenizer.ggml.add_bos_token", 7, &[1]);
    draft.key("tokenizer.ggml.add_eos_token", 7, &[0]);
}
