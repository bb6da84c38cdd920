//! Published JSON files → the numbers of a [`Config`](super::Config): checked one by one, with the file named where one is wrong.

use super::config::{LARGEST, LanguageConfig, MlpConfig, ResamplerConfig, VisionConfig};
use crate::error::{Error, Result};
use crate::image::ImageSpec;
use crate::kernels::heads::HeadShape;
use serde_json::Value;

/// One JSON object and the file it came from, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) file: &'a str,
    pub(crate) value: &'a Value,
}

impl<'a> Fields<'a> {
    pub(crate) fn bad(&self, problem: String) -> Error {
        Error::ModelCorrupt { file: self.file.to_owned(), problem }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    pub(crate) fn inner(&self, key: &str) -> Option<Fields<'a>> {
        self.get(key).filter(|v| v.is_object()).map(|value| Fields { file: self.file, value })
    }

    /// A positive whole number, or `None` if absent.
    fn count_or_none(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (1..=LARGEST).contains(&n) => Ok(Some(n as usize)),
            _ => Err(self.bad(format!("{key} is {value}, not a whole number from 1 to {LARGEST}"))),
        }
    }

    fn count(&self, key: &str) -> Result<usize> {
        self.count_or_none(key)?.ok_or_else(|| self.bad(format!("{key} is missing")))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_f64().filter(|v| v.is_finite() && *v > 0.0).ok_or_else(|| self.bad(format!("{key} is {value}, not a positive number")))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn triple(&self, key: &str) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list: Option<Vec<f64>> = value.as_array().and_then(|a| a.iter().map(Value::as_f64).collect());
        let triple = list.and_then(|l| <[f64; 3]>::try_from(l).ok()).filter(|t| t.iter().all(|v| v.is_finite()));
        triple.map(Some).ok_or_else(|| self.bad(format!("{key} is {value}, not three numbers")))
    }
}

/// Reads the tower's numbers: `vision` its (inner) configuration, `select` the checkpoint's `mm_vision_select_layer`.
pub(crate) fn vision(vision: Fields, select: i64) -> Result<VisionConfig> {
    let layers_all = vision.count("num_hidden_layers")?;
    // hidden_states has one entry more than there are layers: index 0 is the input of the first.
    let layers = if select < 0 { layers_all as i64 + 1 + select } else { select };
    if layers < 1 || layers > layers_all as i64 {
        return Err(vision.bad(format!("vision layer {select} of {layers_all} cannot be selected")));
    }
    let act = vision.text("hidden_act").unwrap_or("quick_gelu");
    let config = VisionConfig {
        image_size: vision.count("image_size")?,
        patch: vision.count("patch_size")?,
        hidden: vision.count("hidden_size")?,
        heads: vision.count("num_attention_heads")?,
        mlp: vision.count("intermediate_size")?,
        layers: layers as usize,
        eps: vision.number("layer_norm_eps", 1e-5)? as f32,
        exact_gelu: act == "gelu",
    };
    if !matches!(act, "quick_gelu" | "gelu") {
        return Err(vision.bad(format!("hidden_act {act:?} is not supported; quick_gelu and gelu are")));
    }
    Ok(config)
}

/// Reads the resampler's numbers: M = `queries`, from the tensor's shape.
pub(crate) fn resampler(config: Fields, queries: usize) -> Result<ResamplerConfig> {
    Ok(ResamplerConfig { m_max: queries, heads: config.count_or_none("query_abstractor_num_heads")?.unwrap_or(16) })
}

/// Reads the projector's numbers: `linears` from the tensors' names. M3 checkpoints name their scales in the configuration.
pub(crate) fn mlp(config: Fields, linears: usize) -> Result<MlpConfig> {
    if let Some(act) = config.text("projector_hidden_act").filter(|a| *a != "gelu") {
        return Err(config.bad(format!("projector_hidden_act {act:?} is not supported; gelu is")));
    }
    Ok(MlpConfig { linears, elastic: config.get("matryoshka_vis_token_scale").is_some() })
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
    /// There is an output head.
    pub(crate) head: bool,
    /// q, k and v have biases.
    pub(crate) qkv_bias: bool,
}

