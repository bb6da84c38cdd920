//! A loaded model and one conversation about a picture.

use crate::failure::{Failure, Result};
use crate::settings::{AskSettings, Asked, BenchSettings, LoadSettings, Measured, Settings};
use crate::stop::Stop;
use crate::store::{Store, StoredFiles};
use crate::{from_js, to_js};
use js_sys::Date;
use mqt::gpu::{AdapterInfo, Choices};
use mqt::image::{Picture, Pixels, Reading};
use mqt::model::{Arithmetic, Loading, Model, Tuning};
use mqt::session::{Session, Turn};
use mqt::{Budget, Cancel, attention, bench, defaults};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// How long loading may take longer for choosing kernels; what is left over is for the next time.
const TUNING: Tuning = Tuning::Within(Duration::from_millis(defaults::TUNING_MS));

/// A model with one conversation.
#[wasm_bindgen]
pub struct Engine {
    session: Session,
    /// Milliseconds that are not yet on an answer's account.
    load_ms: f64,
    decode_image_ms: f64,
}

/// A loaded model and the device it runs on.
#[derive(Serialize)]
struct Loaded<'a> {
    /// The pack's or folder's name.
    name: &'a str,
    /// f32, f16, q8 or q4.
    weights: String,
    /// SHA-256 of its manifest; empty for a checkpoint folder.
    sha256: &'a str,
    /// Which numbers of image tokens it gives.
    offer: Offer,
    /// Patches per side of the picture.
    grid: usize,
    /// Room for tokens of picture and conversation.
    context: usize,
    /// The longest context that the model allows.
    context_max: usize,
    /// Where it runs.
    adapter: &'a AdapterInfo,
    /// On the processor because no adapter could be used.
    fell_back: bool,
    /// `fast` or `exact`.
    arithmetic: Arithmetic,
    /// What was learned about this adapter so far: for the next load's settings.
    kernels: Choices,
}

/// Which numbers of image tokens a model gives.
#[derive(Serialize)]
struct Offer {
    /// M: the most.
    max: usize,
    /// The numbers there are, rising; empty: every one from 1 to `max`.
    exactly: Vec<usize>,
    /// Those worth comparing, rising.
    ladder: Vec<usize>,
}

impl From<mqt::budget::Offer> for Offer {
    fn from(offer: mqt::budget::Offer) -> Offer {
        Offer { max: offer.max, ladder: offer.ladder(), exactly: offer.exactly }
    }
}

/// What the model sees of a picture.
#[wasm_bindgen]
pub struct View {
    rgb: Vec<u8>,
    /// Side of the square in pixels.
    #[wasm_bindgen(readonly)]
    pub size: usize,
    /// Width of the picture before it was made square.
    #[wasm_bindgen(readonly)]
    pub width: u32,
    /// Height of the picture before it was made square.
    #[wasm_bindgen(readonly)]
    pub height: u32,
    /// The file has a rotation, transparency or 16 bits: a program that reads it otherwise sees
    /// other pixels.
    #[wasm_bindgen(readonly, js_name = readingsDiffer)]
    pub readings_differ: bool,
    /// SHA-256 of the pixels, in hex.
    #[wasm_bindgen(getter_with_clone, readonly)]
    pub hash: String,
    /// Milliseconds of tower and resampler; 0 if the picture was seen before.
    #[wasm_bindgen(readonly, js_name = encodeMs)]
    pub encode_ms: f64,
    /// Which m there are for this picture; `undefined` if it is not in front of the model.
    #[wasm_bindgen(getter_with_clone, readonly)]
    pub offer: JsValue,
}

#[wasm_bindgen]
impl View {
    /// [size, size, 3], 8 bits.
    pub fn rgb(&self) -> Vec<u8> {
        self.rgb.clone()
    }
}

impl View {
    fn of(pixels: Pixels, encode_ms: f64, offer: JsValue) -> View {
        let hash = pixels.hash().iter().map(|byte| format!("{byte:02x}")).collect();
        let (width, height) = pixels.source;
        View {
            size: pixels.size,
            width,
            height,
            readings_differ: pixels.readings_differ,
            hash,
            encode_ms,
            offer,
            rgb: pixels.rgb,
        }
    }
}

