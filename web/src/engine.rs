//! A loaded model and one conversation about pictures.

use crate::failure::{Failure, Result};
use crate::pictures::{Kept, Pictures};
use crate::settings::{AskSettings, BenchSettings, LoadSettings, Settings};
use crate::stop::Stop;
use crate::store::{Store, StoredFiles};
use crate::{from_js, to_js};
use js_sys::Date;
use mqt::budget::Speed;
use mqt::internals::settings::{Asked, Measured};
use mqt::internals::{attention, bench};
use mqt::model::{Loading, Model, Tuning};
use mqt::session::{Session, Turn};
use mqt::{Cancel, defaults};
use std::sync::Arc;
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// How long loading may take longer for choosing kernels; what is left over is for the next time.
const TUNING: Tuning = Tuning::Within(Duration::from_millis(defaults::TUNING_MS));

/// A model with one conversation.
#[wasm_bindgen]
pub struct Engine {
    pub(crate) session: Session,
    /// Milliseconds that are not yet on an answer's account.
    load_ms: f64,
    pub(crate) decode_image_ms: f64,
}

#[wasm_bindgen]
impl Engine {
    /// Loads the pack or checkpoint in `store`, calling `on_progress(phase, done, total)`; the
    /// phases are `device`, `compiling kernels`, `loading weights` (bytes, as they lie on the
    /// device) and `warm-up`. Encoded pictures are kept in `pictures`.
    ///
    /// # Errors
    /// An option that makes no sense; the model's, the adapter's and the device's failures.
    #[allow(
        clippy::arc_with_non_send_sync,
        reason = "natively a model is Send and Sync, and a session takes it as it is there"
    )]
    pub async fn load(
        store: Store,
        options: LoadSettings,
        on_progress: &js_sys::Function,
        pictures: Option<Pictures>,
    ) -> Result<Engine> {
        let start = Date::now();
        let settings: Settings = from_js(&options)?;
        let options = settings.options(TUNING)?;
        let tell = |phase: &str, done: u64, total: u64| {
            // A listener that throws is the listener's problem.
            let _ = on_progress.call3(
                &JsValue::UNDEFINED,
                &phase.into(),
                &(done as f64).into(),
                &(total as f64).into(),
            );
        };
        tell("device", 0, 0);
        let model =
            Model::from_files(Box::new(StoredFiles::new(store)), &options, &mut |loading| {
                if let Loading::Progress(p) = loading {
                    tell(p.phase, p.done, p.total);
                }
            })
            .await?;
        tell("warm-up", 0, 0);
        let (model, cancel) = (Arc::new(model), Cancel::new());
        let most = model.config().max_context();
        let mut session = match settings.context {
            Some(context) => Session::new(model, context.min(most), &cancel).await?,
            None => Session::growing(model, &cancel).await?,
        };
        if let Some(pictures) = pictures {
            session.keep_pictures(Arc::new(Kept(pictures)));
        }
        Ok(Engine { session, load_ms: Date::now() - start, decode_image_ms: 0.0 })
    }

    /// What was loaded, and where it runs.
    ///
    /// # Errors
    /// Never in practice: the value is plain text and numbers.
    pub fn loaded(&self) -> Result<JsValue> {
        to_js(&self.session.loaded())
    }

    /// What was learned about this device so far, the speed of what was asked included: for the
    /// next load's settings.
    ///
    /// # Errors
    /// Never in practice: the value is plain text and numbers.
    pub fn learned(&self) -> Result<JsValue> {
        self.learned_with(self.session.speed())
    }

    /// The same after a typical answer was measured: a picture, a prompt, some tokens.
    ///
    /// # Errors
    /// Stopped, or the device's failures.
    pub async fn probe(&self, stop: &Stop) -> Result<JsValue> {
        let model = self.session.model().clone();
        self.learned_with(&Session::probe(model, &stop.cancel).await?)
    }

    fn learned_with(&self, speed: &Speed) -> Result<JsValue> {
        to_js(&self.session.model().learned_with(speed))
    }

    /// Measures device and model, calling `on_progress(what)`: the report `mqt.bench/1`.
    ///
    /// # Errors
    /// A setting that makes no sense, stopped, the device's failures.
    pub async fn bench(
        &mut self,
        settings: BenchSettings,
        on_progress: &js_sys::Function,
        stop: &Stop,
    ) -> Result<JsValue> {
        let plan = from_js::<Measured>(&settings)?.plan(stop.cancel.clone())?;
        let mut tell = |what: &str| {
            let _ = on_progress.call1(&JsValue::UNDEFINED, &what.into());
        };
        to_js(&bench::run(self.session.model(), &plan, &mut tell).await?)
    }

    /// Reads the pictures' image tokens ahead of the question.
    ///
    /// # Errors
    /// A budget out of range, stopped, the device's failures.
    pub async fn prepare(&mut self, settings: AskSettings, stop: &Stop) -> Result<()> {
        let request = from_js::<Asked>(&settings)?.request(String::new())?;
        Ok(self.session.prepare_for(&request, &stop.cancel).await?)
    }

    /// Bytes of buffers alive on the device; 0 on the processor.
    #[wasm_bindgen(js_name = gpuBytes)]
    pub fn gpu_bytes(&self) -> f64 {
        self.session.model().counters().bytes as f64
    }

    /// Forgets the questions so far, keeps the pictures.
    #[wasm_bindgen(js_name = startAnew)]
    pub fn start_anew(&mut self) {
        self.session.start_anew();
    }

    /// Takes the last question and answer back, so that it can be asked again with other image
    /// tokens.
    #[wasm_bindgen(js_name = takeBack)]
    pub fn take_back(&mut self) {
        self.session.take_back();
    }

    /// Changes the text that opens the conversation; without one, the model's own.
    ///
    /// # Errors
    /// It leaves no room for a question.
    pub fn instruct(&mut self, system: Option<String>) -> Result<()> {
        Ok(self.session.instruct(system.as_deref())?)
    }

    /// Continues an earlier conversation: a list of `{ question, tokenIds, imageTokens }`, such as
    /// answers are.
    ///
    /// # Errors
    /// The list is not such a list, or it is another model's.
    pub fn resume(&mut self, turns: &JsValue) -> Result<()> {
        Ok(self.session.resume(&from_js::<Vec<Turn>>(turns)?)?)
    }

    /// What a question would cost now.
    ///
    /// # Errors
    /// A budget out of range.
    pub fn estimate(&self, question: &str, settings: AskSettings) -> Result<JsValue> {
        let request = from_js::<Asked>(&settings)?.request(question.into())?;
        to_js(&self.session.estimate_for(&request)?)
    }

    /// Where each of so many image tokens reads from: [tokens, patches], rows summing to 1.
    ///
    /// # Errors
    /// The model does not give so many; the device's failures.
    #[wasm_bindgen(js_name = resamplerMap)]
    pub async fn resampler_map(&self, image_tokens: usize) -> Result<Vec<f32>> {
        Ok(self.session.model().resampler_map(image_tokens).await?)
    }

    /// What the last answer looked at in each picture that it saw, in the order of the prompt: a
    /// list of `LookedAt`. One more pass over the answer's tokens; the conversation goes on as
    /// before.
    ///
    /// # Errors
    /// Nothing was answered since the pictures or the turns changed, the question chose the image
    /// tokens, stopped, the device's failures.
    #[wasm_bindgen(js_name = lookedAt)]
    pub async fn looked_at(&mut self, stop: &Stop) -> Result<JsValue> {
        to_js(&self.session.looked_at(&stop.cancel).await?)
    }

    /// Answers a question about the pictures, calling `on_text` with each piece of text: the record
    /// `mqt.answer/1`, its names in camelCase.
    ///
    /// # Errors
    /// A budget out of range, a full context, stopped before the first token, the device's
    /// failures.
    pub async fn ask(
        &mut self,
        question: String,
        settings: AskSettings,
        on_text: &js_sys::Function,
        stop: &Stop,
    ) -> Result<JsValue> {
        let request = from_js::<Asked>(&settings)?.request(question)?;
        let mut show = |text: &str| {
            // A listener that throws is the listener's problem; the answer goes on.
            let _ = on_text.call1(&JsValue::UNDEFINED, &text.into());
        };
        let answer = self.session.ask(&request, &stop.cancel, &mut show).await?;
        let load = std::mem::take(&mut self.load_ms);
        let decode_image = std::mem::take(&mut self.decode_image_ms);
        to_js(&answer.counting(load, decode_image))
    }
}

