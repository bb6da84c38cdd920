//! `tokenizer.json` ↔ [`Definition`].
//!
//! LLaMA's preparation comes in two spellings, which are recognised and handled as SentencePiece
//! does: `Prepend ▁` + `Replace " " → ▁`, and the pre-tokenizer `Metaspace` that does not split.
//! Anything else runs through the `tokenizers` crate's own steps.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;

use super::bounded::{List, Table};
use super::clean::Clean;
use super::tokenizer::{Definition, MAX_IDS, Preparation};
use crate::error::{Error, Result};
use crate::plain::json_error;
use crate::untrusted::{cut, limits};

/// The file's name, for messages.
pub(super) const FILE: &str = "tokenizer.json";

/// Far more than any published tokenizer has.
const MOST_ADDED: usize = 1 << 16;
const MOST_MERGES: usize = 1 << 20;
/// The most bytes of any part but the model: the largest holds a table of characters of 300 kB.
const MOST_PART: usize = 1 << 20;

/// The parts of the file as their text: what is read of one depends on its size and kind.
#[derive(Deserialize)]
struct File<'a> {
    #[serde(default)]
    added_tokens: List<AddedToken, MOST_ADDED>,
    #[serde(borrow, default)]
    normalizer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pre_tokenizer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    post_processor: Option<&'a RawValue>,
    #[serde(borrow, default)]
    decoder: Option<&'a RawValue>,
    #[serde(borrow)]
    model: &'a RawValue,
}

/// A part of the file; null if it is absent.
fn part(name: &str, text: Option<&RawValue>) -> Result<Value> {
    let Some(text) = text else { return Ok(Value::Null) };
    if text.get().len() > MOST_PART {
        return Err(corrupt(format!(
            "its {name} has {} bytes; {MOST_PART} is the most that is read",
            text.get().len()
        )));
    }
    serde_json::from_str(text.get()).map_err(|error| corrupt(json_error(&error)))
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    vocab: Table<{ MAX_IDS as usize }>,
    merges: List<Merge, MOST_MERGES>,
    unk_token: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    ignore_merges: bool,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

/// One merge, in the older and the newer spelling.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

impl Merge {
    fn pair(self) -> Option<(String, String)> {
        match self {
            Merge::Pair(left, right) => Some((left, right)),
            Merge::Line(line) => {
                line.split_once(' ').map(|(left, right)| (left.to_string(), right.to_string()))
            }
        }
    }
}

/// Reads `tokenizer.json`.
pub(super) fn read(bytes: &[u8]) -> Result<Definition> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| corrupt(json_error(&error)))?;
    #[derive(Deserialize)]
    struct Kind {
        r#type: Option<String>,
    }
    // Files from before the field had a type are BPE if they have merges.
    let kind: Kind =
        serde_json::from_str(file.model.get()).map_err(|error| corrupt(json_error(&error)))?;
    if let Some(kind) = kind.r#type.filter(|kind| kind != "BPE") {
        return Err(corrupt(format!(
            "it is a {} tokenizer; only BPE can be read",
            cut(&kind, limits::NAME)
        )));
    }
    let model: Model =
        serde_json::from_str(file.model.get()).map_err(|error| corrupt(json_error(&error)))?;
    let normalizer = part("normalizer", file.normalizer)?;
    let pre_tokenizer = part("pre_tokenizer", file.pre_tokenizer)?;
    let decoder = part("decoder", file.decoder)?;
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    if affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return Err(corrupt("it marks parts of words by prefix or suffix, which is not supported"));
    }
    let merges: Option<Vec<_>> = model.merges.0.into_iter().map(Merge::pair).collect();
    let mut vocab: Vec<_> = model.vocab.0.into_iter().collect();
    vocab.sort_by_key(|(_, id)| *id);

    let byte_level = |value: &Value| value.to_string().contains("\"ByteLevel\"");
    let mut definition = Definition {
        merges: merges.ok_or_else(|| corrupt("one of its merges is not a pair"))?,
        unknown: model.unk_token,
        byte_fallback: model.byte_fallback,
        fuse_unknown: model.fuse_unk,
        ignore_merges: model.ignore_merges,
        byte_level: byte_level(&decoder) || byte_level(&pre_tokenizer),
        ..Definition::default()
    };
    (definition.bos, definition.eos) =
        template_tokens(&part("post_processor", file.post_processor)?);
    if let Some((preparation, legacy)) = sentencepiece_like(&normalizer, &pre_tokenizer) {
        definition.preparation = preparation;
        definition.legacy = Some(legacy);
    } else if normalizer.to_string().contains("\"Precompiled\"") {
        return Err(corrupt("its normaliser combines steps in a way that is not supported"));
    } else {
        definition.preparation = Preparation::Steps { normalizer, pre_tokenizer, decoder };
    }
    for token in file.added_tokens.0 {
        definition.add(token.content, token.id, token.special);
    }
    definition.vocab = vocab;
    Ok(definition)
}

/// The steps of a normaliser: none, one, or a sequence.
fn steps(normalizer: &Value) -> &[Value] {
    match normalizer.get("normalizers").and_then(Value::as_array) {
        Some(steps) => steps,
        None if normalizer.is_null() => &[],
        None => std::slice::from_ref(normalizer),
    }
}

