//! Keys of a language model's file → the `config.json` that a checkpoint would have. A key that
//! would change an answer is honoured or refused by name; an unknown key of the architecture is
//! refused too.
//!
//! Upstream: llama.cpp's converters of LLaMA's and Qwen2's decoders, which write them.

use super::container::Container;
use super::keys::{LANGUAGE, LANGUAGE_IDLE, check_known};
use super::value::Value as Given;
use crate::error::Result;
use crate::untrusted::{cut, one_line, short};
use serde_json::{Map, Value, json};

/// The architecture of vision towers with a projector.
pub(super) const CLIP: &str = "clip";

/// An architecture of decoders that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// LLaMA's; in these files the rows of q and k lie with rotation partners as neighbours.
    Llama,
    /// Qwen2's: biases of q, k and v; the rows lie as published.
    Qwen2,
}

impl Decoder {
    /// The architecture of a file.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt) if it is another one.
    pub(super) fn of(file: &Container) -> Result<Decoder> {
        match file.text("general.architecture")? {
            Some("llama") => Ok(Decoder::Llama),
            Some("qwen2") => Ok(Decoder::Qwen2),
            Some(other) => Err(file.bad(format!(
                "architecture {} is not supported yet; llama and qwen2 are",
                one_line(short(other))
            ))),
            None => Err(file.bad("it has no key general.architecture".into())),
        }
    }

    /// What its keys begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Decoder::Llama => "llama.",
            Decoder::Qwen2 => "qwen2.",
        }
    }
}

/// Refuses a file that is not a whole model of its own.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt).
pub(super) fn check_general(file: &Container) -> Result<()> {
    if let Some(count) = file.whole("split.count")?.filter(|count| *count > 1) {
        return Err(file.bad(format!(
            "it is one of {count} parts of a split file; join them with llama.cpp's llama-gguf-split first"
        )));
    }
    if let Some(kind) = file.text("general.type")?.filter(|k| !["model", "mmproj"].contains(k)) {
        return Err(file
            .bad(format!("general.type is {:?}; a model and an mmproj are read", cut(kind, 60))));
    }
    match file.whole("general.quantization_version")? {
        None | Some(0 | 2) => Ok(()),
        Some(other) => Err(file.bad(format!(
            "general.quantization_version is {other}; 2, that of all published files, is read"
        ))),
    }
}

/// Keys of one part, by their rest.
pub(super) struct Part<'a> {
    pub(super) file: &'a Container,
    pub(super) before: &'a str,
}

impl Part<'_> {
    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.before)
    }

    pub(super) fn whole(&self, rest: &str) -> Result<Option<u64>> {
        self.file.whole(&self.key(rest))
    }

    pub(super) fn number(&self, rest: &str) -> Result<Option<f64>> {
        self.file.number(&self.key(rest))
    }

    /// # Errors
    /// If the key is absent.
    fn required<T>(&self, rest: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.file.bad(format!("it has no key {}", self.key(rest))))
    }

    pub(super) fn count(&self, rest: &str) -> Result<u64> {
        self.required(rest, self.whole(rest)?)
    }

    /// Refuses a value other than what its absence means.
    pub(super) fn refuse(
        &self,
        rest: &str,
        idle: impl Fn(&Given) -> bool,
        hint: &str,
    ) -> Result<()> {
        let key = self.key(rest);
        match self.file.keys.get(&key).filter(|value| !idle(value)) {
            Some(value) => Err(self.file.bad(format!("{key} {value} is not supported{hint}"))),
            None => Ok(()),
        }
    }
}

fn is_zero(value: &Given) -> bool {
    matches!(value, Given::Unsigned(0) | Given::Signed(0))
}

pub(super) fn is_false(value: &Given) -> bool {
    *value == Given::Bool(false)
}

