//! The numbers of a model, read from its configuration and its tensors' shapes; nothing below
//! hard-codes one.

mod check;
pub(crate) mod families;
pub(crate) mod fields;
mod offer;
pub(crate) mod pictures;
pub(crate) mod processors;
mod projector;
pub(crate) mod published;
pub(crate) mod shapes;
pub(crate) mod silent;
mod squares;
mod vision;

pub use projector::{Ldp2Config, MlpConfig, Projector, ResamplerConfig, ShuffleConfig};
pub use vision::{Activation, VisionConfig};

use crate::defaults;
use crate::image::tiles::Tiling;
use crate::image::{Aspect, Filter, ImageSpec};
pub use crate::kernels::attention::cache::HeadShape;

/// Everything that shapes the network and its input.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
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
#[non_exhaustive]
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

/// A LLaMA-style decoder.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
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

impl Config {
    /// M: the most image tokens.
    pub fn m_max(&self) -> usize {
        self.square_tokens()
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
}

/// The largest plausible number in a configuration: keeps hostile files from asking for absurd
/// memory.
pub(super) const LARGEST: u64 = 1 << 20;
