//! A network's weights, one tensor after another, to where they live.

use super::parts::{
    Encoder, Gridded, Language, LanguageLayer, Linear, Norm, Place, Projector, Resampler, Vision,
    VisionLayer, Way,
};
use super::pool::pool;
use crate::config::{self, Config, VisionConfig};
use crate::error::Result;
use crate::future::Callback;
use crate::quant::Format;
use crate::weights::Supply;
use crate::weights::layout::{Entry, Role, layout};
use std::collections::HashMap;

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done, to show.
    pub phase: &'static str,
    /// Bytes done, as they lie on the device.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Fetches tensors by name, in any order, and reports progress.
pub(super) struct Fetch<'a, P> {
    place: &'a P,
    supply: &'a dyn Supply,
    config: &'a Config,
    entries: HashMap<String, Entry>,
    format: &'a (dyn Fn(Role) -> Format + Sync),
    progress: Progress,
    on_progress: &'a mut Callback<'a, Progress>,
}

impl<'a, P: Place> Fetch<'a, P> {
    /// Reads nothing yet.
    pub(super) fn new(
        place: &'a P,
        supply: &'a dyn Supply,
        config: &'a Config,
        format: &'a (dyn Fn(Role) -> Format + Sync),
        on_progress: &'a mut Callback<'a, Progress>,
    ) -> Fetch<'a, P> {
        let entries = layout(config);
        let total = entries.iter().map(|e| bytes(e, format)).sum();
        let entries = entries.into_iter().map(|e| (e.name.clone(), e)).collect();
        let progress = Progress { phase: "loading weights", done: 0, total };
        Fetch { place, supply, config, entries, format, progress, on_progress }
    }

    /// What a picture needs.
    pub(super) async fn encoder(&mut self) -> Result<Encoder<P::Matrix, P::Vector, P::Map>> {
        let (vision, config) = (&self.config.vision, self.config);
        let (vision, projector) = (self.vision(vision).await?, self.projector(config).await?);
        Ok(Encoder { vision, projector })
    }

    /// The decoder.
    pub(super) async fn language(&mut self) -> Result<Language<P::Matrix, P::Vector>> {
        let embed = self.matrix("language.embed").await?;
        let mut layers = Vec::new();
        for i in 0..self.config.language.layers {
            let name = |part: &str| format!("language.layers.{i}.{part}");
            layers.push(LanguageLayer {
                norm1: self.vector(&name("norm1")).await?,
                qkv: self.linear(&name("qkv")).await?,
                o: self.matrix(&name("o")).await?,
                norm2: self.vector(&name("norm2")).await?,
                gate_up: self.matrix(&name("gate_up")).await?,
                down: self.matrix(&name("down")).await?,
            });
        }
        let norm = self.vector("language.norm").await?;
        let is_tied = self.config.language.tied;
        let head = if is_tied { None } else { Some(self.matrix("language.head").await?) };
        Ok(Language { embed, layers, norm, head })
    }

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
