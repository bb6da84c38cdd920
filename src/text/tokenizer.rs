//! Text ↔ token ids, from `tokenizer.json` or `tokenizer.model`.
//!
//! The reference is transformers' slow `LlamaTokenizer`, that is, SentencePiece itself. Text in
//! one place differs: `</s>` and the like, typed by a person, are plain text here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::{Model, OffsetReferential, OffsetType};

use super::build::{Config, build};
use super::clean::Clean;
use super::steps::Steps;
pub use super::stream::TextStream;
use super::stream::{Piece, SPACE};
use super::{huggingface, sentencepiece};
use crate::error::{Error, Result};

/// Far above any vocabulary in use; bounds what a hostile file can make us allocate.
pub(super) const MAX_IDS: u32 = 1 << 20;

/// What either file format says, before `tokenizer_config.json` is heard.
#[derive(Debug, Default)]
pub(super) struct Definition {
    /// The model's tokens; ids may have gaps.
    pub(super) vocab: Vec<(String, u32)>,
    /// Pairs that may be joined, best first.
    pub(super) merges: Vec<(String, String)>,
    /// Ids of control tokens: never made from text.
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
    pub(super) inner: Arc<Inner>,
    pub(super) pieces: Arc<[Piece]>,
}

pub(super) struct Inner {
    pub(super) definition: Definition,
    pub(super) model: BPE,
    /// The added tokens that text may turn into, by their first letter.
    pub(super) cut_out: HashMap<char, Vec<(String, u32)>>,
    /// What prepares text, unless SentencePiece's way does.
    pub(super) steps: Option<Steps>,
    pub(super) legacy: bool,
    /// What every prompt begins with, if the tokenizer itself says so.
    pub(super) bos: Option<u32>,
    pub(super) eos: u32,
    pub(super) unk: u32,
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
        config.as_ref().map_or(Ok(()), |config| config.check(&definition))?;
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
    #[doc(hidden)]
    pub fn encode_after_special(&self, text: &str) -> Vec<u32> {
        self.inner.encode(text, self.inner.legacy)
    }

    /// The token that opens every prompt; none where the tokenizer adds none by itself. A template
    /// may write one all the same.
    pub fn bos(&self) -> Option<u32> {
        self.inner.bos
    }

    /// The special token of this name, such as `<|im_start|>`.
    pub fn special(&self, name: &str) -> Option<u32> {
        self.specials().find(|(text, _)| *text == name).map(|(_, id)| id)
    }

    /// Every special token, its name and its id.
    #[doc(hidden)]
    pub fn specials(&self) -> impl Iterator<Item = (&str, u32)> {
        let Definition { vocab, added, special, .. } = &self.inner.definition;
        let all = vocab.iter().chain(added);
        all.filter(|(_, id)| special.contains(id)).map(|(text, id)| (text.as_str(), *id))
    }

    /// The token that ends every answer.
    pub fn eos(&self) -> u32 {
        self.inner.eos
    }

    /// The token for what the vocabulary cannot express.
    #[doc(hidden)]
    pub fn unk(&self) -> u32 {
        self.inner.unk
    }

    /// One more than the largest id; the model's embedding table may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// How many rows of embeddings it needs: one more than the largest id that a prompt may hold.
    /// Special tokens of other `names` than those are known, but stand in no prompt.
    pub(crate) fn rows(&self, names: impl Fn(&str) -> bool) -> usize {
        let Inner { definition, bos, eos, .. } = &*self.inner;
        let Definition { vocab, added, special, .. } = definition;
        let stands = |text: &str, id: u32| {
            !special.contains(&id) || id == *eos || Some(id) == *bos || names(text)
        };
        let all = vocab.iter().chain(added).filter(|(text, id)| stands(text, *id));
        all.map(|(_, id)| *id as usize + 1).max().unwrap_or(0)
    }

    /// Whether the model writes documents in tokens of their own (DocTags).
    #[doc(hidden)]
    pub fn writes_documents(&self) -> bool {
        super::build::writes_documents(&self.inner.definition)
    }

    /// Whether the id is a control token: never made from text. It is not shown either, unless the
    /// model writes documents in such tokens.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.definition.special.contains(&id)
    }

    /// A whole answer as text: control tokens and unknown ids left out, one leading space dropped.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = TextStream::new(self);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// An equivalent `tokenizer.json`, for packs: read back alone, it gives the same tokenizer.
    #[doc(hidden)]
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
        // Where whole pieces are looked up before any merge, one may spell a control token.
        if let ([token], Some((first, rest))) = (tokens.as_slice(), split_first(text))
            && self.definition.special.contains(&token.id)
        {
            return [self.merge(first), self.merge(rest)].concat();
        }
        tokens.into_iter().map(|token| token.id).collect()
    }

    fn in_steps(&self, steps: &Steps, text: &str) -> Vec<u32> {
        let cut = steps.apply(text);
        let splits = cut.get_splits(OffsetReferential::Normalized, OffsetType::None);
        splits.into_iter().flat_map(|(text, ..)| self.merge(text)).collect()
    }
}

/// The first character and the rest of a text of at least two.
fn split_first(text: &str) -> Option<(&str, &str)> {
    let (second, _) = text.char_indices().nth(1)?;
    Some(text.split_at(second))
}
