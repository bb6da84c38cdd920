//! A byte-level tokenizer's keys → `tokenizer.json` and `tokenizer_config.json`. Upstream:
//! llama.cpp's `_set_vocab_gpt2`, and the regular expressions of `llama-vocab.cpp` that a name
//! stands for.

use super::container::Container;
use super::tokenizer::Small;
use crate::error::Result;
use crate::untrusted::cut;
use serde_json::{Map, Value, json};

/// Types of tokens, as GGUF numbers them.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

/// What a tokenizer does before its merges, by the name that files have for it.
struct Kind {
    /// `tokenizer.ggml.pre`.
    name: &'static str,
    normalizer: Option<&'static str>,
    /// Parts of the text that are merged on their own; none: digits, then words as GPT-2 has them.
    split: Option<&'static str>,
    /// A token that ends an answer whatever the file's keys say, as its publisher's settings do.
    end: Option<&'static str>,
}

const KINDS: [Kind; 3] = [
    Kind { name: "smollm", normalizer: None, split: None, end: None },
    Kind {
        name: "qwen2",
        normalizer: Some("NFC"),
        split: Some(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        end: Some("<|im_end|>"),
    },
    // llama.cpp itself splits these texts as GPT-2 does, where any number of digits stay together.
    Kind {
        name: "granite-docling",
        normalizer: None,
        split: Some(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        end: None,
    },
];

impl Kind {
    fn of(file: &Container) -> Result<&'static Kind> {
        let key = "tokenizer.ggml.pre";
        let Some(name) = file.text(key)? else {
            return Err(
                file.bad(format!("it has no key {key}, which tokenizer.ggml.model gpt2 needs"))
            );
        };
        KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| {
            file.bad(format!(
                "{key} {:?} is not supported yet; with tokenizer.ggml.model gpt2, smollm, qwen2 and granite-docling are",
                cut(name, 60)
            ))
        })
    }

    /// The steps before the merges, as a `tokenizer.json` has them.
    fn steps(&self) -> Value {
        let first = match self.split {
            Some(split) => {
                json!({"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": false})
            }
            None => json!({"type": "Digits", "individual_digits": true}),
        };
        json!({"type": "Sequence", "pretokenizers": [first, {
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": self.split.is_none(),
        }]})
    }
}

/// The tokenizer's files, and the tokens that end an answer.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the key.
pub(super) fn tokenizer(file: &Container, tokens: &[String]) -> Result<(Small, Vec<u64>)> {
    let key = |rest: &str| format!("tokenizer.ggml.{rest}");
    let kind = Kind::of(file)?;
    let kinds = file.wholes(&key("token_type"))?.unwrap_or_default();
    if kinds.len() != tokens.len() {
        return Err(file.bad(format!(
            "tokenizer.ggml.token_type has {} entries, tokenizer.ggml.tokens {}",
            kinds.len(),
            tokens.len()
        )));
    }
    let mut vocab = Map::new();
    let mut added = Vec::new();
    let mut end = None;
    for ((id, text), stored) in tokens.iter().enumerate().zip(kinds) {
        if *stored == CONTROL && kind.end == Some(text.as_str()) {
            end = Some(id as u64);
        }
        match *stored {
            UNUSED => {}
            CONTROL | USER_DEFINED => added.push(json!({
                "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *stored == CONTROL,
            })),
            _ if vocab.insert(text.clone(), json!(id)).is_some() => {
                return Err(file.bad(format!("the token {:?} is there twice", cut(text, 60))));
            }
            _ => {}
        }
    }
    let merges = file.texts(&key("merges"))?.ok_or_else(|| {
        file.bad(
            "it has no key tokenizer.ggml.merges, which tokenizer.ggml.model gpt2 needs".into(),
        )
    })?;
    let json = json!({
        "version": "1.0", "added_tokens": added, "normalizer": kind.normalizer.map(|name| json!({"type": name})), "pre_tokenizer": kind.steps(),
        "post_processor": null, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "unk_token": null, "vocab": vocab, "merges": merges},
    });
    let id = |rest: &str| match file.whole(&key(rest))? {
        Some(id) if id >= tokens.len() as u64 => Err(file.bad(format!(
            "tokenizer.ggml.{rest} is {id}, which none of its {} tokens has",
            tokens.len()
        ))),
        id => Ok(id),
    };
    let eos = id("eos_token_id")?;
    let ends: Vec<u64> = [eos, id("eot_token_id")?, end].into_iter().flatten().collect();
    let name = |id: Option<u64>| id.map(|id| tokens[id as usize].clone());
    let settings = json!({
        "bos_token": name(id("bos_token_id")?), "eos_token": name(eos),
        "unk_token": name(id("unknown_token_id")?),
    });
    let mut small = vec![
        ("tokenizer.json", json.to_string().into_bytes()),
        ("tokenizer_config.json", settings.to_string().into_bytes()),
    ];
    if let Some(template) = file.text("tokenizer.chat_template")? {
        small.push(("chat_template.jinja", template.as_bytes().to_vec()));
    }
    Ok((small, ends))
}
