//! Byte-level tokenizers of any size, with the special tokens and the steps of a family.

use serde_json::{Map, Value, json};

/// What a family's tokenizer is like.
pub(super) struct Bytes {
    /// Id and text of each special token.
    pub(super) special: Vec<(u32, String)>,
    /// The id after the last one; ids between that nothing claims are words.
    pub(super) ids: u32,
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
}

/// GPT-2's spelling of a byte: itself if it can be printed, else the next unused character.
fn spelling() -> Vec<char> {
    let printed = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    let all = (0..256).map(|byte| {
        let code = if printed(byte) {
            byte
        } else {
            next += 1;
            next - 1
        };
        char::from_u32(code).expect("far below the surrogates")
    });
    all.collect()
}

impl Bytes {
    /// Its `tokenizer.json`: bytes first, then words that are longer and longer.
    pub(super) fn json(&self) -> Value {
        let taken = |id: u32| self.special.iter().any(|(special, _)| *special == id);
        let mut free = (0..self.ids).filter(|id| !taken(*id));
        let mut vocab = Map::new();
        let mut merges = Vec::new();
        for (character, id) in spelling().into_iter().zip(free.by_ref()) {
            vocab.insert(character.to_string(), json!(id));
        }
        let mut stems: Vec<String> = ('a'..='z').map(String::from).collect();
        'all: loop {
            let mut longer = Vec::with_capacity(stems.len() * 26);
            for stem in &stems {
                for letter in 'a'..='z' {
                    let Some(id) = free.next() else { break 'all };
                    let word = format!("{stem}{letter}");
                    vocab.insert(word.clone(), json!(id));
                    merges.push(json!([stem, letter.to_string()]));
                    longer.push(word);
                }
            }
            stems = longer;
        }
        json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": self.special.iter().map(|(id, text)| added(*id, text)).collect::<Vec<_>>(),
            "normalizer": self.normalizer, "pre_tokenizer": self.pre_tokenizer, "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": false, "vocab": vocab, "merges": merges,
            },
        })
    }

    /// `added_tokens_decoder` of `tokenizer_config.json`.
    pub(super) fn added(&self) -> Value {
        let entry = |(id, text): &(u32, String)| {
            let mut token = added(*id, text);
            token.as_object_mut().expect("an object").remove("id");
            (id.to_string(), token)
        };
        Value::Object(self.special.iter().map(entry).collect())
    }
}

fn added(id: u32, text: &str) -> Value {
    json!({
        "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    })
}

/// SmolVLM's steps: each digit alone, then bytes.
pub(super) fn digits() -> Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    ]})
}

/// Qwen2's and granite's steps: cut by an expression with `numbers` for runs of digits, then bytes.
pub(super) fn split(numbers: &str) -> Value {
    let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
    let rest = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": format!("{words}{numbers}{rest}")}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]})
}