/// A heat map over what the model sees.
#[wasm_bindgen]
pub struct Heat {
    rgba: Vec<u8>,
    /// The ninth of the picture with the most weight, in words.
    #[wasm_bindgen(getter_with_clone, readonly)]
    pub place: String,
    /// Its share of the weight.
    #[wasm_bindgen(readonly)]
    pub share: f32,
}

#[wasm_bindgen]
impl Heat {
    /// Draws patch `weights` over `rgb` [side, side, 3], `scale` times as large.
    ///
    /// # Errors
    /// The bytes are not a square picture, or there are no weights.
    #[wasm_bindgen(constructor)]
    pub fn new(rgb: &[u8], weights: &[f32], scale: usize, opacity: f32) -> Result<Heat> {
        let size = (rgb.len() / 3).isqrt();
        if size == 0
            || size * size * 3 != rgb.len()
            || weights.is_empty()
            || !(1..=16).contains(&scale)
        {
            return Err(Failure::invalid(
                "a heat map needs a square picture, weights, and a scale of 1 to 16",
            ));
        }
        let (place, share) = attention::mostly(weights);
        let drawn = attention::overlay(rgb, size, weights, scale, opacity);
        let rgba =
            drawn.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
        Ok(Heat { rgba, place: place.into(), share })
    }

    /// [side · scale, side · scale, 4]
    pub fn rgba(&self) -> Vec<u8> {
        self.rgba.clone()
    }
}
