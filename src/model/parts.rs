//! The network's weights as fields with names, once for both places they can live: GPU buffers or
//! host memory.

use super::pool::pool;
use crate::config::{self, Config, VisionConfig};
use crate::cpu;
use crate::error::Result;
use crate::future::Callback;
use crate::gpu::{Gpu, Matrix, Tensor};
use crate::kernels::mix::Map;
use crate::kernels::product::Weights;
use crate::quant::{Format, Packed};
use crate::weights::Supply;
use crate::weights::layout::{Entry, Role, layout};
use std::collections::HashMap;

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

/// The whole network.
pub(super) struct Parts<M, V, A> {
    pub(super) vision: Vision<M, V>,
    pub(super) projector: Projector<M, V, A>,
    pub(super) language: Language<M, V>,
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

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, to show.
    pub phase: &'static str,
    /// Bytes done, as they lie on the device.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Fetches tensors by name, in any order, and reports progress.
struct Fetch<'a, P> {
    place: &'a P,
    supply: &'a dyn Supply,
    entries: HashMap<String, Entry>,
    format: &'a (dyn Fn(Role) -> Format + Sync),
    progress: Progress,
    on_progress: &'a mut Callback<'a, Progress>,
}

impl<P: Place> Fetch<'_, P> {
    fn entry(&self, name: &str) -> Entry {
        self.entries.get(name).unwrap_or_else(|| panic!("{name} is not in the layout")).clone()
    }

    fn tick(&mut self, entry: &Entry) {
        self.progress.done += bytes(entry, self.format);
        (self.on_progress)(&self.progress);
    }

    async fn matrix(&mut self, name: &str) -> Result<P::Matrix> {
        let entry = self.entry(name);
        let packed = self.supply.matrix(&entry).await?;
        let matrix = self.place.matrix(&entry, packed).await?;
        self.tick(&entry);
        Ok(matrix)
    }

    async fn vector(&mut self, name: &str) -> Result<P::Vector> {
        let entry = self.entry(name);
        let values = self.supply.vector(&entry).await?;
        let vector = self.place.vector(&entry, values).await?;
        self.tick(&entry);
        Ok(vector)
    }

    async fn linear(&mut self, name: &str) -> Result<Linear<P::Matrix, P::Vector>> {
        let bias = format!("{name}.bias");
        let weight = self.matrix(name).await?;
        let bias =
            if self.entries.contains_key(&bias) { Some(self.vector(&bias).await?) } else { None };
        Ok(Linear { weight, bias })
    }

    async fn norm(&mut self, name: &str) -> Result<Norm<P::Vector>> {
        Ok(Norm {
            weight: self.vector(&format!("{name}.weight")).await?,
            bias: self.vector(&format!("{name}.bias")).await?,
        })
    }
    async fn norm_if(&mut self, there: bool, name: &str) -> Result<Option<Norm<P::Vector>>> {
        if there { self.norm(name).await.map(Some) } else { Ok(None) }
    }

    async fn vision(&mut self, v: &VisionConfig) -> Result<Vision<P::Matrix, P::Vector>> {
        let patch = self.linear("vision.patch").await?;
        let class = if v.class_token { Some(self.vector("vision.class").await?) } else { None };
        let position = self.vector("vision.position").await?;
        let pre_norm = self.norm_if(v.pre_norm, "vision.pre_norm").await?;
        let mut layers = Vec::new();
        for i in 0..v.layers {
            let name = |part: &str| format!("vision.layers.{i}.{part}");
            layers.push(VisionLayer {
                norm1: self.norm(&name("norm1")).await?,
                qkv: self.linear(&name("qkv")).await?,
                out: self.linear(&name("out")).await?,
                norm2: self.norm(&name("norm2")).await?,
                fc1: self.linear(&name("fc1")).await?,
                fc2: self.linear(&name("fc2")).await?,
            });
        }
        let post_norm = self.norm_if(v.post_norm, "vision.post_norm").await?;
        Ok(Vision { patch, class, position, pre_norm, layers, post_norm })
    }

    async fn projector(
        &mut self,
        config: &Config,
    ) -> Result<Projector<P::Matrix, P::Vector, P::Map>> {
        let way = match &config.projector {
            config::Projector::Resampler(r) => {
                let entry = self.entry("resampler.map");
                let map = self.supply.vector(&entry).await?;
                let shape = [r.heads, r.m_max, config.vision.patches()];
                let map = self.place.map(map, shape, (self.format)(Role::Map)).await?;
                self.tick(&entry);
                return Ok(Projector::Resampler(Resampler {
                    map,
                    value: self.matrix("resampler.value").await?,
                    out: self.matrix("resampler.out").await?,
                    bias: self.vector("resampler.bias").await?,
                    heads: r.heads,
                    tokens: r.m_max,
                }));
            }
            config::Projector::Mlp(mlp) => {
                let mut linears = Vec::new();
                for i in 0..mlp.linears {
                    linears.push(self.linear(&format!("projector.{i}")).await?);
                }
                let newline = "projector.newline";
                let newline = if mlp.newline { Some(self.vector(newline).await?) } else { None };
                Way::Mlp { linears, newline }
            }
            config::Projector::Shuffle(_) => Way::Shuffle(self.linear("projector.0").await?),
            config::Projector::Ldp2(_) => Way::Ldp2 {
                linears: [self.linear("projector.0").await?, self.linear("projector.1").await?],
                weight: self.vector("projector.depthwise").await?,
                bias: self.vector("projector.depthwise.bias").await?,
            },
        };
        Ok(Projector::Gridded(Gridded { way, pool: pool(self.place, config).await? }))
    }
}