/// Reads the decoder's numbers. Vocabulary and ties follow the tensors; so do the sizes that transformers leaves out of a nested
/// `text_config` when they are its own defaults, of which `num_attention_heads` = 32 is the one no tensor shows.
pub(crate) fn language(config: Fields, seen: Seen) -> Result<LanguageConfig> {
    let hidden = config.count_or_none("hidden_size")?.unwrap_or(seen.embed[1]);
    let heads = config.count_or_none("num_attention_heads")?.unwrap_or(32);
    let kv_heads = config.count_or_none("num_key_value_heads")?.unwrap_or(heads);
    let head_dim = match config.count_or_none("head_dim")? {
        Some(n) => n,
        None if hidden % heads == 0 => hidden / heads,
        None => return Err(config.bad(format!("hidden_size {hidden} does not divide into {heads} heads, and head_dim is missing"))),
    };
    if let Some(act) = config.text("hidden_act").filter(|a| *a != "silu") {
        return Err(config.bad(format!("hidden_act {act:?} is not supported; silu is")));
    }
    let mut max_positions = config.count_or_none("max_position_embeddings")?.unwrap_or(2048);
    let windowed = config.get("use_sliding_window").and_then(Value::as_bool) != Some(false);
    if let Some(window) = config.count_or_none("sliding_window")?.filter(|_| windowed) {
        // Within the window a sliding mask and a plain one are the same.
        max_positions = max_positions.min(window);
    }
    let tied = config.flag("tie_word_embeddings") || !seen.head;
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
        tied,
    })
}

/// θ^(−2i / head_dim), changed as `rope_scaling` says. Upstream: transformers `modeling_rope_utils`.
fn inv_freq(config: Fields, head_dim: usize) -> Result<Vec<f64>> {
    // transformers 5 keeps both in one object.
    let newer = config.inner("rope_parameters");
    let theta = match newer {
        Some(newer) => newer.number("rope_theta", config.number("rope_theta", 10_000.0)?)?,
        None => config.number("rope_theta", 10_000.0)?,
    };
    let plain: Vec<f64> = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
    let Some(scaling) = newer.or(config.inner("rope_scaling")) else { return Ok(plain) };
    let factor = scaling.number("factor", 1.0)?;
    match scaling.text("rope_type").or_else(|| scaling.text("type")).unwrap_or("default") {
        // "dynamic" changes nothing up to max_position_embeddings, and no longer context is offered.
        "default" | "dynamic" => Ok(plain),
        "linear" => Ok(plain.iter().map(|f| f / factor).collect()),
        "llama3" => {
            let (low, high) = (scaling.number("low_freq_factor", 1.0)?, scaling.number("high_freq_factor", 4.0)?);
            let original = scaling.number("original_max_position_embeddings", 8192.0)?;
            let scale = |f: f64| {
                let smooth = ((original * f / std::f64::consts::TAU - low) / (high - low)).clamp(0.0, 1.0);
                f * (smooth + (1.0 - smooth) / factor)
            };
            Ok(plain.into_iter().map(scale).collect())
        }
        other => Err(config.bad(format!("rope_scaling {other:?} is not supported; linear, dynamic and llama3 are"))),
    }
}

/// Mean and standard deviation from a `preprocessor_config.json`; CLIP's where it is silent.
pub(crate) fn normalisation(preprocessor: Option<Fields>) -> Result<([f64; 3], [f64; 3])> {
    let clip = ImageSpec::clip(336);
    let Some(fields) = preprocessor else { return Ok((clip.mean, clip.std)) };
    let mean = fields.triple("image_mean")?.unwrap_or(clip.mean);
    let std = fields.triple("image_std")?.unwrap_or(clip.std);
    Ok((mean, std))
}

/// End tokens: `eos_token_id` as a number or a list, from any of the given files; else the tokenizer's.
pub(crate) fn end_ids(sources: &[Option<Fields>], tokenizer: u32) -> Vec<u32> {
    let mut ids = vec![tokenizer];
    for value in sources.iter().flatten().filter_map(|f| f.get("eos_token_id")) {
        let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        ids.extend(list.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()));
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The numbers of openai/clip-vit-large-patch14-336, which checkpoints name without shipping them.
pub(crate) const CLIP_L_336: &str = r#"{"num_hidden_layers":24,"image_size":336,"patch_size":14,"hidden_size":1024,
"num_attention_heads":16,"intermediate_size":4096,"layer_norm_eps":1e-5,"hidden_act":"quick_gelu"}"#;
