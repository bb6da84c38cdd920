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
    /// Tokens that may be picked; empty: all.
    mask: Vec<u32>,
    /// Whether what a token is picked from is handed back.
    pub(super) shows_logits: bool,
    vocab: usize,
    /// The tokens picked since [`KvCache::begin`].
    picked: Vec<Picked>,
    picking: sample::Memory,
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
            mask: Vec::new(),
            shows_logits: false,
            vocab: config.language.vocab,
            picked: Vec::new(),
            picking: sample::Memory::default(),
        }
    }

    /// As the GPU's `Picker::begin`; `limit` tokens at most will be picked.
    pub(in crate::model) fn begin(&mut self, sampling: &Sampling, seen: &[u32], limit: usize) {
        self.sampling = *sampling;
        self.seen = pick::set_words(
            self.vocab,
            seen.iter().copied().filter(|&t| (t as usize) < self.vocab),
        );
        self.mask.clear();
        self.shows_logits = false;
        self.picked.clear();
        self.picked.reserve(limit);
    }

    /// From now on only tokens of `mask`, one bit each, are picked.
    pub(super) fn restrict(&mut self, mask: &[u32]) {
        self.mask.clear();
        self.mask.extend_from_slice(mask);
    }

    /// The token picked last.
    pub(in crate::model) fn picked(&self) -> Picked {
        self.picked.last().copied().unwrap_or(Picked::new(0, 0.0))
    }

    /// Picks the next token from logits \[vocab\].
    pub(super) fn pick(&mut self, logits: &[f32]) {
        let KvCache { picking, seen, mask, sampling, picked, .. } = self;
        let mask = (!mask.is_empty()).then_some(mask.as_slice());
        let count = picked.len() as u32;
        let picked = sample::pick_in(picking, logits, (seen, mask), sampling, count);
        self.seen[picked.token as usize / 32] |= 1 << (picked.token % 32);
        self.picked.push(picked);
    }

    /// Room for keys and values up to `len` positions, so that none is made while decoding.
    pub(super) fn reserve(&mut self, len: usize) {
        self.layers.iter_mut().for_each(|layer| layer.reserve(len));
    }

    /// Forgets the positions from `len` on; each layer is shorter by what was removed from it.
    pub(in crate::model) fn rewind(&mut self, len: usize, removed: &[usize]) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.truncate(len - removed.get(i).copied().unwrap_or(0));
        }
    }
}