/// The decoder's part of `config.json`, and the width of its heads.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the key.
pub(super) fn language(file: &Container) -> Result<(Map<String, Value>, usize)> {
    let mut config = Map::new();
    let decoder = Decoder::of(file)?;
    let part = Part { file, before: decoder.prefix() };
    check_known(file, part.before, [&LANGUAGE, &LANGUAGE_IDLE])?;
    part.refuse("expert_count", is_zero, ": mixtures of experts are not run")?;
    part.refuse("expert_used_count", is_zero, ": mixtures of experts are not run")?;
    part.refuse("use_parallel_residual", is_false, "")?;
    part.refuse(
        "tensor_data_layout",
        |value| *value == Given::Text("Meta AI original pth".into()),
        "",
    )?;
    let (hidden, heads) = (part.count("embedding_length")?, part.count("attention.head_count")?);
    let head_dim = head_dim(&part, hidden, heads)?;
    let kv_heads = part.whole("attention.head_count_kv")?.unwrap_or(heads);
    config.extend([
        ("hidden_size".into(), json!(hidden)),
        ("num_attention_heads".into(), json!(heads)),
        ("num_key_value_heads".into(), json!(kv_heads)),
        ("head_dim".into(), json!(head_dim)),
        ("num_hidden_layers".into(), json!(part.count("block_count")?)),
        ("intermediate_size".into(), json!(part.count("feed_forward_length")?)),
        ("max_position_embeddings".into(), json!(part.count("context_length")?)),
    ]);
    let eps = "attention.layer_norm_rms_epsilon";
    config.insert("rms_norm_eps".into(), json!(part.required(eps, part.number(eps)?)?));
    let theta = part.number("rope.freq_base")?.filter(|theta| *theta != 0.0);
    config.insert("rope_theta".into(), json!(theta.unwrap_or(10_000.0)));
    if let Some(window) = part.whole("attention.sliding_window")?.filter(|window| *window > 0) {
        config.insert("sliding_window".into(), json!(window));
    }
    if let Some((vocab, rows)) = part.whole("vocab_size")?.zip(rows(file))
        && vocab != rows
    {
        return Err(file.bad(format!(
            "{} is {vocab}, but token_embd.weight has {rows} rows",
            part.key("vocab_size")
        )));
    }
    let tied = !file.tensors.contains_key("output.weight");
    config.insert("tie_word_embeddings".into(), json!(tied));
    rope_scaling(&part, &mut config)?;
    let head_dim = usize::try_from(head_dim).ok();
    let head_dim = head_dim.ok_or_else(|| file.bad("its heads are too wide".into()))?;
    // Qwen2's decoder is told from LLaMA's by its own name in a whole model's configuration.
    let config = match decoder {
        Decoder::Llama => config,
        Decoder::Qwen2 => {
            config.insert("model_type".into(), json!("qwen2"));
            Map::from_iter([("text_config".into(), config.into())])
        }
    };
    Ok((config, head_dim))
}

/// The width of a head, which the whole of it must be rotated in.
fn head_dim(part: &Part, hidden: u64, heads: u64) -> Result<u64> {
    let file = part.file;
    let head_dim = match part.whole("attention.key_length")? {
        Some(n) => n,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(file.bad(format!(
                "{} {hidden} does not divide into {heads} heads",
                part.key("embedding_length")
            )));
        }
    };
    for rest in ["attention.value_length", "rope.dimension_count"] {
        if let Some(n) = part.whole(rest)?.filter(|n| *n != head_dim) {
            return Err(file.bad(format!(
                "{} is {n}, a head's width {head_dim}: only the same is supported",
                part.key(rest)
            )));
        }
    }
    Ok(head_dim)
}

fn rows(file: &Container) -> Option<u64> {
    file.tensors.get("token_embd.weight").map(|info| info.shape[0] as u64)
}

/// How the rotation is stretched. A factor without a type is linear, as llama.cpp takes it.
fn rope_scaling(part: &Part, config: &mut Map<String, Value>) -> Result<()> {
    let factor = match part.number("rope.scaling.factor")? {
        None | Some(0.0) => part.number("rope.scale_linear")?,
        factor => factor,
    };
    let key = part.key("rope.scaling.type");
    let kind = part.file.text(&key)?;
    match (kind.unwrap_or("linear"), factor) {
        ("none", _) | ("linear", None) => {}
        ("linear", Some(factor)) => {
            config.insert("rope_scaling".into(), json!({"type": "linear", "factor": factor}));
        }
        (other, _) => {
            return Err(part
                .file
                .bad(format!("{key} {:?} is not supported; none and linear are", cut(other, 60))));
        }
    }
    // Without that type it has nothing to act on.
    let one = |value: &Given| matches!(value, Given::Float(1.0));
    part.refuse("rope.scaling.attn_factor", one, "; 1 is")
}
