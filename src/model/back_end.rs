//! What a network does, wherever it runs: on the GPU ([`super::gpu`]) or on the processor
//! ([`super::cpu`]).

use super::{Chunk, Wanted};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::image::Pixels;
use crate::image::tiles::Plan;
use crate::quant::Format;
use crate::sample::{Picked, Sampling};
use std::ops::Range;
use std::time::Duration;

/// Tokens computed at once in prefill.
pub(super) const CHUNK: usize = 128;

/// How an answer's tokens are picked: [`super::Model::begin`].
pub(super) struct Start<'a> {
    /// Positions of the whole prompt.
    pub(super) prompt: usize,
    /// Tokens to pick at most.
    pub(super) limit: usize,
    pub(super) sampling: &'a Sampling,
    /// Tokens that the repetition penalty falls on from the start.
    pub(super) seen: &'a [u32],
    /// Tokens that end the answer.
    pub(super) end_ids: &'a [u32],
}

/// A picture's image tokens, and what they took.
pub(super) struct Encoded<V> {
    /// [rows, hidden]: [`Config::tokens`] of the plan; of a single square averages of them follow,
    /// [`Config::visual_rows`] in all.
    pub(super) visual: V,
    /// Time of the tower.
    pub(super) vision: Duration,
    /// Time of the resampler or the projector.
    pub(super) resample: Duration,
}

/// One network on one device. All errors are the device's or [`crate::Error::Cancelled`].
pub(super) trait BackEnd {
    /// A picture's image tokens.
    type Visual;
    /// Keys and values of a conversation, and how its tokens are picked.
    type Kv;

    /// An empty cache for `context` positions; `format` says how a GPU keeps it.
    async fn new_cache(&self, config: &Config, format: Format, context: usize) -> Result<Self::Kv>;

    /// The tower's features of one square, [patches, d].
    async fn features(&self, config: &Config, pixels: &Pixels, cancel: &Cancel)
    -> Result<Vec<f32>>;

    /// A picture's image tokens from its squares, in the order of the prompt: all, or the first `n`
    /// where they come from a resampler.
    async fn look(
        &self,
        config: &Config,
        squares: &[Pixels],
        plan: &Plan,
        n: usize,
        cancel: &Cancel,
    ) -> Result<Encoded<Self::Visual>>;

    /// The resampler's weights, [heads, M, patches]; `None` where there is no resampler.
    async fn map(&self) -> Result<Option<Vec<f32>>>;

    /// Rows of the image tokens, [rows, hidden].
    async fn read_visual(&self, visual: &Self::Visual, rows: Range<usize>) -> Result<Vec<f32>>;

    /// Makes ready for an answer.
    fn begin(&self, config: &Config, kv: &mut Self::Kv, start: &Start);

    /// The token picked last.
    async fn picked(&self, kv: &Self::Kv) -> Result<Picked>;

    /// Computes a chunk of slots.
    async fn extend(
        &self,
        config: &Config,
        kv: &mut Self::Kv,
        chunk: Chunk<'_, Self::Visual>,
        cancel: &Cancel,
    ) -> Result<Wanted>;
}
