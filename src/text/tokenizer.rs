//! Text ↔ token ids, from `tokenizer.json` or `tokenizer.model`.
//!
//! The reference is transformers' slow `LlamaTokenizer`, that is, SentencePiece itself. Text in
//! one place differs: `</s>` and the like, typed by a person, are plain text here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{Model, OffsetReferential, OffsetType};

use super::clean::Clean;
use super::steps::Steps;
pub use super::stream::TextStream;
use super::stream::{Piece, SPACE, byte_token};
use super::{huggingface, sentencepiece};
use crate::error::{Error, Result};
use crate::plain::json_error;

/// Far above any vocabulary in use; bounds what a hostile file can make us allocate.
pub(super) const MAX_IDS: u32 = 1 << 20;
/// The longest token in bytes, far above any in use: an answer is as long as its tokens.
const MAX_TOKEN_BYTES: usize = 4096;
/// The most tokens that are cut out of a text before the merges: each is looked for everywhere.
const MAX_CUT_OUT: usize = 1 << 14;

/// What either file format says, before `tokenizer_config.json` is heard.
#[derive(Debug, Default)]
pub(super) struct Definition {
    /// The model's tokens; ids may have gaps.
    pub(super) vocab: Vec<(String, u32)>,
    /// Pairs that may be joined, best first.
    pub(super) merges: Vec<(String, String)>,
    /// Ids of control tokens: never made from text, never shown.
    pub(super) special: BTreeSet<u32>,
    /// Tokens outside the merges; those that are not special are cut out of the text first.
    pub(super) added: Vec<(String, u32)>,
    pub(super) unknown: Option<String>,
    pub(super) byte_fallback: bool,
    pub(super) fuse_unknown: bool,
    pub(super) ignore_merges: bool,
    /// Tokens are written in GPT-2's byte alphabet.
    pub(super) byte_level: bool,
    pub(super) preparation: Preparation,
    /// The file's own hint at the `legacy` flag.
    pub(super) legacy: Option<bool>,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
}

impl Definition {
    /// An added token; a special one is only noted, its text is never looked for.
    pub(super) fn add(&mut self, text: String, id: u32, special: bool) {
        if special {
            self.special.insert(id);
        }
        self.added.push((text, id));
    }
}

/// How text is prepared for the merges.
#[derive(Debug)]
pub(super) enum Preparation {
    /// Cleaned, spaces as `▁`, usually with one more in front.
    SentencePiece { clean: Clean, dummy_prefix: bool },
    /// By the steps of a `tokenizer.json`.
    Steps { normalizer: Value, pre_tokenizer: Value, decoder: Value },
}

impl Default for Preparation {
    fn default() -> Self {
        Preparation::SentencePiece { clean: Clean::default(), dummy_prefix: true }
    }
}

/// Text ↔ ids for one model; cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
    pieces: Arc<[Piece]>,
}

struct Inner {
    definition: Definition,
    model: BPE,
    /// The added tokens that text may turn into, by their first letter.
    cut_out: HashMap<char, Vec<(String, u32)>>,
    /// What prepares text, unless SentencePiece's way does.
    steps: Option<Steps>,
    legacy: bool,
    bos: u32,
    eos: u32,
    unk: u32,
}

impl Tokenizer {
    /// From the bytes of `tokenizer.json`, or if that is absent `tokenizer.model`, and of
    /// `tokenizer_config.json` (the `legacy` flag, absent = true, and the names of the control
    /// tokens).
    ///
    /// Fails with [`Error::ModelCorrupt`] on anything but a sound BPE tokenizer.
    pub fn from_files(
        json: Option<&[u8]>,
        model: Option<&[u8]>,
        config: Option<&[u8]>,
    ) -> Result<Tokenizer> {
        let (file, definition) = match (json, model) {
            (Some(bytes), _) => (huggingface::FILE, huggingface::read(bytes)?),
            (None, Some(bytes)) => ("tokenizer.model", sentencepiece::read(bytes)?),
            (None, None) => {
                return Err(Error::ModelCorrupt {
                    file: "the model".to_string(),
                    problem: "it has neither tokenizer.json nor tokenizer.model".to_string(),
                });
            }
        };
        let config = config.map(Config::read).transpose()?;
        build(definition, config)
            .map_err(|problem| Error::ModelCorrupt { file: file.to_string(), problem })
    }

    /// Ids of one piece of text as the reference tokenises it, without BOS.
    ///
    /// It gets SentencePiece's space in front; empty text gives nothing. Control tokens written
    /// out in the text do not become control tokens.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.inner.encode(text, true)
    }

    /// Ids of the text right after a control token such as `</s>`; whether it gets the space in
    /// front is the `legacy` flag's decision.
    pub fn encode_after_special(&self, text: &str) -> Vec<u32> {
        self.inner.encode(text, self.inner.legacy)
    }

    /// The token that opens every prompt.
    pub fn bos(&self) -> u32 {
        self.inner.bos
    }

    /// The token that ends every answer.
    pub fn eos(&self) -> u32 {
        self.inner.eos
    }

    /// The token for what the vocabulary cannot express.
    pub fn unk(&self) -> u32 {
        self.inner.unk
    }

    /// One more than the largest id; the model's embedding table may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// Whether the id is a control token: never made from text, never shown.
    pub fn is_special(&self, id: u32) -> bool {
        self.pieces.get(id as usize) == Some(&Piece::Special)
    }

    /// A whole answer as text: control tokens and unknown ids left out, one leading space dropped.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = TextStream::new(self);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// An equivalent `tokenizer.json`, for packs: read back alone, it gives the same tokenizer.
    pub fn to_json(&self) -> Vec<u8> {
        let Inner { definition, model, legacy, bos, eos, .. } = &*self.inner;
        huggingface::write(definition, model, *legacy, *bos, *eos)
    }

    pub(super) fn pieces(&self) -> Arc<[Piece]> {
        Arc::clone(&self.pieces)
    }
}

