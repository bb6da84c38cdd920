//! The model: loaded once, then pixels → image tokens, and slots → next token, on the GPU or on
//! the processor.

mod ahead;
mod back_end;
mod bundled;
pub(crate) mod cache;
pub(crate) mod chosen;
mod cpu;
mod devices;
mod fetch;
pub(crate) mod generate;
mod gpu;
mod load;
pub(crate) mod look;
pub(crate) mod open;
mod parts;
mod pictures;
mod pool;
mod preflight;
#[cfg(all(test, feature = "native"))]
mod quality;
mod rehearsal;
pub(crate) mod slot;
#[cfg(all(test, feature = "native"))]
mod tests;

pub(crate) use crate::config::Config;
pub use crate::weights::files::Files;
pub use crate::weights::{Weights, WeightsChoice};
#[cfg(feature = "native")]
pub use ahead::FirstPicture;
pub(crate) use cache::Cache;
use cache::Kv;
pub use fetch::Progress;
pub(crate) use fetch::bytes as bytes_of;
pub(crate) use generate::Generation;
pub use load::Loading;
pub(crate) use look::ImageTokens;
pub(crate) use look::Measured;
pub use open::{LoadOptions, ModelSource, Opened, Rehearsal, Tuning};
pub use pictures::{PictureKey, PictureStore};
pub use preflight::{Needs, Preflight};
pub use slot::{Arithmetic, LoadTimes, Looked};
pub(crate) use slot::{PictureTag, Slot, Want, Wanted};

use back_end::{BackEnd, CHUNK, Start};
use look::Seen;

use crate::cancel::{Cancel, Stage};
use crate::error::{Error, Result};
use crate::gpu::{AdapterInfo, Counters, Gpu, Letter, Reason};
use crate::grammar::{self, Constraint};
use crate::image::ImageSpec;
use crate::quant::Format;
use crate::sample::{Picked, Sampling};
use crate::text::{Template, Tokenizer};
use std::sync::Mutex;

/// Slots to compute together: where they go in the cache, the pictures they speak of, what is
/// wanted of the last one.
struct Chunk<'a, V> {
    slots: &'a [Slot],
    position: usize,
    /// By how much each layer's cache is shorter; empty where none is.
    removed: &'a [usize],
    /// [M, hidden] each
    visuals: &'a [(PictureTag, &'a V)],
    want: Want,
}

impl<V> Chunk<'_, V> {
    /// Where the slots go in a layer's cache.
    fn position_in(&self, layer: usize) -> usize {
        self.position - self.removed.get(layer).copied().unwrap_or(0)
    }

    /// The image tokens of a picture that a slot names.
    fn visual(&self, key: PictureTag) -> &V {
        let found = self.visuals.iter().find(|(own, _)| *own == key);
        found.expect("visual slots come with their pictures").1
    }
}

enum Network {
    Gpu(Box<gpu::Network>),
    Cpu(Box<cpu::Network>),
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
    identity: Option<String>,
    arithmetic: Arithmetic,
    adapter: AdapterInfo,
    reason: Reason,
    /// What its speeds are filed under.
    speed_key: String,
    times: LoadTimes,
    /// A picture that was encoded while the weights were read.
    seen: Mutex<Option<Seen>>,
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

    /// What the device was asked to do so far; all 0 on the processor.
    #[doc(hidden)]
    pub fn counters(&self) -> Counters {
        self.gpu().map(Gpu::counters).unwrap_or_default()
    }

    /// The device, unless the model runs on the processor.
    pub(crate) fn gpu(&self) -> Option<&Gpu> {
        match &self.network {
            Network::Gpu(n) => Some(&n.gpu),
            Network::Cpu(_) => None,
        }
    }

    /// An empty cache with room for `context` positions.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::LimitTooSmall`] if the device cannot hold it.
    #[doc(hidden)]
    pub async fn new_cache(&self, context: usize) -> Result<Cache> {
        let config = &self.config;
        let format = if self.arithmetic == Arithmetic::Exact { Format::F32 } else { Format::F16 };
        let kv = match &self.network {
            Network::Gpu(net) => Kv::Gpu(net.new_cache(config, format, context).await?),
            Network::Cpu(net) => Kv::Cpu(Box::new(net.new_cache(config, format, context).await?)),
        };
        let (removed, whole) = (Vec::new(), 0);
        Ok(Cache { kv, len: 0, removed, whole, capacity: context, limit: 0 })
    }

    /// Bytes that one position of a conversation takes in the cache.
    pub fn cache_bytes_per_token(&self) -> u64 {
        let shape = self.config.language.shape;
        let half = matches!(self.network, Network::Gpu(_)) && self.arithmetic == Arithmetic::Fast;
        (self.config.language.layers * shape.kv_heads * shape.head_dim * 2) as u64
            * if half { 2 } else { 4 }
    }

