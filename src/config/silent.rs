//! Fields of published configurations that are not used here: one of a wrong type, or one that
//! contradicts the tensors, is refused by name and never ignored.

use super::families::Tower;
use super::fields::Fields;
use super::pictures::short;
use super::published::Seen;
use crate::error::Result;
use crate::untrusted::cut;
use serde_json::Value;

/// What a field may hold.
#[derive(Clone, Copy)]
enum Kind {
    Flag,
    Whole,
    Number,
    Text,
    Texts,
    Object,
}

impl Kind {
    fn holds(self, value: &Value) -> bool {
        match self {
            Kind::Flag => value.is_boolean(),
            // Files have -1 where there is no token.
            Kind::Whole => value.is_i64() || value.is_u64(),
            Kind::Number => value.is_number(),
            Kind::Text => value.is_string(),
            Kind::Texts => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
            Kind::Object => value.is_object(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Flag => "true or false",
            Kind::Whole => "a whole number",
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Texts => "a list of texts",
            Kind::Object => "an object",
        }
    }
}

/// Fields of `config.json`, its `text_config`, its `vision_config` and a tower's own file.
const KINDS: [(Kind, &[&str]); 6] = [
    (
        Kind::Flag,
        &[
            "attention_bias",
            "freeze_mm_mlp_adapter",
            "mlp_bias",
            "mm_use_im_patch_token",
            "mm_use_im_start_end",
            "output_attentions",
            "output_hidden_states",
            "tie_word_embeddings",
            "tune_mm_mlp_adapter",
            "tune_mm_query_abstractor",
            "unfreeze_mm_vision_tower",
            "use_cache",
            "use_mm_proj",
            "use_sliding_window",
        ],
    ),
    (
        Kind::Whole,
        &[
            "image_seq_length",
            "image_token_index",
            "max_window_layers",
            "pad_token_id",
            "pretraining_tp",
            "projection_dim",
            "tokenizer_model_max_length",
            "vocab_size",
        ],
    ),
    (
        Kind::Number,
        &[
            "attention_dropout",
            "dropout",
            "initializer_factor",
            "initializer_range",
            "mm_projector_lr",
        ],
    ),
    (
        Kind::Text,
        &[
            "mm_projector_type",
            "mm_vision_tower",
            "model_type",
            "tokenizer_padding_side",
            "torch_dtype",
            "transformers_version",
            "vision_tower_type",
        ],
    ),
    (Kind::Texts, &["architectures"]),
    (Kind::Object, &["text_config", "vision_config"]),
];

/// Refuses fields of a wrong type.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the field.
pub(crate) fn check_kinds(fields: Fields) -> Result<()> {
    let named = KINDS.iter().flat_map(|(kind, keys)| keys.iter().map(move |key| (kind, key)));
    for (kind, key) in named {
        if let Some(value) = fields.get(key).filter(|value| !kind.holds(value)) {
            return Err(fields.bad(format!("{key} is {}, not {}", short(value), kind.name())));
        }
    }
    Ok(())
}

/// Refuses a decoder's configuration that says something else than its tensors.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the field.
pub(crate) fn check_decoder(fields: Fields, seen: Seen) -> Result<()> {
    let differs = |key: &str, value: &Value, there: String| {
        Err(fields.bad(format!("{key} is {}, but {there}", short(value))))
    };
    let rows = seen.embed[0];
    if let Some(value) = fields.get("vocab_size").filter(|v| v.as_u64() != Some(rows as u64)) {
        return differs("vocab_size", value, format!("the embedding table has {rows} rows"));
    }
    // Qwen2 has biases, whatever its file says.
    let is_qwen = fields.text("model_type")?.is_some_and(|kind| kind.contains("qwen"));
    match fields.get("attention_bias") {
        Some(value @ Value::Bool(true)) if !seen.qkv_bias => {
            differs("attention_bias", value, "the tensors have no biases".into())
        }
        Some(value @ Value::Bool(false)) if seen.qkv_bias && !is_qwen => {
            differs("attention_bias", value, "the tensors have biases".into())
        }
        _ if fields.flag("mlp_bias")? => Err(fields.bad("mlp_bias true is not supported".into())),
        _ => Ok(()),
    }
}

/// Refuses towers of another kind than `kind`, by what their configuration says: `tower` is the
/// whole file or the `vision_config` inside it.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the field.
pub(crate) fn check_tower(tower: Fields, kind: &Tower) -> Result<()> {
    check_kinds(tower)?;
    let classes = tower.get("architectures").and_then(Value::as_array).into_iter().flatten();
    let other = |name: &&str| !name.starts_with(kind.class);
    if let Some(other) = classes.filter_map(Value::as_str).find(other) {
        return Err(tower.bad(format!(
            "architectures {:?} is not supported; {}'s towers are",
            cut(other, 60),
            kind.name
        )));
    }
    Ok(())
}

/// Refuses a scaling that is given twice, that names no type, or that lacks a number of its type.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the field.
pub(crate) fn check_scaling(config: Fields) -> Result<()> {
    let (newer, older) = (config.inner("rope_parameters")?, config.inner("rope_scaling")?);
    if newer.is_some() && older.is_some() {
        return Err(config.bad(
            "it has both rope_parameters and rope_scaling; it is not clear which one counts".into(),
        ));
    }
    let Some(scaling) = newer.or(older) else { return Ok(()) };
    let name = if newer.is_some() { "rope_parameters" } else { "rope_scaling" };
    let text = |key: &str| match scaling.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(config.bad(format!("{name}: {key} is {}, not a text", short(other)))),
    };
    let kind = match (text("rope_type")?, text("type")?) {
        (Some(one), Some(other)) if one != other => {
            return Err(config.bad(format!(
                "{name} names two types, {:?} and {:?}",
                cut(one, 60),
                cut(other, 60)
            )));
        }
        (one, other) => one.or(other),
    };
    let needed: &[&str] = match kind {
        None if scaling.value.as_object().is_some_and(|all| {
            all.iter().any(|(key, value)| key != "rope_theta" && !value.is_null())
        }) =>
        {
            return Err(config.bad(format!("{name} {} names no type", short(scaling.value))));
        }
        Some("linear" | "dynamic") => &["factor"],
        Some("llama3") => {
            &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"]
        }
        _ => &[],
    };
    match needed.iter().find(|key| scaling.get(key).is_none()) {
        Some(key) => Err(config
            .bad(format!("{name} of type {:?} has no {key}", cut(kind.unwrap_or_default(), 60)))),
        None => Ok(()),
    }
}
