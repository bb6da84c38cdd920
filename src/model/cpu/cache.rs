//! A conversation on the processor: keys and values, and how its tokens are picked.

use crate::config::Config;
use crate::cpu::KvRows;
use crate::kernels::attention::heads::rope_table;
use crate::kernels::pick;
use crate::sample::{self, Picked, Sampling};

/// Keys and values of every layer, and the rotation table.
pub(in crate::model) struct KvCache {
    pub(super) layers: Vec<KvRows>,
    /// [context, head_dim]: (cos, sin) pairs.
    pub(super) rope: Vec<f32>,
    sampling: Sampling,
    seen: Vec<u32>,
    vocab: usize,
    /// The tokens picked since [`KvCache::begin`].
    picked: Vec<Picked>,
}

impl KvCache {
    pub(in crate::model) fn new(config: &Config, context: usize) -> KvCache {
        let (layers, rope) = (
            (0..config.language.layers).map(|_| KvRows::new(config.language.shape)).collect(),
            rope_table(&config.language.inv_freq, context),
        );
        KvCache {
            layers,
            rope,
            sampling: Sampling::default(),
            seen: Vec::new(),
            vocab: config.language.vocab,
            picked: Vec::new(),
        }
    }

    /// As the GPU's `Picker::begin`.
    pub(in crate::model) fn begin(&mut self, sampling: &Sampling, seen: &[u32]) {
        self.sampling = *sampling;
        self.seen = pick::seen_words(
            self.vocab,
            seen.iter().copied().filter(|&t| (t as usize) < self.vocab),
        );
        self.picked.clear();
    }

    /// The token picked last.
    pub(in crate::model) fn picked(&self) -> Picked {
        self.picked.last().copied().unwrap_or(Picked::new(0, 0.0))
    }

    /// Picks the next token from logits \[vocab\].
    pub(super) fn pick(&mut self, logits: &[f32]) {
        let picked = sample::pick(logits, &self.seen, &self.sampling, self.picked.len() as u32);
        self.seen[picked.token as usize / 32] |= 1 << (picked.token % 32);
        self.picked.push(picked);
    }

    /// Room for keys and values up to `len` positions, so that none is made while decoding.
    pub(super) fn reserve(&mut self, len: usize) {
        self.layers.iter_mut().for_each(|layer| layer.reserve(len));
    }

    pub(in crate::model) fn rewind(&mut self, len: usize) {
        self.layers.iter_mut().for_each(|layer| layer.truncate(len));
    }
}
