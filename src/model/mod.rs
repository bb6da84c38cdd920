//! The model: loaded once, then pixels → visual tokens, and slots → next token, on the GPU or on
//! the processor.

mod bundled;
mod cache;
pub mod config;
mod decode;
mod generate;
mod language;
mod load;
pub(crate) mod open;
pub(crate) mod parts;
pub(crate) mod pictures;
#[cfg(feature = "native")]
pub mod preflight;
pub(crate) mod published;
#[cfg(all(test, feature = "native"))]
mod quality;
mod reference;
mod rehearsal;
pub mod shapes;
mod slot;
#[cfg(all(test, feature = "native"))]
mod tests;
mod tune;
mod vision;

pub use crate::weights::{Weights, WeightsChoice};
pub use cache::Cache;
use cache::Kv;
pub use config::Config;
pub use generate::Generation;
pub use open::{LoadOptions, ModelSource, Opened, Tuning};
pub use parts::Progress;
pub(crate) use parts::bytes as bytes_of;
pub use slot::{Arithmetic, LoadTimes, Slot, Want, Wanted};

use config::ResamplerConfig;
use parts::Projector;

use crate::attention;
use crate::budget;
use crate::cancel::{Cancel, Stage};
use crate::error::{Error, Result};
use crate::gpu::{AdapterInfo, Counters, Gpu, Learned, Letter, Matrix, Tensor};
use crate::image::{ImageSpec, Pixels};
use crate::kernels::mix::Map;
use crate::quant::Format;
use crate::sample::{Picked, Sampling};
use crate::session::Looked;
use crate::text::{Template, Tokenizer};
use web_time::Instant;

/// Slots to compute together: where they go in the cache, the picture they speak of, what is wanted
/// of the last one.
struct Chunk<'a, V: ?Sized> {
    slots: &'a [Slot],
    position: usize,
    /// [M, hidden]
    visual: Option<&'a V>,
    want: Want,
}

struct GpuNetwork {
    /// Held while the activations below are in use: conversations share a model, not its scratch
    /// memory.
    busy: async_lock::Mutex<()>,
    gpu: Gpu,
    parts: parts::Parts<Matrix, Tensor, Map>,
    vision: vision::Scratch,
    language: language::Scratch,
}

enum Network {
    Gpu(Box<GpuNetwork>),
    Cpu(Box<reference::HostParts>),
}

/// All M visual tokens of one picture; m of them are its first m rows.
pub struct VisualTokens(Visual);

enum Visual {
    Gpu(Tensor),
    Cpu(Vec<f32>),
}

/// A loaded model. Conversations ([`crate::Session`]) share it.
pub struct Model {
    config: Config,
    tokenizer: Tokenizer,
    template: Template,
    spec: ImageSpec,
    name: String,
    weights: Weights,
    sha256: String,
    arithmetic: Arithmetic,
    adapter: AdapterInfo,
    fell_back: bool,
    times: LoadTimes,
    network: Network,
}

impl Model {
    /// The numbers.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The prompt template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// How pictures become the tower's input.
    pub fn image_spec(&self) -> &ImageSpec {
        &self.spec
    }

    /// The pack's name, or the checkpoint folder's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The formats of the weights.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// What loading took.
    pub fn load_times(&self) -> LoadTimes {
        self.times
    }

    /// The formats of the weights: f32, f16, q8, q5 or q4.
    pub fn weights_name(&self) -> String {
        self.weights.to_string()
    }

    /// SHA-256 of a pack's manifest, or a fingerprint of a checkpoint.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How numbers are computed.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Where it runs.
    pub fn adapter(&self) -> &AdapterInfo {
        &self.adapter
    }

    /// Whether it runs on the processor because no adapter could be used.
    pub fn fell_back_to_cpu(&self) -> bool {
        self.fell_back
    }

    /// What the device was asked to do so far; all 0 on the processor.
    pub fn counters(&self) -> Counters {
        self.gpu().map(Gpu::counters).unwrap_or_default()
    }

