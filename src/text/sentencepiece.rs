//! `tokenizer.model`, a SentencePiece protobuf → [`Definition`]: vocabulary and merges for BPE.
//!
//! Upstream: `sentencepiece_model.proto`; only the fields that BPE needs are declared.

use std::collections::HashMap;

use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use super::clean::Clean;
use super::tokenizer::{Definition, MAX_IDS, Preparation};
use crate::error::{Error, Result};

/// The file's name, for messages.
const FILE: &str = "tokenizer.model";
/// Far above any real piece (LLaMA's longest is 48 bytes); bounds the search for merges.
const MAX_PIECE_BYTES: usize = 512;
/// Far above what the pairs of any vocabulary take (LLaMA's: 1 MB).
const MAX_MERGE_BYTES: usize = 64 << 20;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<SentencePiece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct SentencePiece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(int32, optional, tag = "41")]
    bos_id: Option<i32>,
    #[prost(int32, optional, tag = "42")]
    eos_id: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    escape_whitespaces: Option<bool>,
}

/// Values of `SentencePiece.type`.
mod kind {
    pub(super) const NORMAL: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const CONTROL: i32 = 3;
    pub(super) const USER_DEFINED: i32 = 4;
    pub(super) const BYTE: i32 = 6;
}

/// Reads `tokenizer.model`.
pub(super) fn read(bytes: &[u8]) -> Result<Definition> {
    if pieces_in(bytes) > MAX_IDS as usize {
        return Err(corrupt(format!("it has more than {MAX_IDS} pieces")));
    }
    let model = ModelProto::decode(bytes)
        .map_err(|error| corrupt(format!("it is no SentencePiece model ({error})")))?;
    let trainer = model.trainer.unwrap_or_default();
    let normalizer = model.normalizer.unwrap_or_default();
    match trainer.model_type.unwrap_or(1) {
        2 => {}
        1 => return Err(corrupt("it is a unigram model; only BPE models can be read")),
        other => {
            return Err(corrupt(format!(
                "it is of SentencePiece model type {other}; only BPE (2) can be read"
            )));
        }
    }
    if trainer.whitespace_as_suffix == Some(true) || normalizer.escape_whitespaces == Some(false) {
        return Err(corrupt("it treats spaces in a way that is not supported"));
    }

    let mut definition = Definition {
        byte_fallback: trainer.byte_fallback.unwrap_or(false),
        fuse_unknown: true,
        preparation: Preparation::SentencePiece {
            clean: Clean::new(
                normalizer.charsmap.unwrap_or_default(),
                normalizer.remove_extra_whitespaces.unwrap_or(true),
            ),
            dummy_prefix: normalizer.add_dummy_prefix.unwrap_or(true),
        },
        bos: id_of(trainer.bos_id.unwrap_or(1)),
        eos: id_of(trainer.eos_id.unwrap_or(2)),
        ..Definition::default()
    };
    let mut normal = Vec::new();
    for (id, entry) in (0u32..).zip(model.pieces) {
        let piece = entry.piece.unwrap_or_default();
        if piece.is_empty() || piece.len() > MAX_PIECE_BYTES {
            return Err(corrupt(format!(
                "piece {id} has {} bytes; 1 to {MAX_PIECE_BYTES} make sense",
                piece.len()
            )));
        }
        match entry.kind.unwrap_or(kind::NORMAL) {
            kind::NORMAL => {
                normal.push(Scored { id, piece: piece.clone(), score: entry.score.unwrap_or(0.0) })
            }
            kind::UNKNOWN => {
                definition.special.insert(id);
                definition.unknown = Some(piece.clone());
            }
            kind::CONTROL => {
                definition.special.insert(id);
            }
            kind::USER_DEFINED => definition.added.push((piece.clone(), id)),
            _ => {}
        }
        definition.vocab.push((piece, id));
    }
    definition.merges = merges(&normal)?;
    Ok(definition)
}

/// How many pieces a file lists, counted before any of them takes memory; those behind the first
/// damage do not count.
fn pieces_in(mut bytes: &[u8]) -> usize {
    const PIECE: u32 = 1;
    let mut count = 0;
    while let Ok((field, wire)) = decode_key(&mut bytes) {
        count += usize::from(field == PIECE);
        if skip_field(wire, field, &mut bytes, DecodeContext::default()).is_err() {
            break;
        }
    }
    count
}