/// Bytes of one tensor on the device.
pub(crate) fn bytes(entry: &Entry, format: &(dyn Fn(Role) -> Format + Sync)) -> u64 {
    match entry.role {
        Role::Vector => (entry.rows * entry.cols) as u64 * 4,
        Role::Map => {
            (entry.rows * entry.cols) as u64 * if format(Role::Map) == Format::F32 { 4 } else { 2 }
        }
        role => {
            let (data, scales) = format(role).words(entry.rows, entry.cols);
            (data + scales) * 4
        }
    }
}

/// Loads every tensor of the layout into `place`.
pub(super) async fn load<P: Place>(
    place: &P,
    supply: &dyn Supply,
    config: &Config,
    format: &(dyn Fn(Role) -> Format + Sync),
    on_progress: &mut Callback<'_, Progress>,
) -> Result<Parts<P::Matrix, P::Vector, P::Map>> {
    let entries = layout(config);
    let total = entries.iter().map(|e| bytes(e, format)).sum();
    let entries = entries.into_iter().map(|e| (e.name.clone(), e)).collect();
    let progress = Progress { phase: "loading weights", done: 0, total };
    let mut f = Fetch { place, supply, entries, format, progress, on_progress };
    let vision = f.vision(&config.vision).await?;
    let projector = f.projector(config).await?;
    let embed = f.matrix("language.embed").await?;
    let mut layers = Vec::new();
    for i in 0..config.language.layers {
        let name = |part: &str| format!("language.layers.{i}.{part}");
        layers.push(LanguageLayer {
            norm1: f.vector(&name("norm1")).await?,
            qkv: f.linear(&name("qkv")).await?,
            o: f.matrix(&name("o")).await?,
            norm2: f.vector(&name("norm2")).await?,
            gate_up: f.matrix(&name("gate_up")).await?,
            down: f.matrix(&name("down")).await?,
        });
    }
    let norm = f.vector("language.norm").await?;
    let head = if config.language.tied { None } else { Some(f.matrix("language.head").await?) };
    Ok(Parts { vision, projector, language: Language { embed, layers, norm, head } })
}
