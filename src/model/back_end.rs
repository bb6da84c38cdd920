//! What a network does, wherever it runs: on the GPU ([`super::gpu`]) or on the processor
//! ([`super::cpu`]).

use super::{Chunk, Want, Wanted};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::image::Pixels;
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

/// Rows of the residual stream, at most [`CHUNK`], that go through some of the decoder's layers.
pub(super) struct Rows<'a> {
    /// [rows, hidden], replaced by what comes out.
    pub(super) x: &'a mut [f32],
    /// Where the first goes in the caches of these layers.
    pub(super) position: usize,
    pub(super) layers: Range<usize>,
    /// Whether what they attend to in the last of the layers is wanted.
    pub(super) looks: bool,
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

    /// The resampler's weights, [heads, M, patches]; `None` where there is no resampler.
    async fn map(&self) -> Result<Option<Vec<f32>>>;

    /// Rows of the image tokens, [rows, hidden].
    async fn read_visual(&self, visual: &Self::Visual, rows: Range<usize>) -> Result<Vec<f32>>;

    /// Makes ready for an answer.
    fn begin(&self, config: &Config, kv: &mut Self::Kv, start: &Start);

    /// From now on only tokens of `mask`, one bit each, are picked.
    fn restrict(&self, config: &Config, kv: &mut Self::Kv, mask: &[u32]);

    /// From now on what is picked from is handed back as [`Wanted::Logits`].
    fn show_logits(&self, kv: &mut Self::Kv);

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

    /// A chunk's slots as they enter the decoder, [slots, hidden].
    async fn embed(&self, config: &Config, chunk: Chunk<'_, Self::Visual>) -> Result<Vec<f32>>;

    /// Runs some layers; gives the mean over heads of what the rows attend to in the last of them,
    /// [rows, position + rows], or nothing.
    async fn run_layers(
        &self,
        config: &Config,
        kv: &mut Self::Kv,
        rows: Rows<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<f32>>;

    /// What is wanted of a row \[hidden\] that has been through all layers.
    async fn finish(
        &self,
        config: &Config,
        kv: &mut Self::Kv,
        row: &[f32],
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted>;
}
