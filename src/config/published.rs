//! Published JSON files → the numbers of a [`Config`](super::Config): checked one by one, with the
//! file named where one is wrong.

use super::families::{Family, Tower, activation};
use super::fields::Fields;
use super::pictures::short;
use super::{LanguageConfig, Ldp2Config, MlpConfig, ResamplerConfig, ShuffleConfig, VisionConfig};
use crate::error::Result;
use crate::kernels::attention::cache::HeadShape;
use crate::untrusted::cut;
use serde_json::Value;

/// Reads the tower's numbers: `vision` its (inner) configuration, `select` the layer that is read,
/// `there` how many layers have tensors.
pub(crate) fn vision(
    vision: Fields,
    (family, tower): (&Family, &Tower),
    select: i64,
    there: usize,
) -> Result<VisionConfig> {
    let count = |key: &str, default: Option<usize>| match (vision.count_or_none(key)?, default) {
        (Some(n), _) | (None, Some(n)) => Ok(n),
        (None, None) => vision.count(key),
    };
    let layers_all = count("num_hidden_layers", tower.layers)?;
    // hidden_states has one entry more than there are layers: index 0 is the input of the first.
    let layers = if select < 0 { layers_all as i64 + 1 + select } else { select };
    if layers < 1 || layers > layers_all as i64 {
        return Err(vision.bad(format!("vision layer {select} of {layers_all} cannot be selected")));
    }
    // Else another layer than the trained one would be read. Where even those that run are missing,
    // their tensors are named.
    if layers_all > there && layers <= there as i64 {
        return Err(vision.bad(format!(
            "num_hidden_layers is {layers_all}, but the tower has tensors of {there} layers"
        )));
    }
    if vision.count_or_none("num_channels")?.is_some_and(|n| n != 3) {
        return Err(vision.bad("num_channels is not 3".into()));
    }
    vision.only("hidden_act", &["quick_gelu", "gelu", "gelu_pytorch_tanh"])?;
    let act = vision.text("hidden_act")?.unwrap_or(tower.act);
    Ok(VisionConfig {
        image_size: vision.count("image_size")?,
        patch: vision.count("patch_size")?,
        hidden: vision.count("hidden_size")?,
        heads: count("num_attention_heads", family.heads.or(tower.heads))?,
        mlp: count("intermediate_size", tower.mlp)?,
        layers: layers as usize,
        eps: vision.number("layer_norm_eps", tower.eps)? as f32,
        act: activation(act).expect("one of those above"),
        class_token: tower.class_token,
        pre_norm: tower.pre_norm,
        patch_bias: tower.patch_bias,
        post_norm: family.post_norm,
    })
}

/// Reads the resampler's numbers: M = `queries`, from the tensor's shape.
pub(crate) fn resampler(config: Fields, queries: usize) -> Result<ResamplerConfig> {
    Ok(ResamplerConfig {
        m_max: queries,
        heads: config.count_or_none("query_abstractor_num_heads")?.unwrap_or(16),
    })
}

/// Reads the projector's numbers: `linears` from the tensors' names. M3 checkpoints name their
/// scales in the configuration.
pub(crate) fn mlp(config: Fields, linears: usize, newline: bool) -> Result<MlpConfig> {
    config.only("projector_hidden_act", &["gelu"])?;
    if let Some(kind) = config.text("mm_projector_type")? {
        let named = match kind {
            "linear" => Some(1),
            _ => kind
                .strip_prefix("mlp")
                .and_then(|rest| rest.strip_suffix("x_gelu"))
                .and_then(|n| n.parse().ok()),
        };
        if named != Some(linears) {
            return Err(config.bad(format!("mm_projector_type {:?} does not fit a projector of {linears} linear layers with GELU", cut(kind, 60))));
        }
    }
    let key = "multimodal_projector_bias";
    let bias = config.get(key).is_none() || config.flag(key)?;
    let elastic = config.get("matryoshka_vis_token_scale").is_some();
    Ok(MlpConfig { linears, elastic, bias, newline })
}

/// Reads the numbers of Idefics3's projector.
pub(crate) fn shuffle(config: Fields) -> Result<ShuffleConfig> {
    Ok(ShuffleConfig { scale: config.count_or_none("scale_factor")?.unwrap_or(2) })
}

