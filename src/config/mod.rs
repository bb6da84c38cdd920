//! The numbers of a model, read from its configuration and its tensors' shapes; nothing below
//! hard-codes one.

mod offer;
pub(crate) mod pictures;
pub(crate) mod published;
pub mod shapes;
pub(crate) mod silent;

use crate::defaults;
use crate::error::{Error, Result};
use crate::image::tiles::Tiling;
use crate::image::{Aspect, Filter, ImageSpec};
use crate::kernels::attention::cache::HeadShape;
use pictures::are_usable;

/// Everything that shapes the network and its input.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// The vision tower.
    pub vision: VisionConfig,
    /// What stands between tower and decoder.
    #[serde(flatten)]
    pub projector: Projector,
    /// The decoder.
    pub language: LanguageConfig,
    /// Whether pictures are padded to a square (else their middle is cut out).
    pub pad_to_square: bool,
    /// What else happens to pictures.
    #[serde(default, skip_serializing_if = "Preparing::is_plain")]
    pub preparing: Preparing,
    /// It reads documents: pictures are never given coarser than the model was trained with unless
    /// somebody asks for it, and answers are long.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reads_documents: bool,
    /// Normalisation: mean per channel.
    pub mean: [f64; 3],
    /// Normalisation: standard deviation per channel.
    pub std: [f64; 3],
    /// Tokens that end an answer.
    pub end_ids: Vec<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How pictures become squares, where it is more than padding or cutting.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Preparing {
    /// Both edges become the tower's side, each by its own factor; neither padded nor cut.
    pub stretch: bool,
    /// How samples between pixels are made.
    pub filter: Filter,
    /// The reference puts transparent pixels over white.
    pub over_white: bool,
    /// Whether one picture becomes several squares.
    pub tiling: Tiling,
}

impl Preparing {
    fn is_plain(&self) -> bool {
        *self == Preparing::default()
    }
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

/// What turns the tower's features into image tokens.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Projector {
    /// MQT's query transformer: any m from 1 to M.
    Resampler(ResamplerConfig),
    /// LLaVA's: each patch becomes a token.
    Mlp(MlpConfig),
}

/// LLaVA's projector: Linear layers with GELU between them, over every patch.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MlpConfig {
    /// Linear layers.
    pub linears: usize,
    /// Trained with pooled tokens too (M3), so that an automatic budget may choose them.
    pub elastic: bool,
}

