//! A picture's way through the model: squares → image tokens.

use super::back_end::{BackEnd, Encoded};
use super::{Config, Looked, Model, Network, cache, cpu, gpu};
use crate::attention;
use crate::budget;
use crate::cancel::{Cancel, Stage};
use crate::error::Result;
use crate::gpu::Tensor;
use crate::image::Pixels;
use crate::image::tiles::{Level, Plan};
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// All M image tokens of one picture; m of them are its first m rows.
pub struct ImageTokens(pub(super) Visual);

pub(super) enum Visual {
    Gpu(Tensor),
    Cpu(Vec<f32>),
}

impl ImageTokens {
    pub(super) fn gpu(&self) -> &Tensor {
        match &self.0 {
            Visual::Gpu(tensor) => tensor,
            Visual::Cpu(_) => cache::foreign(),
        }
    }

    pub(super) fn cpu(&self) -> &Vec<f32> {
        match &self.0 {
            Visual::Cpu(values) => values,
            Visual::Gpu(_) => cache::foreign(),
        }
    }
}

/// A picture that was encoded before anybody asked about it.
pub(super) struct Seen {
    pub(super) hash: [u8; 32],
    pub(super) level: Level,
    pub(super) visual: ImageTokens,
    pub(super) looked: Looked,
    pub(super) measured: Measured,
}

/// What the time that a picture took says about the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measured {
    /// Nothing: kernels were compiled meanwhile.
    Cold,
    /// That it is at least so fast: weights were read meanwhile.
    #[cfg_attr(not(feature = "native"), expect(dead_code, reason = "nothing is encoded ahead"))]
    Beside,
    /// How fast it is.
    Alone,
}

/// What makes image tokens of a picture, wherever it lives.
#[derive(Clone)]
pub(super) enum Encoder {
    Gpu(Arc<gpu::Encoder>),
    Cpu(Arc<cpu::Encoder>),
}

impl Encoder {
    /// How many kernels the device has compiled so far.
    #[cfg_attr(not(feature = "native"), expect(dead_code, reason = "nothing is encoded ahead"))]
    pub(super) fn compiled(&self) -> usize {
        match self {
            Encoder::Gpu(encoder) => encoder.gpu.pipeline_count(),
            Encoder::Cpu(_) => 0,
        }
    }

    /// The image tokens of `squares`, cut as `plan` says: all, or the first `n` where they come
    /// from a resampler.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`], or the device's failures.
    pub(super) async fn look(
        &self,
        config: &Config,
        squares: &[Pixels],
        plan: &Plan,
        n: usize,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        cancel.begin(Stage::Picture, config.vision.layers * squares.len());
        let (visual, vision, resample) = match self {
            Encoder::Gpu(encoder) => {
                let Encoded { visual, vision, resample } =
                    encoder.look(config, squares, plan, n, cancel).await?;
                (Visual::Gpu(visual), vision, resample)
            }
            Encoder::Cpu(encoder) => {
                let Encoded { visual, vision, resample } =
                    encoder.look(config, squares, plan, n, cancel).await?;
                (Visual::Cpu(visual), vision, resample)
            }
        };
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let looked = Looked {
            vision_runs: squares.len() as u32,
            vision_ms: ms(vision),
            resample_ms: ms(resample),
            hidden_ms: 0.0,
        };
        Ok((ImageTokens(visual), looked))
    }
}

impl Model {
    /// Encodes a picture, cut into `squares` as `plan` says, into its image tokens: those of
    /// [`crate::Config::tokens`] in the order of the prompt. Behind those of a single square lie
    /// averages of them, where the model's kind of projector allows that.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`], also between two squares, or the device's failures.
    ///
    /// # Panics
    /// There are more or fewer squares than in the plan.
    #[doc(hidden)]
    pub async fn look(
        &self,
        squares: &[Pixels],
        plan: &Plan,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        assert_eq!(squares.len(), plan.squares(), "look: squares");
        self.encode(squares, plan, self.config.visual_rows(), cancel).await
    }

    /// The same for one square with every token of it, whatever the family.
    ///
    /// # Errors
    /// As [`Model::look`].
    #[doc(hidden)]
    pub async fn look_at_square(
        &self,
        pixels: &Pixels,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        self.look_at(pixels, self.config.visual_rows(), cancel).await
    }

    /// Encodes one square, cut in the cheapest way there is: for measuring.
    ///
    /// # Errors
    /// As [`Model::look`].
    pub(crate) async fn look_once(
        &self,
        square: &Pixels,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        let plan = self.config.least_plan((square.size, square.size));
        self.look(std::slice::from_ref(square), &plan, cancel).await
    }

    /// The same with only the first `n` image tokens computed, where they come from a resampler.
    pub(crate) async fn look_at(
        &self,
        pixels: &Pixels,
        n: usize,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        let picture = (pixels.source.0 as usize, pixels.source.1 as usize);
        let plan = Plan { level: Level::Square, ..self.config.least_plan(picture) };
        self.encode(std::slice::from_ref(pixels), &plan, n, cancel).await
    }

    async fn encode(
        &self,
        squares: &[Pixels],
        plan: &Plan,
        n: usize,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        let encoder = match &self.network {
            Network::Gpu(net) => Encoder::Gpu(net.encoder.clone()),
            Network::Cpu(net) => Encoder::Cpu(net.encoder.clone()),
        };
        encoder.look(&self.config, squares, plan, n, cancel).await
    }

    /// What was encoded of this picture while the model was loaded, if it was; once.
    pub(crate) fn seen_ahead(
        &self,
        hash: &[u8; 32],
        level: Level,
    ) -> Option<(ImageTokens, Looked, Measured)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { visual, looked, measured, .. } =
            seen.take_if(|seen| seen.hash == *hash && seen.level == level)?;
        Some((visual, looked, measured))
    }

    /// The tower's features of one square, [patches, d]: `mqt trace`.
    ///
    /// # Errors
    /// As [`Model::look`].
    #[doc(hidden)]
    pub async fn vision_features(&self, pixels: &Pixels, cancel: &Cancel) -> Result<Vec<f32>> {
        match &self.network {
            Network::Gpu(net) => net.features(&self.config, pixels, cancel).await,
            Network::Cpu(net) => net.features(&self.config, pixels, cancel).await,
        }
    }

    /// Where each of `m` image tokens reads from, [m, patches]: the resampler's weights, averaged
    /// over its heads; rows sum to 1. They are a constant of the model, the same for every picture.
    ///
    /// # Errors
    /// The model does not give `m` tokens; [`crate::Error::DeviceLost`].
    #[doc(hidden)]
    pub async fn resampler_map(&self, m: usize) -> Result<Vec<f32>> {
        budget::fixed(m as u64, &self.config.mapped())?;
        let map = match &self.network {
            Network::Gpu(net) => net.map().await?,
            Network::Cpu(net) => net.map().await?,
        };
        let vision = &self.config.vision;
        Ok(match map {
            Some(map) => attention::mean(&map, self.config.m_max(), vision.patches(), m),
            None => attention::pooled(vision.grid(), m),
        })
    }

    /// Rows of the image tokens as [`Model::look`] made them, [rows, hidden].
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    ///
    /// # Panics
    /// There are fewer rows, or the image tokens are of a model on another device.
    #[doc(hidden)]
    pub async fn read_visual(&self, visual: &ImageTokens, rows: Range<usize>) -> Result<Vec<f32>> {
        match &self.network {
            Network::Gpu(net) => net.read_visual(visual.gpu(), rows).await,
            Network::Cpu(net) => net.read_visual(visual.cpu(), rows).await,
        }
    }
}