/// Reads the numbers of MobileVLM V2's projector, whose tokens are always 12 × 12.
pub(crate) fn ldp2(config: Fields) -> Result<Ldp2Config> {
    config.only("mm_projector_type", &["ldpnetv2"])?;
    config.only("vision_tower_type", &["clip"])?;
    Ok(Ldp2Config { side: 12 })
}

/// What the decoder's tensors say of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Rows and columns of the embedding table.
    pub(crate) embed: [usize; 2],
    /// Rows of the first layer's gate.
    pub(crate) ffn: usize,
    /// Layers.
    pub(crate) layers: usize,
    /// The embedding table is the head: there is no other, or the configuration says so.
    pub(crate) tied: bool,
    /// q, k and v have biases.
    pub(crate) qkv_bias: bool,
}

/// Reads the decoder's numbers. Vocabulary and ties follow the tensors; so do the sizes that
/// transformers leaves out of a nested `text_config` when they are its own defaults, of which
/// `num_attention_heads` = 32 is the one no tensor shows.
pub(crate) fn language(config: Fields, seen: Seen) -> Result<LanguageConfig> {
    let hidden = config.count_or_none("hidden_size")?.unwrap_or(seen.embed[1]);
    let heads = config.count_or_none("num_attention_heads")?.unwrap_or(32);
    let kv_heads = config.count_or_none("num_key_value_heads")?.unwrap_or(heads);
    let head_dim =
        match config.count_or_none("head_dim")? {
            Some(n) => n,
            None if hidden % heads == 0 => hidden / heads,
            None => return Err(config.bad(format!(
                "hidden_size {hidden} does not divide into {heads} heads, and head_dim is missing"
            ))),
        };
    config.only("hidden_act", &["silu"])?;
    let mut max_positions = config.count_or_none("max_position_embeddings")?.unwrap_or(2048);
    if config.flag("use_sliding_window")? {
        return Err(config.bad("use_sliding_window true is not supported".into()));
    }
    // Where it is switched off, some files hold the text "None".
    let windowed = config.get("use_sliding_window").is_none();
    if let Some(window) = if windowed { config.count_or_none("sliding_window")? } else { None } {
        // Within the window a sliding mask and a plain one are the same.
        max_positions = max_positions.min(window);
    }
    Ok(LanguageConfig {
        hidden,
        layers: config.count_or_none("num_hidden_layers")?.unwrap_or(seen.layers),
        shape: HeadShape { heads, kv_heads, head_dim },
        ffn: config.count_or_none("intermediate_size")?.unwrap_or(seen.ffn),
        vocab: seen.embed[0],
        eps: config.number("rms_norm_eps", 1e-6)? as f32,
        max_positions,
        inv_freq: inv_freq(config, head_dim)?,
        qkv_bias: seen.qkv_bias,
        tied: seen.tied,
    })
}

