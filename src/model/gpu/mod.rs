//! The network on a GPU.

mod connector;
pub(super) mod decode;
pub(super) mod language;
pub(super) mod tune;
pub(super) mod vision;

use super::back_end::{BackEnd, Encoded, Start};
use super::parts::{Language, Parts, Vision};
use super::{Chunk, Wanted};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Letter, Matrix, Tensor};
use crate::image::Pixels;
use crate::image::tiles::Plan;
use crate::kernels::mix::Map;
use crate::quant::Format;
use crate::sample::Picked;
use connector::Connector;
use language::KvCache;
use std::ops::Range;
use std::time::Duration;
use web_time::Instant;

/// Weights and scratch memory on a device.
pub(super) struct Network {
    /// Held while the activations below are in use: conversations share a model, not its scratch
    /// memory.
    busy: async_lock::Mutex<()>,
    pub(super) gpu: Gpu,
    vision: (Vision<Matrix, Tensor>, vision::Scratch),
    connector: Connector,
    pub(super) language: (Language<Matrix, Tensor>, language::Scratch),
}

impl Network {
    /// Allocates the activations.
    pub(super) async fn new(
        gpu: Gpu,
        config: &Config,
        parts: Parts<Matrix, Tensor, Map>,
    ) -> Result<Network> {
        let Parts { vision, projector, language } = parts;
        Ok(Network {
            busy: async_lock::Mutex::new(()),
            vision: (vision, vision::Scratch::new(&gpu, config).await?),
            connector: Connector::new(&gpu, config, projector).await?,
            language: (language, language::Scratch::new(&gpu, config).await?),
            gpu,
        })
    }

    /// Submits `steps` steps of decoding; `None` where steps do not run ahead of their results.
    pub(super) fn run_steps(&self, kv: &mut KvCache, steps: usize) -> Option<Letter> {
        Some(kv.decoder.as_mut()?.run(&self.gpu, &kv.picker, steps))
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
        let _busy = self.busy.lock().await;
        let (w, a) = &self.vision;
        let x = vision::encode(&self.gpu, config, w, a, pixels, cancel).await?;
        self.gpu.read_rows(x, config.vision.first_patch(), config.vision.patches()).await
    }

    async fn look(
        &self,
        config: &Config,
        squares: &[Pixels],
        plan: &Plan,
        n: usize,
        cancel: &Cancel,
    ) -> Result<Encoded<Tensor>> {
        let _busy = self.busy.lock().await;
        let (w, a) = &self.vision;
        let (mut vision, mut resample) = (Duration::ZERO, Duration::ZERO);
        let visual = self.connector.room(&self.gpu, config, plan, n).await?;
        for (i, pixels) in squares.iter().enumerate() {
            let start = Instant::now();
            let x = vision::encode(&self.gpu, config, w, a, pixels, cancel).await?;
            self.gpu.idle().await?;
            let encoded = Instant::now();
            self.connector.project(&self.gpu, config, x, (&visual, i), cancel).await?;
            vision += encoded - start;
            resample += encoded.elapsed();
        }
        let encoded = Instant::now();
        let visual = self.connector.finish(&self.gpu, visual).await?;
        resample += encoded.elapsed();
        Ok(Encoded { visual, vision, resample })
    }

    async fn map(&self) -> Result<Option<Vec<f32>>> {
        match &self.connector {
            Connector::Resampler { w, .. } => w.map.read(&self.gpu).await.map(Some),
            Connector::Gridded { .. } => Ok(None),
        }
    }

    async fn read_visual(&self, visual: &Tensor, rows: Range<usize>) -> Result<Vec<f32>> {
        self.gpu.read_rows(visual, rows.start, rows.len()).await
    }

    fn begin(&self, config: &Config, kv: &mut Box<KvCache>, start: &Start) {
        let Start { prompt, limit, sampling, seen, end_ids } = *start;
        kv.picker.begin(&self.gpu, prompt.saturating_sub(1), limit, sampling, seen, end_ids);
        kv.prepare(&config.language, &self.language.0);
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
}

impl Drop for Network {
    fn drop(&mut self) {
        self.gpu.forget_bind_groups();
    }
}