    /// What was learned about this device so far: for [`LoadOptions::choices`] next time.
    pub fn learned(&self) -> Learned {
        self.gpu().map(Gpu::learned).unwrap_or_default()
    }

    /// The device, unless the model runs on the processor.
    pub fn gpu(&self) -> Option<&Gpu> {
        match &self.network {
            Network::Gpu(n) => Some(&n.gpu),
            Network::Cpu(_) => None,
        }
    }

    /// An empty cache with room for `context` positions.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::LimitTooSmall`] if the device cannot hold it.
    pub async fn new_cache(&self, context: usize) -> Result<Cache> {
        let kv = match &self.network {
            Network::Gpu(n) => {
                let format =
                    if self.arithmetic == Arithmetic::Exact { Format::F32 } else { Format::F16 };
                Kv::Gpu(Box::new(
                    language::KvCache::new(
                        &n.gpu,
                        &self.config.language,
                        &n.parts.language,
                        context,
                        format,
                    )
                    .await?,
                ))
            }
            Network::Cpu(_) => Kv::Cpu(reference::KvCache::new(&self.config, context)),
        };
        Ok(Cache { kv, len: 0, capacity: context, limit: 0, config: self.config.clone() })
    }

    /// Encodes a picture into its M visual tokens.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or the device's failures.
    pub async fn look(&self, pixels: &Pixels, cancel: &Cancel) -> Result<(VisualTokens, Looked)> {
        self.look_at(pixels, self.config.visual_rows(), cancel).await
    }

    /// The same with only the first `n` visual tokens computed, where they come from a resampler.
    pub(crate) async fn look_at(
        &self,
        pixels: &Pixels,
        n: usize,
        cancel: &Cancel,
    ) -> Result<(VisualTokens, Looked)> {
        let start = Instant::now();
        cancel.begin(Stage::Picture, self.config.vision.layers);
        let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
        let (visual, vision_ms, resample_ms) = match &self.network {
            Network::Gpu(net) => {
                let _busy = net.busy.lock().await;
                let x = vision::encode(
                    &net.gpu,
                    &self.config,
                    &net.parts.vision,
                    &net.vision,
                    pixels,
                    cancel,
                )
                .await?;
                net.gpu.idle().await?;
                let (vision_ms, start) = (ms(start), Instant::now());
                let tokens = vision::project(
                    &net.gpu,
                    &self.config,
                    &net.parts.projector,
                    &net.vision,
                    x,
                    n,
                    cancel,
                )
                .await?;
                (Visual::Gpu(tokens), vision_ms, ms(start))
            }
            Network::Cpu(parts) => {
                let features =
                    reference::encode(&self.config, &parts.vision, pixels, cancel).await?;
                let (vision_ms, start) = (ms(start), Instant::now());
                (
                    Visual::Cpu(reference::project(&self.config, parts, &features, n)),
                    vision_ms,
                    ms(start),
                )
            }
        };
        Ok((VisualTokens(visual), Looked { vision_runs: 1, vision_ms, resample_ms }))
    }

    /// The tower's features, [patches, d]: `mqt trace`.
    ///
    /// # Errors
    /// As [`Model::look`].
    pub async fn vision_features(&self, pixels: &Pixels, cancel: &Cancel) -> Result<Vec<f32>> {
        match &self.network {
            Network::Gpu(net) => {
                let _busy = net.busy.lock().await;
                let x = vision::encode(
                    &net.gpu,
                    &self.config,
                    &net.parts.vision,
                    &net.vision,
                    pixels,
                    cancel,
                )
                .await?;
                net.gpu.read_rows(x, 1, self.config.vision.patches()).await
            }
            Network::Cpu(parts) => {
                reference::encode(&self.config, &parts.vision, pixels, cancel).await
            }
        }
    }