    /// Makes ready for an answer: how its tokens are picked, how many at most (`limit`), which
    /// tokens the penalty falls on from the start, and which end it.
    ///
    /// `prompt` is the length of the whole prompt, whose last part is then computed with
    /// [`Want::Pick`].
    ///
    /// # Panics
    /// The cache is of a model on another device.
    #[doc(hidden)]
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
        let start = Start { prompt, limit, sampling, seen, end_ids };
        match &self.network {
            Network::Gpu(net) => net.begin(&self.config, cache.gpu(), &start),
            Network::Cpu(net) => net.begin(&self.config, cache.cpu(), &start),
        }
    }

    /// After [`Model::begin`]: lets only those tokens be picked next that a constraint allows.
    ///
    /// # Errors
    /// The constraint's, and [`Error::InvalidSetting`] if it allows none.
    ///
    /// # Panics
    /// The cache is of a model on another device.
    pub(crate) fn restrict(
        &self,
        cache: &mut Cache,
        constraint: &mut dyn Constraint,
    ) -> Result<()> {
        let mask = grammar::mask(constraint, self.config.language.vocab)?;
        match &self.network {
            Network::Gpu(net) => net.restrict(&self.config, cache.gpu(), &mask),
            Network::Cpu(net) => net.restrict(&self.config, cache.cpu(), &mask),
        }
        Ok(())
    }

    /// After [`Model::begin`]: has [`Model::extend`] hand back the logits that a token is picked
    /// from, and [`Generation::logits`] those of later ones.
    ///
    /// # Panics
    /// The cache is of a model on another device.
    pub(crate) fn show_logits(&self, cache: &mut Cache) {
        match &self.network {
            Network::Gpu(net) => net.show_logits(cache.gpu()),
            Network::Cpu(net) => net.show_logits(cache.cpu()),
        }
    }

    /// The tokens that follow a prompt computed with [`Want::Pick`].
    #[doc(hidden)]
    pub fn generation<'a>(&'a self, cache: &'a mut Cache) -> Generation<'a> {
        Generation::new(self, cache)
    }

    /// The token picked last.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    ///
    /// # Panics
    /// The cache is of a model on another device.
    pub(crate) async fn picked(&self, cache: &mut Cache) -> Result<Picked> {
        match &self.network {
            Network::Gpu(net) => net.picked(cache.gpu()).await,
            Network::Cpu(net) => net.picked(cache.cpu()).await,
        }
    }

    /// The logits of the step before, where steps run ahead of their results.
    async fn step_logits(&self, cache: &mut Cache) -> Result<Vec<f32>> {
        match &self.network {
            Network::Gpu(net) => net.step_logits(cache.gpu()).await,
            Network::Cpu(_) => Ok(Vec::new()),
        }
    }

    /// Submits `steps` steps of decoding, where they run ahead of their results.
    fn run_steps(&self, cache: &mut Cache, steps: usize) -> Option<Letter> {
        match &self.network {
            Network::Gpu(net) => net.run_steps(cache.gpu(), steps),
            Network::Cpu(_) => None,
        }
    }

    /// Appends slots to the cache and hands back what is wanted of the last one (or of all).
    ///
    /// On an error the cache holds the chunks that were complete.
    ///
    /// # Errors
    /// [`Error::ContextFull`], [`Error::Cancelled`], or the device's failures.
    ///
    /// # Panics
    /// A slot names a picture that is not among `visuals`.
    #[doc(hidden)]
    pub async fn extend(
        &self,
        cache: &mut Cache,
        slots: &[Slot],
        visuals: &[(PictureTag, &ImageTokens)],
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        if cache.len + slots.len() > cache.capacity {
            return Err(Error::ContextFull { need: cache.len + slots.len(), have: cache.capacity });
        }
        // Some tokenizers know tokens beyond the table.
        let vocab = self.config.language.vocab;
        if let Some(id) = slots.iter().filter_map(Slot::token).find(|id| *id as usize >= vocab) {
            let problem = format!("token {id} has no row in the embedding table of {vocab} rows");
            return Err(Error::ModelCorrupt { file: "the tokenizer".into(), problem });
        }
        let mut wanted = Wanted::Nothing;
        let mut all = Vec::new();
        let (n, chunks) = (slots.len(), slots.chunks(CHUNK));
        let last = chunks.len().saturating_sub(1);
        // A single token is a word of the answer, or as quick.
        if slots.len() > 1 {
            cancel.begin(Stage::Prompt, chunks.len() * self.config.language.layers);
        }
        for (i, slots) in chunks.enumerate() {
            let is_of_all = matches!(want, Want::AllLogits | Want::Attention);
            let want = if i == last || is_of_all { want } else { Want::Nothing };
            let result = self.extend_chunk(cache, slots, visuals, want, cancel).await;
            if result.is_err() {
                // A half-computed chunk leaves keys behind that nothing may see.
                let len = cache.len;
                cache.rewind(len);
            }
            wanted = result?;
            cache.len += slots.len();
            match (want, &wanted) {
                (Want::AllLogits, Wanted::Logits(logits)) => all.extend_from_slice(logits),
                (_, Wanted::Attention(rows)) => add_rows(rows, cache.len, n, &mut all),
                _ => {}
            }
        }
        Ok(match want {
            Want::AllLogits => Wanted::Logits(all),
            Want::Attention => Wanted::Attention(all),
            _ => wanted,
        })
    }

    async fn extend_chunk(
        &self,
        cache: &mut Cache,
        slots: &[Slot],
        visuals: &[(PictureTag, &ImageTokens)],
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        let (config, position) = (&self.config, cache.len);
        let removed = &cache.removed.clone()[..];
        match &self.network {
            Network::Gpu(net) => {
                let visuals: Vec<_> = visuals.iter().map(|(key, v)| (*key, v.gpu())).collect();
                let chunk = Chunk { slots, position, removed, visuals: &visuals, want };
                net.extend(config, cache.gpu(), chunk, cancel).await
            }
            Network::Cpu(net) => {
                let visuals: Vec<_> = visuals.iter().map(|(key, v)| (*key, v.cpu())).collect();
                let chunk = Chunk { slots, position, removed, visuals: &visuals, want };
                net.extend(config, cache.cpu(), chunk, cancel).await
            }
        }
    }
}

/// Adds the mean over `n` rows, of which these [any, keys] are some, to `mean`.
fn add_rows(rows: &[f32], keys: usize, n: usize, mean: &mut Vec<f32>) {
    mean.resize(keys, 0.0);
    for row in rows.chunks_exact(keys) {
        mean.iter_mut().zip(row).for_each(|(mean, weight)| *mean += weight / n as f32);
    }
}