/// θ^(−2i / head_dim), changed as `rope_scaling` says. Upstream: transformers
/// `modeling_rope_utils`.
fn inv_freq(config: Fields, head_dim: usize) -> Result<Vec<f64>> {
    // transformers 5 keeps both in one object.
    let newer = config.inner("rope_parameters")?;
    super::silent::check_scaling(config)?;
    let theta = match newer {
        Some(newer) => newer.number("rope_theta", config.number("rope_theta", 10_000.0)?)?,
        None => config.number("rope_theta", 10_000.0)?,
    };
    let plain: Vec<f64> =
        (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
    let older = config.inner("rope_scaling")?;
    let Some(scaling) = newer.or(older) else { return Ok(plain) };
    if newer.is_some_and(|newer| {
        newer.get("partial_rotary_factor").is_some_and(|factor| factor.as_f64() != Some(1.0))
    }) {
        return Err(config.bad("partial_rotary_factor is not supported".into()));
    }
    let factor = scaling.number("factor", 1.0)?;
    match scaling.text("rope_type")?.or(scaling.text("type")?).unwrap_or("default") {
        // "dynamic" changes nothing up to max_position_embeddings, and no longer context is
        // offered.
        "default" | "dynamic" => Ok(plain),
        "linear" => Ok(plain.iter().map(|f| f / factor).collect()),
        "llama3" => {
            let (low, high) =
                (scaling.number("low_freq_factor", 1.0)?, scaling.number("high_freq_factor", 4.0)?);
            let original = scaling.number("original_max_position_embeddings", 8192.0)?;
            let scale = |f: f64| {
                let smooth =
                    ((original * f / std::f64::consts::TAU - low) / (high - low)).clamp(0.0, 1.0);
                f * (smooth + (1.0 - smooth) / factor)
            };
            if high <= low {
                return Err(config.bad(format!(
                    "rope_scaling: high_freq_factor {high} is not above low_freq_factor {low}"
                )));
            }
            Ok(plain.into_iter().map(scale).collect())
        }
        other => Err(config.bad(format!(
            "rope_scaling {:?} is not supported; linear, dynamic and llama3 are",
            cut(other, 60)
        ))),
    }
}

/// End tokens: `eos_token_id` as a number or a list, from the first of the given files that has
/// one; else the tokenizer's.
pub(crate) fn end_ids(sources: &[Option<Fields>], tokenizer: u32) -> Result<Vec<u32>> {
    let mut found = None;
    for fields in sources.iter().flatten() {
        let Some(value) = fields.get("eos_token_id") else { continue };
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let numbers: Option<Vec<u32>> =
            list.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect();
        let numbers = numbers.ok_or_else(|| {
            fields.bad(format!(
                "eos_token_id is {}, not a token's id or a list of them",
                short(value)
            ))
        })?;
        found = found.or(Some(numbers).filter(|ids| !ids.is_empty()));
    }
    let mut ids = found.unwrap_or_else(|| vec![tokenizer]);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Names of decoders whose tensors are called as LLaMA's and which compute something else.
const OTHER_DECODERS: [&str; 10] = [
    "gemma", "granite", "cohere", "minicpm", "smollm3", "helium", "nemotron", "glm", "olmo",
    "exaone",
];
/// Factors that are 1 in LLaMA.
const FACTORS: [&str; 6] = [
    "embedding_multiplier",
    "residual_multiplier",
    "logits_scaling",
    "logit_scale",
    "scale_emb",
    "partial_rotary_factor",
];
/// What LLaMA does not do.
const ABSENT: [&str; 14] = [
    "attention_multiplier",
    "query_pre_attn_scalar",
    "final_logit_softcapping",
    "attn_logit_softcapping",
    "clip_qkv",
    "use_qk_norm",
    "qk_layer_norms",
    "rope_interleaved",
    "no_rope_layers",
    "scale_depth",
    "use_resampler",
    "mm_resampler_type",
    "s2",
    "mm_use_im_start_end",
];

/// Refuses what would change an answer and leaves no trace in the tensors' names and shapes; of a
/// whole `config.json` or its `text_config`.
///
/// # Errors
/// [`crate::Error::ModelCorrupt`], naming the field.
pub(crate) fn refuse_unsupported(fields: Fields) -> Result<()> {
    if let Some(kind) = fields
        .text("model_type")?
        .filter(|kind| OTHER_DECODERS.iter().any(|other| kind.contains(other)))
    {
        return Err(fields.bad(format!(
            "model_type {:?} is not supported; decoders like LLaMA's, Mistral's and Qwen2's are",
            cut(kind, 60)
        )));
    }
    let one = |value: &Value| value.as_f64() == Some(1.0);
    let none = |value: &Value| {
        matches!(value, Value::Bool(false)) || value.as_array().is_some_and(Vec::is_empty)
    };
    let factors = FACTORS.iter().map(|key| (key, fields.get(key).filter(|value| !one(value))));
    let absent = ABSENT.iter().map(|key| (key, fields.get(key).filter(|value| !none(value))));
    for (key, value) in factors.chain(absent) {
        if let Some(value) = value {
            return Err(fields.bad(format!("{key} {} is not supported", short(value))));
        }
    }
    Ok(())
}

/// The numbers of openai/clip-vit-large-patch14-336, which checkpoints name without shipping them.
pub(crate) const CLIP_L_336: &str = r#"{"num_hidden_layers":24,"image_size":336,"patch_size":14,"hidden_size":1024,
"num_attention_heads":16,"intermediate_size":4096,"layer_norm_eps":1e-5,"hidden_act":"quick_gelu"}"#;