fn prepend() -> Value {
    json!({"type": "Prepend", "prepend": "▁"})
}

fn escape() -> Value {
    json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
}

/// Recognises SentencePiece's preparation, with the `legacy` flag that the spelling implies.
fn sentencepiece_like(normalizer: &Value, pre_tokenizer: &Value) -> Option<(Preparation, bool)> {
    let mut rest = steps(normalizer);
    let (dummy_prefix, legacy);
    if pre_tokenizer.is_null() {
        rest = rest.strip_suffix(&[escape()])?;
        let bare = rest.strip_suffix(&[prepend()]);
        dummy_prefix = bare.is_some();
        rest = bare.unwrap_or(rest);
        legacy = true;
    } else {
        let is = |key: &str, value: Value| pre_tokenizer.get(key) == Some(&value);
        if !is("type", json!("Metaspace"))
            || !is("replacement", json!("▁"))
            || !is("split", json!(false))
        {
            return None;
        }
        dummy_prefix = !is("prepend_scheme", json!("never"));
        legacy = !is("prepend_scheme", json!("first"));
    }
    let clean = Clean::from_steps(rest)?;
    Some((Preparation::SentencePiece { clean, dummy_prefix }, legacy))
}

/// BOS is what the template puts before the text. The template's other token is the end token:
/// [`write()`] lists it there, because the format has no place for it.
fn template_tokens(post_processor: &Value) -> (Option<u32>, Option<u32>) {
    let id_of = |name: &Value| {
        let id = post_processor
            .get("special_tokens")?
            .get(name.as_str()?)?
            .get("ids")?
            .get(0)?
            .as_u64()?;
        u32::try_from(id).ok()
    };
    let first = post_processor
        .get("single")
        .and_then(|single| single.get(0)?.get("SpecialToken")?.get("id"));
    let names = post_processor.get("special_tokens").and_then(Value::as_object);
    let mut others =
        names.into_iter().flatten().map(|(name, _)| json!(name)).filter(|name| Some(name) != first);
    let other = others.next().filter(|_| others.next().is_none());
    (first.and_then(id_of), other.and_then(|name| id_of(&name)))
}

/// Writes what [`read`] reads and the `tokenizers` library understands.
pub(super) fn write(
    definition: &Definition,
    model: &BPE,
    legacy: bool,
    bos: Option<u32>,
    eos: u32,
) -> Vec<u8> {
    let text_of = |id: u32| {
        let mut all = definition.vocab.iter().chain(&definition.added);
        all.find(|(_, other)| *other == id).map_or("", |(text, _)| text.as_str())
    };
    let (normalizer, pre_tokenizer, decoder) = match &definition.preparation {
        Preparation::Steps { normalizer, pre_tokenizer, decoder } => {
            (normalizer.clone(), pre_tokenizer.clone(), decoder.clone())
        }
        Preparation::SentencePiece { clean, dummy_prefix } => {
            let mut steps = clean.to_steps();
            let mut pre_tokenizer = Value::Null;
            if *dummy_prefix && !legacy {
                pre_tokenizer = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
            } else {
                steps.extend(dummy_prefix.then(prepend));
                steps.push(escape());
            }
            let normalizer = if steps.is_empty() {
                Value::Null
            } else {
                json!({"type": "Sequence", "normalizers": steps})
            };
            (normalizer, pre_tokenizer, decoder(*dummy_prefix))
        }
    };
    let token = |id: u32, text: &str, special: bool| json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special});
    let special = definition.special.iter().map(|&id| token(id, text_of(id), true));
    let ordinary = definition.added.iter().filter(|(_, id)| !definition.special.contains(id));
    let added = ordinary.map(|(text, id)| token(*id, text, false));
    let sequence = |name: &str, part: u32| json!({"Sequence": {"id": name, "type_id": part}});
    let opening =
        |part: u32| bos.map(|id| json!({"SpecialToken": {"id": text_of(id), "type_id": part}}));
    let put = |pieces: [Option<Value>; 4]| Value::from_iter(pieces.into_iter().flatten());
    let listed = bos.into_iter().chain([eos]).map(|id| {
        let text = text_of(id);
        (text.to_string(), json!({"id": text, "ids": [id], "tokens": [text]}))
    });
    let mut file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special.chain(added).collect::<Vec<_>>(),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": put([opening(0), Some(sequence("A", 0)), None, None]),
            "pair": put([opening(0), Some(sequence("A", 0)), opening(1), Some(sequence("B", 1))]),
            "special_tokens": Value::from_iter(listed),
        },
        "decoder": decoder,
        "model": model,
    });
    // In which order maps are kept is another crate's choice; a pack's bytes are not.
    file.sort_all_objects();
    file.to_string().into_bytes()
}

fn decoder(dummy_prefix: bool) -> Value {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    decoders.extend(
        dummy_prefix.then(|| json!({"type": "Strip", "content": " ", "start": 1, "stop": 0})),
    );
    json!({"type": "Sequence", "decoders": decoders})
}

fn corrupt(problem: impl Into<String>) -> Error {
    Error::ModelCorrupt { file: FILE.to_string(), problem: problem.into() }
}