impl Inner {
    fn encode(&self, text: &str, with_prefix: bool) -> Vec<u32> {
        match (&self.definition.preparation, &self.steps) {
            (Preparation::SentencePiece { clean, dummy_prefix }, _) => {
                let cleaned = clean.apply(text);
                if text.is_empty() || (cleaned.is_empty() && clean.collapses()) {
                    return Vec::new();
                }
                let mut marked = String::with_capacity(cleaned.len() + SPACE.len_utf8());
                if with_prefix && *dummy_prefix {
                    marked.push(SPACE);
                }
                marked.extend(cleaned.chars().map(|c| if c == ' ' { SPACE } else { c }));
                self.around_added(&marked, |text| self.merge(text))
            }
            (_, Some(steps)) => self.around_added(text, |text| self.in_steps(steps, text)),
            (Preparation::Steps { .. }, None) => unreachable!("they were made at load"),
        }
    }

    /// Cuts the added tokens out of the text, longest first, and encodes what is between them.
    fn around_added(&self, text: &str, encode: impl Fn(&str) -> Vec<u32>) -> Vec<u32> {
        let added = &self.cut_out;
        if added.is_empty() {
            return encode(text);
        }
        let mut ids = Vec::new();
        let (mut begin, mut at) = (0, 0);
        while let Some(letter) = text[at..].chars().next() {
            let here = added
                .get(&letter)
                .into_iter()
                .flatten()
                .filter(|(token, _)| text[at..].starts_with(token.as_str()));
            match here.max_by_key(|(token, _)| token.len()) {
                Some((token, id)) => {
                    ids.extend(encode(&text[begin..at]));
                    ids.push(*id);
                    at += token.len();
                    begin = at;
                }
                None => at += letter.len_utf8(),
            }
        }
        ids.extend(encode(&text[begin..]));
        ids
    }

    fn merge(&self, text: &str) -> Vec<u32> {
        if text.is_empty() {
            return Vec::new();
        }
        let tokens = self.model.tokenize(text).expect("the unknown token was checked at load");
        tokens.into_iter().map(|token| token.id).collect()
    }

    fn in_steps(&self, steps: &Steps, text: &str) -> Vec<u32> {
        let cut = steps.apply(text);
        let splits = cut.get_splits(OffsetReferential::Normalized, OffsetType::None);
        splits.into_iter().flat_map(|(text, ..)| self.merge(text)).collect()
    }
}

/// What matters in `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
struct Config {
    legacy: Option<bool>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    bos_token: Option<Name>,
    eos_token: Option<Name>,
    unk_token: Option<Name>,
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
    fn read(bytes: &[u8]) -> Result<Config> {
        let corrupt = |problem: String| Error::ModelCorrupt {
            file: "tokenizer_config.json".to_string(),
            problem,
        };
        let config: Config =
            serde_json::from_slice(bytes).map_err(|error| corrupt(json_error(&error)))?;
        // Every prompt begins with the one and goes on after the text.
        if config.add_bos_token == Some(false) {
            return Err(corrupt("add_bos_token false is not supported".to_string()));
        }
        if config.add_eos_token == Some(true) {
            return Err(corrupt("add_eos_token true is not supported".to_string()));
        }
        Ok(config)
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
fn build(mut definition: Definition, config: Option<Config>) -> Result<Tokenizer, String> {
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
    let bos = find(
        config.bos_token.as_ref(),
        definition.bos,
        &["<s>", "<|begin_of_text|>", "<|endoftext|>"],
    )?;
    let eos = find(
        config.eos_token.as_ref(),
        definition.eos,
        &["</s>", "<|end_of_text|>", "<|endoftext|>"],
    )?;
    let unknown = definition.unknown.as_ref().and_then(|name| ids.get(name.as_str()).copied());
    let unk = find(config.unk_token.as_ref(), unknown, &["<unk>"]).unwrap_or(eos);
    definition.special.extend([bos, eos]);

    let pieces = pieces(&definition)?;
    for (name, id) in [("beginning", bos), ("end", eos)] {
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

/// What each id adds to an answer.
fn pieces(definition: &Definition) -> Result<Vec<Piece>, String> {
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
    let mut pieces = vec![Piece::Missing; largest as usize + 1];
    for (text, id) in all() {
        pieces[*id as usize] = if definition.special.contains(id) {
            Piece::Special
        } else if definition.byte_level {
            Piece::byte_level(text)
        } else {
            Piece::sentencepiece(text)
        };
    }
    for (text, id) in definition.added.iter().filter(|(_, id)| !definition.special.contains(id)) {
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
