//! The numbers of a model, read from its configuration and its tensors' shapes; nothing below hard-codes one.

use crate::error::{Error, Result};
use crate::image::{Aspect, ImageSpec};
use crate::kernels::heads::HeadShape;
use serde_json::Value;

/// Everything that shapes the network and its input.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// The vision tower.
    pub vision: VisionConfig,
    /// The query transformer.
    pub resampler: ResamplerConfig,
    /// The decoder.
    pub language: LanguageConfig,
    /// Whether pictures are padded to a square (else their middle is cut out).
    pub pad_to_square: bool,
    /// Normalisation: mean per channel.
    pub mean: [f64; 3],
    /// Normalisation: standard deviation per channel.
    pub std: [f64; 3],
    /// Tokens that end an answer.
    pub end_ids: Vec<u32>,
}

/// A CLIP-style vision transformer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VisionConfig {
    /// Side of the square picture in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the MLP.
    pub mlp: usize,
    /// Layers that run: up to the selected one.
    pub layers: usize,
    /// LayerNorm's ε.
    pub eps: f32,
    /// Exact GELU instead of quick-GELU.
    pub exact_gelu: bool,
}

/// MQT's query transformer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ResamplerConfig {
    /// M: the most visual tokens there are.
    pub m_max: usize,
    /// Attention heads.
    pub heads: usize,
}

/// A LLaMA-style decoder.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LanguageConfig {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads, key/value heads, width of a head.
    #[serde(flatten, with = "HeadShapeDef")]
    pub shape: HeadShape,
    /// Width of the MLP.
    pub ffn: usize,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// RMSNorm's ε.
    pub eps: f32,
    /// Positions the model was made for.
    pub max_positions: usize,
    /// Rotation frequency of each pair of dimensions, [head_dim / 2].
    pub inv_freq: Vec<f64>,
    /// Biases on q, k and v (Qwen2).
    pub qkv_bias: bool,
    /// The head is the embedding table.
    pub tied: bool,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(remote = "HeadShape")]
struct HeadShapeDef {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl VisionConfig {
    /// Patches per side.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch
    }

    /// Patches per picture.
    pub fn patches(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Its heads, as the attention kernels see them.
    pub fn shape(&self) -> HeadShape {
        HeadShape { heads: self.heads, kv_heads: self.heads, head_dim: self.hidden / self.heads }
    }
}

impl Config {
    /// M: the most image tokens.
    pub fn m_max(&self) -> usize {
        self.resampler.m_max
    }

    /// The longest context, in tokens.
    pub fn max_context(&self) -> usize {
        self.language.max_positions
    }

    /// Whether this token ends an answer.
    pub fn is_end(&self, id: u32) -> bool {
        self.end_ids.contains(&id)
    }

    /// How pictures become the tower's input.
    pub fn image_spec(&self) -> ImageSpec {
        let aspect = if self.pad_to_square { Aspect::Pad } else { Aspect::CropCenter };
        ImageSpec { size: self.vision.image_size, aspect, mean: self.mean, std: self.std }
    }

    /// Checks that the numbers are plausible and fit together, wherever they come from; what follows relies on it.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`] about `file`.
    pub(crate) fn check(&self, file: &str) -> Result<()> {
        let bad = |problem: String| Err(Error::ModelCorrupt { file: file.to_owned(), problem });
        let (v, l) = (&self.vision, &self.language);
        let HeadShape { heads, kv_heads, head_dim } = l.shape;
        let counts = [
            v.image_size,
            v.patch,
            v.hidden,
            v.heads,
            v.mlp,
            l.hidden,
            heads,
            kv_heads,
            head_dim,
            l.ffn,
            l.vocab,
            l.max_positions,
            self.resampler.heads,
        ];
        if let Some(n) = counts.into_iter().find(|n| !(1..=LARGEST as usize).contains(n)) {
            return bad(format!("{n} as a size of its network is not between 1 and {LARGEST}"));
        }
        if v.layers == 0 || l.layers == 0 || v.layers.max(l.layers) > MOST_LAYERS {
            return bad(format!("{} and {} layers are not between 1 and {MOST_LAYERS}", v.layers, l.layers));
        }
        if !v.hidden.is_multiple_of(v.heads) || v.patch > v.image_size || v.patches() > MOST_PATCHES {
            let VisionConfig { hidden, heads, patch, image_size, .. } = v;
            return bad(format!("width {hidden} in {heads} heads, patches of {patch} in {image_size} pixels: these do not fit together"));
        }
        if !heads.is_multiple_of(kv_heads)
            || !head_dim.is_multiple_of(2)
            || head_dim > 1024
            || heads * head_dim > LARGEST as usize
            || l.inv_freq.len() != head_dim / 2
        {
            return bad(format!("{heads} query heads over {kv_heads} key heads of width {head_dim}: these do not fit together"));
        }
        // The position table of the queries is a square grid.
        let m_max = self.resampler.m_max;
        if m_max == 0 || m_max > MOST_PATCHES || m_max.isqrt().pow(2) != m_max {
            return bad(format!("it has {m_max} queries; their number must be a square up to {MOST_PATCHES}"));
        }
        if !v.hidden.is_multiple_of(self.resampler.heads) {
            let heads = self.resampler.heads;
            return bad(format!("{heads} heads do not divide the resampler's width {} (query_abstractor_num_heads)", v.hidden));
        }
        let positive = [f64::from(v.eps), f64::from(l.eps), self.std[0], self.std[1], self.std[2]];
        if positive.iter().any(|n| !(n.is_finite() && *n > 0.0)) || self.mean.iter().chain(&l.inv_freq).any(|n| !n.is_finite()) {
            return bad("an epsilon, a frequency or the pictures' normalisation is not a usable number".into());
        }
        Ok(())
    }

    /// Parameters of the network as it runs: layers that never influence an answer are not counted.
    pub fn parameters(&self) -> u64 {
        crate::weights::layout::layout(self).iter().map(|e| (e.rows * e.cols) as u64).sum()
    }
}

/// The largest plausible number in a configuration: keeps hostile files from asking for absurd memory.
const LARGEST: u64 = 1 << 20;
/// The most patches of a picture and the most visual tokens: WebGPU runs at most 65 535 workgroups along a dimension.
const MOST_PATCHES: usize = 1 << 14;

/// The most layers of a tower or decoder.
const MOST_LAYERS: usize = 1024;

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

/// Reads the decoder's numbers. Vocabulary and ties follow the tensors (`vocab`, `has_head`, `qkv_bias`).
pub(crate) fn language(config: Fields, vocab: usize, has_head: bool, qkv_bias: bool) -> Result<LanguageConfig> {
    let (hidden, heads) = (config.count("hidden_size")?, config.count("num_attention_heads")?);
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
    let tied = config.flag("tie_word_embeddings") || !has_head;
    Ok(LanguageConfig {
        hidden,
        layers: config.count("num_hidden_layers")?,
        shape: HeadShape { heads, kv_heads, head_dim },
        ffn: config.count("intermediate_size")?,
        vocab,
        eps: config.number("rms_norm_eps", 1e-6)? as f32,
        max_positions,
        inv_freq: inv_freq(config, head_dim)?,
        qkv_bias,
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
