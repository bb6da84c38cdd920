//! The network's weights as named fields, defined once for both places where they can be: GPU
//! buffers or host memory.

use crate::cpu;
use crate::error::Result;
use crate::gpu::{Gpu, Matrix, Tensor};
use crate::kernels::mix::Map;
use crate::kernels::product::Weights;
use crate::quant::{Format, Packed};
use crate::weights::layout::{Entry, Role};

/// A norm's gain and shift.
pub(super) struct Norm<V> {
    pub(super) weight: V,
    pub(super) bias: V,
}

/// A matrix and its bias.
pub(super) struct Linear<M, V> {
    pub(super) weight: M,
    pub(super) bias: Option<V>,
}

impl<'a> From<&'a Linear<Matrix, Tensor>> for Weights<'a> {
    fn from(linear: &'a Linear<Matrix, Tensor>) -> Weights<'a> {
        Weights { matrix: &linear.weight, bias: linear.bias.as_ref() }
    }
}

/// One layer of the vision tower.
pub(super) struct VisionLayer<M, V> {
    pub(super) norm1: Norm<V>,
    pub(super) qkv: Linear<M, V>,
    pub(super) out: Linear<M, V>,
    pub(super) norm2: Norm<V>,
    pub(super) fc1: Linear<M, V>,
    pub(super) fc2: Linear<M, V>,
}

/// The vision tower, up to the selected layer.
pub(super) struct Vision<M, V> {
    /// [hidden, 3 · patch²]
    pub(super) patch: Linear<M, V>,
    /// [1, hidden]
    pub(super) class: Option<V>,
    /// [tokens, hidden]
    pub(super) position: V,
    pub(super) pre_norm: Option<Norm<V>>,
    pub(super) layers: Vec<VisionLayer<M, V>>,
    pub(super) post_norm: Option<Norm<V>>,
}

/// The folded resampler.
pub(super) struct Resampler<M, V, A> {
    /// [heads, M, patches]
    pub(super) map: A,
    /// [d, d]
    pub(super) value: M,
    /// [hidden, d]
    pub(super) out: M,
    /// [1, hidden]
    pub(super) bias: V,
    /// Heads of the map.
    pub(super) heads: usize,
    /// M.
    pub(super) tokens: usize,
}

/// How the features of a grid of patches become a grid of tokens.
pub(super) enum Way<M, V> {
    /// Linears with GELU between them, patch by patch.
    Mlp {
        linears: Vec<Linear<M, V>>,
        /// [1, hidden]: ends the rows of a picture in several squares.
        newline: Option<V>,
    },
    /// [hidden, scale² · d], over squares of patches.
    Shuffle(Linear<M, V>),
    /// Two Linears with GELU between them, and a convolution over means of squares.
    Ldp2 {
        linears: [Linear<M, V>; 2],
        /// [hidden, 9]
        weight: V,
        /// [1, hidden]
        bias: V,
    },
}

impl<M, V> Way<M, V> {
    /// Its matrices, in the order in which they are used.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &M> {
        let linears = match self {
            Way::Mlp { linears, .. } => linears.as_slice(),
            Way::Shuffle(linear) => std::slice::from_ref(linear),
            Way::Ldp2 { linears, .. } => linears.as_slice(),
        };
        linears.iter().map(|linear| &linear.weight)
    }
}

/// A projector whose tokens lie in a grid, as the patches do.
pub(super) struct Gridded<M, V, A> {
    pub(super) way: Way<M, V>,
    /// [1, pooled tokens, tokens]: averages over squares of tokens, finest grid first; `None` where
    /// there are none.
    pub(super) pool: Option<A>,
}

/// What stands between tower and decoder.
#[allow(clippy::large_enum_variant, reason = "a model has one")]
pub(super) enum Projector<M, V, A> {
    Resampler(Resampler<M, V, A>),
    Gridded(Gridded<M, V, A>),
}

/// One layer of the decoder.
pub(super) struct LanguageLayer<M, V> {
    pub(super) norm1: V,
    pub(super) qkv: Linear<M, V>,
    pub(super) o: M,
    pub(super) norm2: V,
    pub(super) gate_up: M,
    pub(super) down: M,
}

/// The decoder.
pub(super) struct Language<M, V> {
    /// [vocab, hidden]
    pub(super) embed: M,
    pub(super) layers: Vec<LanguageLayer<M, V>>,
    pub(super) norm: V,
    /// [vocab, hidden]; `None` where the embedding table serves.
    pub(super) head: Option<M>,
}

/// What makes image tokens of a picture: the tower and what stands between it and the decoder.
pub(super) struct Encoder<M, V, A> {
    pub(super) vision: Vision<M, V>,
    pub(super) projector: Projector<M, V, A>,
}

/// Whether `--arithmetic fast` may round what a matrix is multiplied with to bytes. The tower's
/// largest activations are hundreds of times the others: bytes would lose those.
fn may_round(entry: &Entry) -> bool {
    matches!(entry.role, Role::Layer | Role::LastLayer | Role::Head)
}

/// Where weights live.
pub(super) trait Place {
    type Matrix;
    type Vector;
    type Map;
    async fn matrix(&self, entry: &Entry, packed: Packed) -> Result<Self::Matrix>;
    async fn vector(&self, entry: &Entry, values: Vec<f32>) -> Result<Self::Vector>;
    /// A mixing map [heads, tokens, patches].
    async fn map(&self, values: Vec<f32>, shape: [usize; 3], format: Format) -> Result<Self::Map>;
}

impl Place for Gpu {
    type Matrix = Matrix;
    type Vector = Tensor;
    type Map = Map;

    async fn matrix(&self, entry: &Entry, packed: Packed) -> Result<Matrix> {
        let matrix = self.upload_matrix(&entry.name, &packed).await?;
        Ok(Matrix { may_round: may_round(entry), ..matrix })
    }

    async fn vector(&self, entry: &Entry, values: Vec<f32>) -> Result<Tensor> {
        self.upload(&entry.name, &values, entry.rows, entry.cols).await
    }

    async fn map(
        &self,
        values: Vec<f32>,
        [heads, tokens, patches]: [usize; 3],
        format: Format,
    ) -> Result<Map> {
        Map::upload(self, &values, heads, tokens, patches, format).await
    }
}

/// Host memory, for the network on the processor.
pub(super) struct Host;

impl Place for Host {
    type Matrix = cpu::Matrix;
    type Vector = Vec<f32>;
    type Map = Vec<f32>;

    async fn matrix(&self, entry: &Entry, packed: Packed) -> Result<cpu::Matrix> {
        Ok(cpu::Matrix::new(&packed, may_round(entry)))
    }

    async fn vector(&self, _: &Entry, values: Vec<f32>) -> Result<Vec<f32>> {
        Ok(values)
    }

    async fn map(&self, mut values: Vec<f32>, _: [usize; 3], format: Format) -> Result<Vec<f32>> {
        if format != Format::F32 {
            values.iter_mut().for_each(|v| *v = half::f16::from_f32(*v).to_f32());
        }
        Ok(values)
    }
}
