//! What a conversation has computed, on the GPU or in host memory.

use super::{cpu, gpu};

/// Keys and values of one conversation.
pub struct Cache {
    pub(super) kv: Kv,
    pub(super) len: usize,
    /// By how many positions each layer is shorter, once a question chose image tokens; empty
    /// before.
    pub(super) removed: Vec<usize>,
    /// Of those positions, how many every layer has.
    pub(super) whole: usize,
    pub(super) capacity: usize,
    /// Tokens to pick at most, as [`super::Model::begin`] said.
    pub(super) limit: usize,
}

pub(super) enum Kv {
    Gpu(Box<gpu::language::KvCache>),
    Cpu(Box<cpu::KvCache>),
}

/// Image tokens and caches lie where their model lies.
pub(super) fn foreign() -> ! {
    panic!("image tokens and a cache belong to the model that made them")
}

impl Cache {
    pub(super) fn gpu(&mut self) -> &mut Box<gpu::language::KvCache> {
        match &mut self.kv {
            Kv::Gpu(kv) => kv,
            Kv::Cpu(_) => foreign(),
        }
    }

    pub(super) fn cpu(&mut self) -> &mut cpu::KvCache {
        match &mut self.kv {
            Kv::Cpu(kv) => kv,
            Kv::Gpu(_) => foreign(),
        }
    }

    /// Positions computed.
    #[allow(clippy::len_without_is_empty, reason = "it is a length in positions, not a collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Positions that every layer holds, from the first on: all of them, unless the question chose
    /// image tokens ([`super::Model::extend_chosen`]). No other prompt can share those behind.
    pub fn whole(&self) -> usize {
        if self.removed.is_empty() { self.len } else { self.whole }
    }

    /// Positions there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets the positions from `len` on.
    pub fn rewind(&mut self, len: usize) {
        assert!(len <= self.len, "rewind to {len} of {}", self.len);
        self.len = len;
        if len <= self.whole {
            self.removed.clear();
        }
        if let Kv::Cpu(kv) = &mut self.kv {
            kv.rewind(len, &self.removed);
        }
    }
}
