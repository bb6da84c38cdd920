//! From the pieces in a tokenizer file, whatever its kind, to a tokenizer: special tokens, what
//! pieces say as text, and the merging model.

use super::steps::Steps;
use super::stream::{Piece, byte_token};
use super::tiled::is_of_tiles;
use super::tokenizer::{Definition, Inner, MAX_IDS, Preparation, Tokenizer};
use crate::error::{Error, Result};
use crate::plain::json_error;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use tokenizers::models::bpe::{BPE, Vocab};

/// The longest token in bytes, far above any in use: an answer is as long as its tokens.
const MAX_TOKEN_BYTES: usize = 4096;
/// The most tokens that are cut out of a text before the merges: each is looked for everywhere.
const MAX_CUT_OUT: usize = 1 << 14;

/// What matters in `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Config {
    legacy: Option<bool>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    bos_token: Option<Name>,
    eos_token: Option<Name>,
    unk_token: Option<Name>,
    pad_token: Option<Name>,
    #[serde(default)]
    added_tokens_decoder: HashMap<u32, AddedToken>,
}

/// A token's text, bare or in an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Name {
    Bare(String),
    Token { content: String },
}

#[derive(Debug, Clone, Deserialize)]
struct AddedToken {
    content: String,
    #[serde(default)]
    special: bool,
}

impl Config {
    pub(super) fn read(bytes: &[u8]) -> Result<Config> {
        let corrupt = |problem: String| Error::ModelCorrupt {
            file: "tokenizer_config.json".to_string(),
            problem,
        };
        let config: Config =
            serde_json::from_slice(bytes).map_err(|error| corrupt(json_error(&error)))?;
        // Every prompt goes on after the text.
        if config.add_eos_token == Some(true) {
            return Err(corrupt("add_eos_token true is not supported".to_string()));
        }
        Ok(config)
    }

    /// Whether every prompt begins with BOS, where this file decides it.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`] for SentencePiece without BOS, as no published LLaMA has it.
    pub(super) fn check(&self, definition: &Definition) -> Result<()> {
        let pieces = matches!(definition.preparation, Preparation::SentencePiece { .. });
        if pieces && self.add_bos_token == Some(false) {
            return Err(Error::ModelCorrupt {
                file: "tokenizer_config.json".to_string(),
                problem: "add_bos_token false is not supported".to_string(),
            });
        }
        Ok(())
    }
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Name::Bare(text) | Name::Token { content: text } => text,
        }
    }
}

/// Checks everything a later step relies on; the error is the problem in words.
pub(super) fn build(
    mut definition: Definition,
    config: Option<Config>,
) -> Result<Tokenizer, String> {
    let legacy = match &config {
        Some(config) => config.legacy.unwrap_or(true),
        None => definition.legacy.unwrap_or(true),
    };
    let config = config.unwrap_or_default();
    let mut extra: Vec<(u32, AddedToken)> = config.added_tokens_decoder.into_iter().collect();
    extra.sort_by_key(|(id, _)| *id);
    for (id, token) in extra {
        definition.add(token.content, id, token.special);
    }

    let mut ids: HashMap<&str, u32> =
        definition.vocab.iter().map(|(text, id)| (text.as_str(), *id)).collect();
    if ids.len() != definition.vocab.len() {
        return Err("the same token stands in it twice".to_string());
    }
    for (text, id) in &definition.added {
        ids.entry(text).or_insert(*id);
    }
    let find = |name: Option<&Name>, id: Option<u32>, usual: &[&str]| match name {
        Some(name) => {
            ids.get(name.text()).copied().ok_or(format!("it has no token {:?}", name.text()))
        }
        None => id.or_else(|| usual.iter().find_map(|name| ids.get(name).copied())).ok_or(format!(
            "it has no token {}, and tokenizer_config.json names no other",
            usual[0]
        )),
    };
    let begins = match (&definition.preparation, config.add_bos_token) {
        (Preparation::SentencePiece { .. }, _) | (_, Some(true)) => true,
        (_, Some(false)) => false,
        (_, None) => definition.bos.is_some(),
    };
    let usual = ["<s>", "<|begin_of_text|>", "<|endoftext|>"];
    let named = find(config.bos_token.as_ref(), definition.bos, &usual);
    let bos = if begins { Some(named.clone()?) } else { None };
    let eos = find(
        config.eos_token.as_ref(),
        definition.eos,
        &["</s>", "<|end_of_text|>", "<|endoftext|>"],
    )?;
    let unknown = definition.unknown.as_ref().and_then(|name| ids.get(name.as_str()).copied());
    let unk = find(config.unk_token.as_ref(), unknown, &["<unk>"]).unwrap_or(eos);
    let pad = find(config.pad_token.as_ref(), None, &["<pad>", "<|pad|>"]).ok();
    // A token that the file names as its beginning is one, though no prompt may begin with it.
    let named = named.ok().filter(|_| bos.is_some() || config.bos_token.is_some());
    definition.special.extend(named.into_iter().chain([eos]));

    let roles = [named, Some(eos), pad];
    let pieces = pieces(&definition, &roles)?;
    for (name, id) in bos.map(|bos| ("beginning", bos)).into_iter().chain([("end", eos)]) {
        if pieces.get(id as usize).is_none_or(|piece| *piece == Piece::Missing) {
            return Err(format!("its token for the {name}, {id}, is not in the vocabulary"));
        }
    }
    let model = model(&mut definition)?;
    let cut_out = cut_out(&definition)?;
    let steps = match &definition.preparation {
        Preparation::SentencePiece { clean, .. } => {
            clean.check()?;
            None
        }
        Preparation::Steps { normalizer, pre_tokenizer, .. } => {
            Some(Steps::new(normalizer, pre_tokenizer)?)
        }
    };
    let inner = Inner { definition, model, cut_out, steps, legacy, bos, eos, unk };
    Ok(Tokenizer { inner: Arc::new(inner), pieces: pieces.into() })
}

