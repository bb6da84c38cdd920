//! The network on a GPU.

mod connector;
pub(super) mod decode;
mod encoder;
pub(super) mod language;
pub(super) mod tune;
pub(super) mod vision;

use super::back_end::{BackEnd, Rows, Start};
use super::parts::Language;
use super::{Chunk, Want, Wanted};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Letter, Matrix, Tensor};
use crate::image::Pixels;
use crate::quant::Format;
use crate::sample::Picked;
pub(super) use encoder::Encoder;
use language::KvCache;
use std::ops::Range;
use std::sync::Arc;

/// Weights and scratch memory on a device.
pub(super) struct Network {
    /// Held while the decoder's activations are in use: conversations share a model, not its
    /// scratch memory.
    busy: async_lock::Mutex<()>,
    pub(super) gpu: Gpu,
    pub(super) encoder: Arc<Encoder>,
    pub(super) language: (Language<Matrix, Tensor>, language::Scratch),
}

impl Network {
    /// Allocates the decoder's activations.
    pub(super) async fn new(
        config: &Config,
        encoder: Arc<Encoder>,
        language: Language<Matrix, Tensor>,
    ) -> Result<Network> {
        let gpu = encoder.gpu.clone();
        Ok(Network {
            busy: async_lock::Mutex::new(()),
            language: (language, language::Scratch::new(&gpu, config).await?),
            encoder,
            gpu,
        })
    }

    /// Submits `steps` steps of decoding; `None` where steps do not run ahead of their results.
    pub(super) fn run_steps(&self, kv: &mut KvCache, steps: usize) -> Option<Letter> {
        Some(kv.decoder.as_mut()?.run(&self.gpu, &kv.picker, steps))
    }

    /// The logits of the step before: \[vocab\].
    pub(super) async fn step_logits(&self, kv: &KvCache) -> Result<Vec<f32>> {
        match &kv.decoder {
            Some(decoder) => self.gpu.read_rows(decoder.logits(), 0, 1).await,
            None => Ok(Vec::new()),
        }
    }
}

impl BackEnd for Network {
    type Visual = Tensor;
    type Kv = Box<KvCache>;

    async fn new_cache(
        &self,
        config: &Config,
        format: Format,
        context: usize,
    ) -> Result<Box<KvCache>> {
        let kv = KvCache::new(&self.gpu, &config.language, &self.language.0, context, format);
        kv.await.map(Box::new)
    }

    async fn features(
        &self,
        config: &Config,
        pixels: &Pixels,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        self.encoder.features(config, pixels, cancel).await
    }

    async fn map(&self) -> Result<Option<Vec<f32>>> {
        self.encoder.map().await
    }

    async fn read_visual(&self, visual: &Tensor, rows: Range<usize>) -> Result<Vec<f32>> {
        self.gpu.read_rows(visual, rows.start, rows.len()).await
    }

    fn begin(&self, config: &Config, kv: &mut Box<KvCache>, start: &Start) {
        let Start { prompt, limit, sampling, seen, end_ids } = *start;
        kv.picker.begin(&self.gpu, prompt.saturating_sub(1), limit, sampling, seen, end_ids);
        kv.prepare(&config.language, &self.language.0);
    }

    fn restrict(&self, config: &Config, kv: &mut Box<KvCache>, mask: &[u32]) {
        kv.picker.restrict(&self.gpu, mask);
        kv.prepare(&config.language, &self.language.0);
    }

    fn show_logits(&self, kv: &mut Box<KvCache>) {
        kv.picker.shows_logits = true;
    }

    async fn picked(&self, kv: &Box<KvCache>) -> Result<Picked> {
        let state = kv.picker.read(&self.gpu).await?;
        Ok(state.picked((state.count as usize).saturating_sub(1)))
    }

    async fn extend(
        &self,
        config: &Config,
        kv: &mut Box<KvCache>,
        chunk: Chunk<'_, Tensor>,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        let _busy = self.busy.lock().await;
        let (w, a) = &self.language;
        language::forward(&self.gpu, config, w, a, kv, chunk, cancel).await
    }

    async fn embed(&self, config: &Config, chunk: Chunk<'_, Tensor>) -> Result<Vec<f32>> {
        let _busy = self.busy.lock().await;
        let (w, a) = &self.language;
        language::embedded(&self.gpu, config, w, a, chunk).await
    }

    async fn run_layers(
        &self,
        config: &Config,
        kv: &mut Box<KvCache>,
        rows: Rows<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let _busy = self.busy.lock().await;
        let (w, a) = &self.language;
        language::run_layers(&self.gpu, config, w, a, kv, rows, cancel).await
    }

    async fn finish(
        &self,
        config: &Config,
        kv: &mut Box<KvCache>,
        row: &[f32],
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        let _busy = self.busy.lock().await;
        let (w, a) = &self.language;
        language::finished(&self.gpu, config, w, a, kv, (row, want), cancel).await
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.gpu.forget_bind_groups();
    }
}
