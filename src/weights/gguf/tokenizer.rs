//! `tokenizer.ggml.*` → the `tokenizer.model` that a checkpoint would have: a GGUF file keeps
//! SentencePiece's pieces, scores and types one by one. Of a byte-level tokenizer it keeps tokens
//! and merges, and the name of the steps before them: they become a `tokenizer.json`.

use super::bytes;
use super::container::Container;
use super::keys::check_known;
use crate::error::Result;
use crate::text::{SentencePieces, sentencepiece_model};
use crate::untrusted::cut;

/// Keys that are read here.
const READ: [&str; 13] = [
    "add_bos_token",
    "add_eos_token",
    "add_space_prefix",
    "bos_token_id",
    "eos_token_id",
    "eot_token_id",
    "model",
    "pre",
    "precompiled_charsmap",
    "remove_extra_whitespaces",
    "scores",
    "token_type",
    "tokens",
];
/// Keys that no prompt and no answer depends on.
const IDLE: [&str; 19] = [
    "add_sep_token",
    "cls_token_id",
    "eom_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_pre_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
    "fim_suf_token_id",
    "mask_token_id",
    "merges",
    "middle_token_id",
    "padding_token_id",
    "prefix_token_id",
    "seperator_token_id",
    "separator_token_id",
    "suffix_token_id",
    "token_type_count",
    "unknown_token_id",
];
/// More tokens than any vocabulary has.
const MOST: usize = 1 << 20;

/// Refuses what no tokenizer of ours could say; whether its tokens are bytes.
fn check_kind(file: &Container) -> Result<bool> {
    let key = |rest: &str| format!("tokenizer.ggml.{rest}");
    let is_bytes = match file.text(&key("model"))? {
        Some("llama") => false,
        Some("gpt2") => true,
        Some(other) => {
            return Err(file.bad(format!(
                "tokenizer.ggml.model {:?} is not supported yet; llama, which is SentencePiece, and gpt2 are",
                cut(other, 60)
            )));
        }
        None => return Err(file.bad("it has no key tokenizer.ggml.model".into())),
    };
    let flag = |rest: &str, usual: bool| Ok(file.flag(&key(rest))?.unwrap_or(usual));
    for (rest, only) in [("add_bos_token", true), ("add_eos_token", false)] {
        // Templates of models with bytes write the token themselves.
        if is_bytes && rest == "add_bos_token" {
            continue;
        }
        if flag(rest, only)? != only {
            return Err(file.bad(format!("tokenizer.ggml.{rest} {} is not supported", !only)));
        }
    }
    if let Some(value) = file.keys.get(&key("precompiled_charsmap")) {
        return Err(file.bad(format!(
            "tokenizer.ggml.precompiled_charsmap {value} is not supported with this tokenizer"
        )));
    }
    Ok(is_bytes)
}

/// Small files by name.
pub(super) type Small = Vec<(&'static str, Vec<u8>)>;

/// The tokenizer's files, and the tokens that end an answer.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the key.
pub(super) fn tokenizer(file: &Container) -> Result<(Small, Vec<u64>)> {
    check_known(file, "tokenizer.ggml.", [&READ, &IDLE])?;
    let key = |rest: &str| format!("tokenizer.ggml.{rest}");
    let is_bytes = check_kind(file)?;
    let flag = |rest: &str, usual: bool| Ok(file.flag(&key(rest))?.unwrap_or(usual));
    let Some(tokens) = file.texts(&key("tokens"))?.filter(|tokens| !tokens.is_empty()) else {
        return Err(file.bad("it has no key tokenizer.ggml.tokens: it has no tokenizer".into()));
    };
    if tokens.len() > MOST {
        return Err(file.bad(format!("it has {} tokens; {MOST} is the most", tokens.len())));
    }
    if is_bytes {
        return bytes::tokenizer(file, tokens);
    }
    let (scores, kinds) = (file.floats(&key("scores"))?, file.wholes(&key("token_type"))?);
    let fits = |what: &str, n: Option<usize>| match n {
        Some(n) if n == tokens.len() => Ok(()),
        Some(n) => Err(file.bad(format!(
            "tokenizer.ggml.{what} has {n} entries, tokenizer.ggml.tokens {}",
            tokens.len()
        ))),
        None => Err(file.bad(format!("it has no key tokenizer.ggml.{what}"))),
    };
    fits("scores", scores.map(<[f32]>::len))?;
    fits("token_type", kinds.map(<[i64]>::len))?;
    if let Some(kind) = kinds.iter().copied().flatten().find(|kind| !(1..=6).contains(*kind)) {
        return Err(file.bad(format!("a token is of type {kind}, which GGUF does not know")));
    }
    let id = |rest: &str, usual: Option<u64>| match file.whole(&key(rest))?.or(usual) {
        Some(id) if id >= tokens.len() as u64 => Err(file.bad(format!(
            "tokenizer.ggml.{rest} is {id}, which none of its {} tokens has",
            tokens.len()
        ))),
        id => Ok(id),
    };
    let (bos, eos) = (id("bos_token_id", Some(1))?, id("eos_token_id", Some(2))?);
    let ends = [eos, id("eot_token_id", None)?].into_iter().flatten().collect();
    let model = sentencepiece_model(&SentencePieces {
        texts: tokens,
        scores: scores.unwrap_or_default(),
        kinds: kinds.unwrap_or_default(),
        bos: bos.unwrap_or(1) as i32,
        eos: eos.unwrap_or(2) as i32,
        dummy_prefix: flag("add_space_prefix", true)?,
        collapse: flag("remove_extra_whitespaces", false)?,
    });
    Ok((vec![("tokenizer.model", model)], ends))
}