/// MQT's query transformer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ResamplerConfig {
    /// M: the most image tokens there are.
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
        match &self.projector {
            Projector::Resampler(r) => r.m_max,
            Projector::Mlp(_) => self.vision.patches(),
        }
    }

    /// The longest context, in tokens.
    pub fn max_context(&self) -> usize {
        self.language.max_positions
    }

    /// An answer is cut after this many tokens, where nobody says otherwise.
    pub fn default_new_tokens(&self) -> usize {
        if self.reads_documents { defaults::DOCUMENT_TOKENS } else { defaults::MAX_NEW_TOKENS }
    }

    /// The context where nobody asks for another: [`defaults::CONTEXT`], or the longest one if that
    /// is less.
    pub fn default_context(&self) -> usize {
        defaults::CONTEXT.min(self.max_context())
    }

    /// Whether this token ends an answer.
    pub fn is_end(&self, id: u32) -> bool {
        self.end_ids.contains(&id)
    }

    /// How pictures become the tower's input.
    pub fn image_spec(&self) -> ImageSpec {
        let Preparing { stretch, filter, over_white, tiling } = self.preparing.clone();
        let aspect = match (stretch, self.pad_to_square) {
            (true, _) => Aspect::Stretch,
            (false, true) => Aspect::Pad,
            (false, false) => Aspect::CropCenter,
        };
        let (mean, std) = (self.mean, self.std);
        let size = self.vision.image_size;
        ImageSpec { size, aspect, filter, tiling, over_white, mean, std }
    }

    /// Checks that the numbers are plausible and fit together, wherever they come from; what
    /// follows relies on it.
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
        ];
        if let Some(n) = counts.into_iter().find(|n| !(1..=LARGEST as usize).contains(n)) {
            return bad(format!("{n} as a size of its network is not between 1 and {LARGEST}"));
        }
        if v.layers == 0 || l.layers == 0 || v.layers.max(l.layers) > MOST_LAYERS {
            return bad(format!(
                "{} and {} layers are not between 1 and {MOST_LAYERS}",
                v.layers, l.layers
            ));
        }
        if v.image_size > MOST_PIXELS {
            return bad(format!(
                "its pictures have {} pixels a side, more than the {MOST_PIXELS} of any tower",
                v.image_size
            ));
        }
        if !v.hidden.is_multiple_of(v.heads) || v.patch > v.image_size || v.patches() > MOST_PATCHES
        {
            let VisionConfig { hidden, heads, patch, image_size, .. } = v;
            return bad(format!(
                "width {hidden} in {heads} heads, patches of {patch} in {image_size} pixels: these do not fit together"
            ));
        }
        if !heads.is_multiple_of(kv_heads)
            || !head_dim.is_multiple_of(2)
            || head_dim > 1024
            || heads * head_dim > LARGEST as usize
            || l.inv_freq.len() != head_dim / 2
        {
            return bad(format!(
                "{heads} query heads over {kv_heads} key heads of width {head_dim}: these do not fit together"
            ));
        }
        self.check_projector().or_else(bad)?;
        self.preparing.tiling.check(v.image_size).or_else(bad)?;
        if !are_usable(&self.mean, &self.std) {
            return bad("image_mean or image_std of the pictures is not a usable number".into());
        }
        let positive = [f64::from(v.eps), f64::from(l.eps), self.std[0], self.std[1], self.std[2]];
        if positive.iter().any(|n| !(n.is_finite() && *n > 0.0))
            || self.mean.iter().chain(&l.inv_freq).any(|n| !n.is_finite())
        {
            return bad(
                "an epsilon, a frequency or the pictures' normalisation is not a usable number"
                    .into(),
            );
        }
        Ok(())
    }

    /// The projector's part of [`Config::check`]; the error is the problem in words.
    fn check_projector(&self) -> Result<(), String> {
        let v = &self.vision;
        match &self.projector {
            // The position table of the queries is a square grid.
            Projector::Resampler(ResamplerConfig { m_max, .. })
                if *m_max == 0 || *m_max > MOST_PATCHES || m_max.isqrt().pow(2) != *m_max =>
            {
                Err(format!(
                    "it has {m_max} queries; their number must be a square up to {MOST_PATCHES}"
                ))
            }
            Projector::Resampler(ResamplerConfig { heads, .. })
                if *heads == 0 || !v.hidden.is_multiple_of(*heads) =>
            {
                Err(format!(
                    "{heads} heads do not divide the resampler's width {} (query_abstractor_num_heads)",
                    v.hidden
                ))
            }
            Projector::Mlp(MlpConfig { linears, .. }) if !(1..=MOST_LINEARS).contains(linears) => {
                Err(format!("its projector has {linears} linear layers, not 1 to {MOST_LINEARS}"))
            }
            _ => Ok(()),
        }
    }
}

/// The largest plausible number in a configuration: keeps hostile files from asking for absurd
/// memory.
pub(super) const LARGEST: u64 = 1 << 20;
/// The most patches of a picture and the most image tokens: WebGPU runs at most 65 535 workgroups
/// along a dimension.
const MOST_PATCHES: usize = 1 << 14;
/// The most pixels along a side of a tower's picture: one of them as floats takes 200 MB.
const MOST_PIXELS: usize = 4096;

/// The most linear layers of a projector.
const MOST_LINEARS: usize = 16;
/// The most layers of a tower or decoder.
const MOST_LAYERS: usize = 1024;
