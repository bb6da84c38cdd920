//! What a conversation has computed, wherever it lies.

use super::{cpu, gpu};

/// Keys and values of one conversation.
pub struct Cache {
    pub(super) kv: Kv,
    pub(super) len: usize,
    pub(super) capacity: usize,
    /// Tokens to pick at most, as [`super::Model::begin`] said.
    pub(super) limit: usize,
}

pub(super) enum Kv {
    Gpu(Box<gpu::language::KvCache>),
    Cpu(cpu::KvCache),
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

    /// Positions there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets the positions from `len` on.
    pub fn rewind(&mut self, len: usize) {
        assert!(len <= self.len, "rewind to {len} of {}", self.len);
        self.len = len;
        if let Kv::Cpu(kv) = &mut self.kv {
            kv.rewind(len);
        }
    }
}