    /// Where each of `m` image tokens reads from, [m, patches]: the resampler's weights, averaged
    /// over its heads; rows sum to 1. They are a constant of the model, the same for every picture.
    ///
    /// # Errors
    /// The model does not give `m` tokens; [`Error::DeviceLost`].
    pub async fn reading_map(&self, m: usize) -> Result<Vec<f32>> {
        budget::fixed(m as u64, &self.config.offer())?;
        let patches = self.config.vision.patches();
        let config::Projector::Resampler(ResamplerConfig { heads, m_max }) = self.config.projector
        else {
            return Ok(attention::pooled(self.config.vision.grid(), m));
        };
        let size = m_max * patches;
        let map = match &self.network {
            Network::Gpu(net) => match &net.parts.projector {
                Projector::Resampler(r) => r.map.read(&net.gpu).await?,
                Projector::Mlp(_) => unreachable!("the configuration says there is a resampler"),
            },
            Network::Cpu(parts) => match &parts.projector {
                Projector::Resampler(r) => r.map.clone(),
                Projector::Mlp(_) => unreachable!("the configuration says there is a resampler"),
            },
        };
        let mut mean = vec![0.0f32; m * patches];
        for head in map.chunks_exact(size) {
            mean.iter_mut().zip(head).for_each(|(mean, weight)| *mean += weight / heads as f32);
        }
        Ok(mean)
    }

    /// Bytes that one position of a conversation takes in the cache.
    pub fn cache_bytes_per_token(&self) -> u64 {
        let shape = self.config.language.shape;
        let half = matches!(self.network, Network::Gpu(_)) && self.arithmetic == Arithmetic::Fast;
        (self.config.language.layers * shape.kv_heads * shape.head_dim * 2) as u64
            * if half { 2 } else { 4 }
    }

    /// The visual tokens of budget `m`, [m, hidden].
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn read_visual(&self, visual: &VisualTokens, m: usize) -> Result<Vec<f32>> {
        let (first, hidden) = (self.config.first_visual(m), self.config.language.hidden);
        match (&self.network, &visual.0) {
            (Network::Gpu(net), Visual::Gpu(tensor)) => net.gpu.read_rows(tensor, first, m).await,
            (_, Visual::Cpu(values)) => Ok(values[first * hidden..][..m * hidden].to_vec()),
            (Network::Cpu(_), Visual::Gpu(_)) => {
                unreachable!("visual tokens belong to the model that made them")
            }
        }
    }

    /// Makes ready for an answer: how its tokens are picked, how many at most (`limit`), which
    /// tokens the penalty falls on from the start, and which end it.
    ///
    /// `prompt` is the length of the whole prompt, whose last part is then computed with
    /// [`Want::Pick`].
    pub fn begin(
        &self,
        cache: &mut Cache,
        prompt: usize,
        limit: usize,
        sampling: &Sampling,
        seen: &[u32],
        end_ids: &[u32],
    ) {
        // The last token itself needs no keys, but prompt and answer together fill the context and
        // no more.
        let limit = limit.min(cache.capacity.saturating_sub(prompt)).max(1);
        cache.limit = limit;
        match (&self.network, &mut cache.kv) {
            (Network::Gpu(net), Kv::Gpu(kv)) => {
                kv.picker.begin(&net.gpu, prompt.saturating_sub(1), limit, sampling, seen, end_ids);
                kv.prepare(&self.config.language, &net.parts.language);
            }
            (_, Kv::Cpu(kv)) => kv.begin(sampling, seen),
            (Network::Cpu(_), Kv::Gpu(_)) => {
                unreachable!("a cache belongs to the model that made it")
            }
        }
    }

    /// The tokens that follow a prompt computed with [`Want::Pick`].
    pub fn generation<'a>(&'a self, cache: &'a mut Cache) -> Generation<'a> {
        Generation::new(self, cache)
    }