#[wasm_bindgen]
impl Engine {
    /// Loads the pack or checkpoint in `store`, calling `on_progress(phase, done, total)`; the
    /// phases are `device`, `compiling kernels`, `loading weights` (bytes, as they lie on the
    /// device) and `warm-up`.
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
        let session = match settings.context {
            Some(context) => Session::new(model, context.min(most), &cancel).await?,
            None => Session::growing(model, &cancel).await?,
        };
        Ok(Engine { session, load_ms: Date::now() - start, decode_image_ms: 0.0 })
    }

    /// What was loaded, and where it runs.
    ///
    /// # Errors
    /// Never in practice: the value is plain text and numbers.
    pub fn loaded(&self) -> Result<JsValue> {
        let model = self.session.model();
        let config = model.config();
        to_js(&Loaded {
            name: model.name(),
            weights: model.weights_name(),
            sha256: model.sha256(),
            offer: config.offer().into(),
            grid: config.vision.patches().isqrt(),
            context: self.session.context(),
            context_max: config.max_context(),
            adapter: model.adapter(),
            fell_back: model.fell_back_to_cpu(),
            arithmetic: model.arithmetic(),
            kernels: Choices::from([(model.adapter().key(), model.learned())]),
        })
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
        let plan = from_js::<Measured>(&settings)?.plan(stop)?;
        let mut tell = |what: &str| {
            let _ = on_progress.call1(&JsValue::UNDEFINED, &what.into());
        };
        to_js(&bench::run(self.session.model(), &plan, &mut tell).await?)
    }

    /// Puts a picture file in front of the model. The same picture again costs nothing; another one
    /// starts a new conversation.
    ///
    /// # Errors
    /// The bytes are not a picture, stopped, or the device's failures.
    pub async fn look(&mut self, picture: &[u8], stop: &Stop) -> Result<View> {
        let start = Date::now();
        let picture = Picture::read(picture, Reading::People)?;
        let decode_image_ms = Date::now() - start;
        let looked = self.session.look(&picture, &stop.cancel).await?;
        // Of a picture that another has replaced nothing is counted.
        let before = if looked.vision_runs > 0 { 0.0 } else { self.decode_image_ms };
        self.decode_image_ms = before + decode_image_ms;
        let shown = self.session.shown().ok_or_else(|| Failure::invalid("no picture was kept"))?;
        let offer = to_js(&Offer::from(self.session.offer(None)?))?;
        Ok(View::of(shown.clone(), looked.ms(), offer))
    }

    /// What the model would see of a picture file; the picture in front of it stays the same.
    ///
    /// # Errors
    /// The bytes are not a picture.
    pub fn inspect(&self, picture: &[u8]) -> Result<View> {
        Ok(View::of(
            Pixels::decode(picture, self.session.model().image_spec(), Reading::People)?,
            0.0,
            JsValue::UNDEFINED,
        ))
    }

    /// Reads the picture's first image tokens ahead of the question.
    ///
    /// # Errors
    /// A budget out of range, stopped, the device's failures.
    pub async fn prepare(&mut self, image_tokens: usize, stop: &Stop) -> Result<()> {
        Ok(self.session.prepare(&Budget::Fixed(image_tokens as u64), &stop.cancel).await?)
    }

    /// Bytes of buffers alive on the device; 0 on the processor.
    #[wasm_bindgen(js_name = gpuBytes)]
    pub fn gpu_bytes(&self) -> f64 {
        self.session.model().counters().bytes as f64
    }

    /// Forgets the questions so far, keeps the picture.
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
        let settings: Asked = from_js(&settings)?;
        to_js(&self.session.estimate(&settings.budget(), question)?)
    }

    /// Where each of so many image tokens reads from: [tokens, patches], rows summing to 1.
    ///
    /// # Errors
    /// The model does not give so many; the device's failures.
    #[wasm_bindgen(js_name = resamplerMap)]
    pub async fn resampler_map(&self, image_tokens: usize) -> Result<Vec<f32>> {
        Ok(self.session.model().resampler_map(image_tokens).await?)
    }

    /// Answers a question about the picture, calling `on_text` with each piece of text: the record
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
