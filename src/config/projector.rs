//! What turns the tower's features into image tokens: one variant per kind of projector.

/// What turns the tower's features into image tokens.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Projector {
    /// MQT's query transformer: any m from 1 to M.
    Resampler(ResamplerConfig),
    /// LLaVA's: each patch becomes a token.
    Mlp(MlpConfig),
    /// Idefics3's and SmolVLM's: the patches of a small square become a token.
    Shuffle(ShuffleConfig),
    /// MobileVLM V2's: each 2 × 2 patches become a token, which then sees its neighbours.
    Ldp2(Ldp2Config),
}

/// LLaVA's projector: Linear layers with GELU between them, over every patch.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct MlpConfig {
    /// Linear layers.
    pub linears: usize,
    /// Trained with pooled tokens too (M3), so that an automatic budget may choose them.
    pub elastic: bool,
    /// The layers have biases.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub bias: bool,
    /// A learned token ends each row of a tiled picture (LLaVA-OneVision).
    #[serde(default, skip_serializing_if = "is_no")]
    pub newline: bool,
}

/// Idefics3's projector: one Linear without bias over the features of scale × scale patches.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ShuffleConfig {
    /// Side of the square of patches that becomes a token; it divides the tower's grid.
    pub scale: usize,
}

/// MobileVLM V2's projector: two Linears with GELU between them, means over squares of patches, and
/// a depthwise convolution that is added.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Ldp2Config {
    /// Tokens per side, 12; it divides the tower's grid.
    pub side: usize,
}

/// MQT's query transformer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ResamplerConfig {
    /// M: the most image tokens there are.
    pub m_max: usize,
    /// Attention heads.
    pub heads: usize,
}

impl MlpConfig {
    /// LLaVA-1.5's: biases, no newlines, trained with every patch.
    #[doc(hidden)]
    pub fn plain(linears: usize) -> MlpConfig {
        MlpConfig { linears, elastic: false, bias: true, newline: false }
    }
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

fn is_no(value: &bool) -> bool {
    !*value
}
