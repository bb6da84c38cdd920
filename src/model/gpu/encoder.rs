//! What makes image tokens of a picture, on a GPU.

use super::super::back_end::Encoded;
use super::super::parts;
use super::connector::Connector;
use super::vision;
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Matrix, Tensor};
use crate::image::Pixels;
use crate::image::tiles::Plan;
use crate::kernels::mix::Map;
use crate::model::parts::Vision;
use std::time::Duration;
use web_time::Instant;

/// The tower and the connector, with their activations.
pub(in crate::model) struct Encoder {
    /// Held while the activations are in use: conversations share a model, not its scratch memory.
    busy: async_lock::Mutex<()>,
    pub(in crate::model) gpu: Gpu,
    pub(super) vision: (Vision<Matrix, Tensor>, vision::Scratch),
    pub(super) connector: Connector,
}

impl Encoder {
    /// Allocates the activations.
    pub(in crate::model) async fn new(
        gpu: Gpu,
        config: &Config,
        weights: parts::Encoder<Matrix, Tensor, Map>,
    ) -> Result<Encoder> {
        let parts::Encoder { vision, projector } = weights;
        Ok(Encoder {
            busy: async_lock::Mutex::new(()),
            vision: (vision, vision::Scratch::new(&gpu, config).await?),
            connector: Connector::new(&gpu, config, projector).await?,
            gpu,
        })
    }

    pub(in crate::model) async fn features(
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

    pub(in crate::model) async fn look(
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

    pub(super) async fn map(&self) -> Result<Option<Vec<f32>>> {
        match &self.connector {
            Connector::Resampler { w, .. } => w.map.read(&self.gpu).await.map(Some),
            Connector::Gridded { .. } => Ok(None),
        }
    }
}