    /// The token picked last.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn picked(&self, cache: &Cache) -> Result<Picked> {
        match (&self.network, &cache.kv) {
            (Network::Gpu(net), Kv::Gpu(kv)) => {
                let state = kv.picker.read(&net.gpu).await?;
                Ok(state.picked((state.count as usize).saturating_sub(1)))
            }
            (_, Kv::Cpu(kv)) => Ok(kv.picked()),
            (Network::Cpu(_), Kv::Gpu(_)) => {
                unreachable!("a cache belongs to the model that made it")
            }
        }
    }

    /// Submits `steps` steps of decoding.
    fn run_steps(&self, cache: &mut Cache, steps: usize) -> Letter {
        match (&self.network, &mut cache.kv) {
            (Network::Gpu(net), Kv::Gpu(kv)) => {
                let decoder = kv.decoder.as_mut().expect("asked for only where there is one");
                decoder.run(&net.gpu, &kv.picker, steps)
            }
            _ => unreachable!("only a GPU runs ahead"),
        }
    }

    /// Appends slots to the cache and hands back what is wanted of the last one (or of all).
    ///
    /// On an error the cache holds the chunks that were complete.
    ///
    /// # Errors
    /// [`Error::ContextFull`], [`Error::Cancelled`], or the device's failures.
    pub async fn extend(
        &self,
        cache: &mut Cache,
        slots: &[Slot],
        visual: Option<&VisualTokens>,
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        if cache.len + slots.len() > cache.capacity {
            return Err(Error::ContextFull { need: cache.len + slots.len(), have: cache.capacity });
        }
        let mut wanted = Wanted::Nothing;
        let mut all = Vec::new();
        let chunks = slots.chunks(language::CHUNK);
        let last = chunks.len().saturating_sub(1);
        // A single token is a word of the answer, or as quick.
        if slots.len() > 1 {
            cancel.begin(Stage::Prompt, chunks.len() * self.config.language.layers);
        }
        for (i, slots) in chunks.enumerate() {
            let want = if i == last || want == Want::AllLogits { want } else { Want::Nothing };
            let result = self.extend_chunk(cache, slots, visual, want, cancel).await;
            if result.is_err() {
                // A half-computed chunk leaves keys behind that nothing may see.
                let len = cache.len;
                cache.rewind(len);
            }
            wanted = result?;
            cache.len += slots.len();
            if let (Want::AllLogits, Wanted::Logits(logits)) = (want, &wanted) {
                all.extend_from_slice(logits);
            }
        }
        Ok(if want == Want::AllLogits { Wanted::Logits(all) } else { wanted })
    }

    async fn extend_chunk(
        &self,
        cache: &mut Cache,
        slots: &[Slot],
        visual: Option<&VisualTokens>,
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        let position = cache.len;
        match (&self.network, &mut cache.kv) {
            (Network::Gpu(net), Kv::Gpu(kv)) => {
                let visual = visual.map(|v| match &v.0 {
                    Visual::Gpu(tensor) => tensor,
                    Visual::Cpu(_) => {
                        unreachable!("visual tokens belong to the model that made them")
                    }
                });
                let chunk = Chunk { slots, position, visual, want };
                let _busy = net.busy.lock().await;
                language::forward(
                    &net.gpu,
                    &self.config,
                    &net.parts.language,
                    &net.language,
                    kv,
                    chunk,
                    cancel,
                )
                .await
            }
            (Network::Cpu(parts), Kv::Cpu(kv)) => {
                let visual = visual.map(|v| match &v.0 {
                    Visual::Cpu(values) => values.as_slice(),
                    Visual::Gpu(_) => {
                        unreachable!("visual tokens belong to the model that made them")
                    }
                });
                reference::forward(
                    &self.config,
                    parts,
                    kv,
                    Chunk { slots, position, visual, want },
                    cancel,
                )
                .await
            }
            _ => unreachable!("a cache belongs to the model that made it"),
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        if let Network::Gpu(net) = &self.network {
            net.gpu.forget_bind_groups();
        }
    }
}