/// The added tokens that are looked for in a text, by their first letter.
fn cut_out(definition: &Definition) -> Result<HashMap<char, Vec<(String, u32)>>, String> {
    let mut found: HashMap<char, Vec<(String, u32)>> = HashMap::new();
    let ordinary = definition.added.iter().filter(|(_, id)| !definition.special.contains(id));
    for (text, id) in ordinary.clone() {
        if let Some(first) = text.chars().next() {
            found.entry(first).or_default().push((text.clone(), *id));
        }
    }
    let n = ordinary.count();
    if n > MAX_CUT_OUT {
        Err(format!("it has {n} added tokens; {MAX_CUT_OUT} is the most that is run"))
    } else {
        Ok(found)
    }
}

/// Tokens around what is asked, told and shown: part of every prompt, of no answer.
const STRUCTURE: [&str; 9] = [
    "<pad>",
    "<|pad|>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|im_start|>",
    "<|im_end|>",
    "<end_of_utterance>",
    "<image>",
    "<video>",
];

/// Whether an answer may hold the special token: a model that knows DocTags writes its documents in
/// them, and they are special tokens.
fn is_shown(text: &str) -> bool {
    !(STRUCTURE.contains(&text) || is_of_tiles(text))
}

/// Whether the model writes documents in tokens of their own.
pub(super) fn writes_documents(definition: &Definition) -> bool {
    definition.added.iter().any(|(text, _)| text == "<doctag>")
}

/// What each id adds to an answer; `hidden` never adds anything.
fn pieces(definition: &Definition, hidden: &[Option<u32>]) -> Result<Vec<Piece>, String> {
    let all = || definition.vocab.iter().chain(&definition.added);
    let largest = all().map(|(_, id)| *id).max().ok_or("it has no tokens")?;
    if largest >= MAX_IDS {
        return Err(format!(
            "it has a token with the id {largest}; the largest that makes sense is {}",
            MAX_IDS - 1
        ));
    }
    if let Some((text, id)) = all().find(|(text, _)| text.len() > MAX_TOKEN_BYTES) {
        return Err(format!(
            "its token {id} has {} bytes; {MAX_TOKEN_BYTES} is the most that is read",
            text.len()
        ));
    }
    let writes_tags = writes_documents(definition);
    let is_hidden = |text: &str, id: u32| {
        definition.special.contains(&id)
            && !(writes_tags && is_shown(text) && !hidden.contains(&Some(id)))
    };
    let mut pieces = vec![Piece::Missing; largest as usize + 1];
    for (text, id) in all() {
        pieces[*id as usize] = if is_hidden(text, *id) {
            Piece::Special
        } else if definition.byte_level {
            Piece::byte_level(text)
        } else {
            Piece::sentencepiece(text)
        };
    }
    for (text, id) in definition.added.iter().filter(|(text, id)| !is_hidden(text, *id)) {
        pieces[*id as usize] = Piece::Bytes(text.as_bytes().into());
    }
    Ok(pieces)
}

/// The merges as the `tokenizers` crate runs them. That crate trusts its input, so every pair and
/// its union are looked up first; pairs that would spell a control or byte token are dropped.
fn model(definition: &mut Definition) -> Result<BPE, String> {
    let vocab: Vocab = definition.vocab.iter().cloned().collect();
    let merges = std::mem::take(&mut definition.merges);
    let mut sound = Vec::with_capacity(merges.len());
    for (left, right) in merges {
        let union = format!("{left}{right}");
        let (Some(id), true, true) =
            (vocab.get(&union), vocab.contains_key(&left), vocab.contains_key(&right))
        else {
            return Err(format!(
                "it merges {left:?} and {right:?}, which are not all in the vocabulary"
            ));
        };
        if !definition.special.contains(id) && byte_token(&union).is_none() {
            sound.push((left, right));
        }
    }
    let mut builder = BPE::builder()
        .byte_fallback(definition.byte_fallback)
        .fuse_unk(definition.fuse_unknown)
        .ignore_merges(definition.ignore_merges);
    if let Some(unknown) = &definition.unknown {
        if !vocab.contains_key(unknown) {
            return Err(format!("its unknown token {unknown:?} is not in the vocabulary"));
        }
        builder = builder.unk_token(unknown.clone());
    }
    builder.vocab_and_merges(vocab, sound).build().map_err(|error| error.to_string())
}
