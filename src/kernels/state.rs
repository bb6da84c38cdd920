//! What decoding keeps on the device from step to step: the input of the next step and the result
//! of the last one.
//!
//! [`State`] is the twin of the struct in `shaders/common/state.wgsl`; the lint compares names and
//! offsets.

use crate::sample::{Picked, Sampling};

/// The shaders' declaration of [`State`].
pub(super) const STATE: &str = include_str!("../../shaders/common/state.wgsl");
/// Tokens picked last that the state holds.
pub const RECENT: usize = 64;
/// End tokens it has room for.
pub const END_TOKENS: usize = 8;

/// Declares the struct together with its fields' names and offsets in bytes, which the lint
/// compares with the shader's.
macro_rules! state {
    ($(#[doc = $doc:literal] $field:ident: $type:ty),* $(,)?) => {
        /// The state buffer's content.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct State { $(#[doc = $doc] pub $field: $type),* }
        /// Names and offsets in order.
        #[cfg(test)]
        pub(super) const FIELDS: &[(&str, usize)] = &[$((stringify!($field), std::mem::offset_of!(State, $field))),*];
    };
}

state! {
    /// Picked last: the one that the next step reads.
    token: u32,
    /// Of that token.
    position: u32,
    /// 1 once the generation has ended: the steps that follow do nothing.
    done: u32,
    /// Tokens picked since the start.
    count: u32,
    /// Low half of the seed.
    seed_low: u32,
    /// High half of the seed.
    seed_high: u32,
    /// 0: all.
    top_k: u32,
    /// 0: greedy.
    temperature: f32,
    /// 0 to 1.
    top_p: f32,
    /// 1: none.
    repetition_penalty: f32,
    /// Tokens to pick at most.
    limit: u32,
    /// Left over room holds `u32::MAX`, which is no token.
    end_tokens: [u32; END_TOKENS],
    /// A ring: token i of the generation is at i % [`RECENT`].
    recent: [u32; RECENT],
    /// Of those tokens.
    probabilities: [f32; RECENT],
}

impl State {
    /// Size of the buffer.
    pub const BYTES: u64 = size_of::<State>() as u64;

    /// What starts a generation.
    ///
    /// `position`: of the token picked last, so one less than the next one's; `limit`: tokens to
    /// pick at most.
    pub fn start(position: usize, limit: usize, sampling: &Sampling, end_ids: &[u32]) -> State {
        let mut end_tokens = [u32::MAX; END_TOKENS];
        for (token, id) in end_tokens.iter_mut().zip(end_ids) {
            *token = *id;
        }
        State {
            position: position as u32,
            seed_low: sampling.seed as u32,
            seed_high: (sampling.seed >> 32) as u32,
            top_k: u32::try_from(sampling.top_k).unwrap_or(u32::MAX),
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            repetition_penalty: sampling.repetition_penalty,
            limit: limit as u32,
            end_tokens,
            ..bytemuck::Zeroable::zeroed()
        }
    }

    /// A state read back from its buffer, [`State::BYTES`] long.
    pub fn read(bytes: &[u8]) -> State {
        bytemuck::pod_read_unaligned(bytes)
    }

    /// The `i`th token picked, among the last [`RECENT`].
    pub fn picked(&self, i: usize) -> Picked {
        Picked::new(self.recent[i % RECENT], self.probabilities[i % RECENT])
    }
}

/// A state buffer, greedy from position 0 on but for what `change` does to it: for cases.
pub(super) async fn upload(
    gpu: &crate::gpu::Gpu,
    change: impl Fn(&mut State),
) -> crate::Result<crate::gpu::Storage> {
    let mut state = State::start(0, usize::MAX, &Sampling::default(), &[]);
    change(&mut state);
    let storage = gpu.storage("state", State::BYTES).await?;
    gpu.write(&storage, 0, bytemuck::bytes_of(&state));
    Ok(storage)
}