/// A `tokenizer.model` of `vocab` pieces for synthetic checkpoints: LLaMA's 259 first ids,
/// printable ASCII, then strings of lower-case letters, shortest first, each of which two shorter
/// pieces make.
#[cfg(feature = "native")]
pub(crate) fn synthetic_model(vocab: usize) -> Vec<u8> {
    let special = [("<unk>", kind::UNKNOWN), ("<s>", kind::CONTROL), ("</s>", kind::CONTROL)]
        .map(|(text, kind)| (text.to_owned(), kind));
    let bytes = (0..256).map(|byte| (format!("<0x{byte:02X}>"), kind::BYTE));
    let singles: Vec<String> = ('a'..='z')
        .chain(('!'..='~').filter(|c| !c.is_ascii_lowercase()))
        .chain(['▁'])
        .map(String::from)
        .collect();
    let mut strings: Vec<String> = ('a'..='z').chain(['▁']).map(String::from).collect();
    let mut longer = Vec::new();
    while singles.len() + longer.len() < vocab {
        strings =
            strings.iter().flat_map(|s| ('a'..='z').map(move |c| format!("{s}{c}"))).collect();
        longer.extend_from_slice(&strings);
    }
    let normal = singles.into_iter().chain(longer).map(|text| (text, kind::NORMAL));
    let pieces = special.into_iter().chain(bytes).chain(normal).take(vocab).enumerate();
    let piece = |(id, (text, kind)): (usize, (String, i32))| SentencePiece {
        piece: Some(text),
        score: Some(if kind == kind::NORMAL { -(id as f32 - 259.0) } else { 0.0 }),
        kind: Some(kind),
    };
    let trainer = TrainerSpec {
        model_type: Some(2),
        byte_fallback: Some(true),
        bos_id: Some(1),
        eos_id: Some(2),
        ..Default::default()
    };
    let normalizer = NormalizerSpec {
        add_dummy_prefix: Some(true),
        remove_extra_whitespaces: Some(false),
        ..Default::default()
    };
    ModelProto {
        pieces: pieces.map(piece).collect(),
        trainer: Some(trainer),
        normalizer: Some(normalizer),
    }
    .encode_to_vec()
}

/// What another file keeps of a SentencePiece model, one list for each field.
pub(crate) struct SentencePieces<'a> {
    /// The pieces by id.
    pub(crate) texts: &'a [String],
    /// As many scores.
    pub(crate) scores: &'a [f32],
    /// As many values of `SentencePiece.type`.
    pub(crate) kinds: &'a [i64],
    /// The id of the token that opens a prompt.
    pub(crate) bos: i32,
    /// The id of the token that ends an answer.
    pub(crate) eos: i32,
    /// A space is put before text.
    pub(crate) dummy_prefix: bool,
    /// Spaces at both ends go, several in a row become one.
    pub(crate) collapse: bool,
}

/// The `tokenizer.model` that these lists come from, as far as it matters here: a BPE model, which
/// falls back to bytes if it has pieces for them.
pub(crate) fn sentencepiece_model(from: &SentencePieces) -> Vec<u8> {
    let scored = from.texts.iter().zip(from.scores).zip(from.kinds);
    let piece = |((text, score), kind): ((&String, &f32), &i64)| SentencePiece {
        piece: Some(text.clone()),
        score: Some(*score),
        kind: i32::try_from(*kind).ok(),
    };
    let trainer = TrainerSpec {
        model_type: Some(2),
        byte_fallback: Some(from.kinds.contains(&i64::from(kind::BYTE))),
        bos_id: Some(from.bos),
        eos_id: Some(from.eos),
        ..Default::default()
    };
    let normalizer = NormalizerSpec {
        add_dummy_prefix: Some(from.dummy_prefix),
        remove_extra_whitespaces: Some(from.collapse),
        ..Default::default()
    };
    let (trainer, normalizer) = (Some(trainer), Some(normalizer));
    ModelProto { pieces: scored.map(piece).collect(), trainer, normalizer }.encode_to_vec()
}

struct Scored {
    id: u32,
    piece: String,
    score: f32,
}

/// Every way to make a piece from two others, best score first.
///
/// SentencePiece has no merge list: it joins the neighbours whose union scores highest. As a list:
/// all splits of each piece into two pieces, by (left id, right id), pieces by falling score.
/// Among equal scores SentencePiece takes the leftmost pair, a list the first listed. Only runs of
/// one character tie in practice (LLaMA's spaces); for those, longest first comes to the same.
fn merges(pieces: &[Scored]) -> Result<Vec<(String, String)>> {
    let ids: HashMap<&str, u32> =
        pieces.iter().map(|entry| (entry.piece.as_str(), entry.id)).collect();
    let mut by_score: Vec<&Scored> = pieces.iter().collect();
    let length = |entry: &Scored| entry.piece.chars().count();
    by_score.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| length(b).cmp(&length(a))));
    let (mut merges, mut size) = (Vec::new(), 0);
    for entry in by_score {
        let splits = entry.piece.char_indices().skip(1).map(|(at, _)| entry.piece.split_at(at));
        let mut known: Vec<_> = splits
            .filter_map(|(left, right)| Some(((*ids.get(left)?, *ids.get(right)?), left, right)))
            .collect();
        known.sort_by_key(|(pair, ..)| *pair);
        size += known.len() * entry.piece.len();
        if size > MAX_MERGE_BYTES {
            return Err(corrupt("its pieces can be put together in too many ways"));
        }
        merges.extend(
            known.into_iter().map(|(_, left, right)| (left.to_string(), right.to_string())),
        );
    }
    Ok(merges)
}

fn id_of(id: i32) -> Option<u32> {
    u32::try_from(id).ok()
}

fn corrupt(problem: impl Into<String>) -> Error {
    Error::ModelCorrupt { file: FILE.to_string(), problem: problem.into() }
}
