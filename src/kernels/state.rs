//! The words that decoding keeps on the device: what the next step reads, what the last one decided.

use crate::sample::{Picked, Sampling};

/// Words of the state buffer; the shaders' own numbers.
pub const WORDS: usize = 160;
/// Where the ring of the last tokens starts, …
const RING: usize = 32;
/// … and that of their probabilities, …
const LIKELY: usize = 96;
/// … and how many each holds.
pub const RING_TOKENS: usize = 64;
/// End tokens it has room for.
pub const END_TOKENS: usize = 8;

/// What starts a generation.
///
/// `position`: of the token picked last, so one less than the next one's; `limit`: tokens to pick at most.
pub fn start(position: usize, limit: usize, sampling: &Sampling, end_ids: &[u32]) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    words[1] = position as u32;
    words[4] = sampling.seed as u32;
    words[5] = (sampling.seed >> 32) as u32;
    words[6] = sampling.top_k.min(u32::MAX as usize) as u32;
    words[7] = sampling.temperature.to_bits();
    words[8] = sampling.top_p.to_bits();
    words[9] = sampling.repetition_penalty.to_bits();
    words[10] = limit as u32;
    // Room that is left over repeats nothing: no token has this id.
    words[16..16 + END_TOKENS].fill(u32::MAX);
    for (word, id) in words[16..].iter_mut().zip(end_ids.iter().take(END_TOKENS)) {
        *word = *id;
    }
    words
}

/// A state read back.
#[derive(Clone, Debug)]
pub struct State(Vec<u32>);

impl State {
    /// From the buffer's bytes.
    pub fn new(bytes: &[u8]) -> State {
        State(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// Tokens picked since the start.
    pub fn count(&self) -> usize {
        self.0[3] as usize
    }

    /// Whether the generation has ended.
    pub fn done(&self) -> bool {
        self.0[2] != 0
    }

    /// The `i`th token picked, among the last [`RING_TOKENS`].
    pub fn picked(&self, i: usize) -> Picked {
        let at = i % RING_TOKENS;
        Picked::new(self.0[RING + at], f32::from_bits(self.0[LIKELY + at]))
    }
}

/// A state buffer, greedy from position 0 on but for what `change` does to its words: for cases.
pub(super) async fn upload(gpu: &crate::gpu::Gpu, change: impl Fn(&mut [u32; WORDS])) -> crate::Result<crate::gpu::Storage> {
    let mut words = start(0, usize::MAX, &Sampling::default(), &[]);
    change(&mut words);
    let storage = gpu.storage("state", WORDS as u64 * 4).await?;
    gpu.write(&storage, 0, bytemuck::cast_slice(&words));
    Ok(storage)
}
