//! Pictures in front of the model, from JavaScript, and what the model sees of each.

use crate::engine::Engine;
use crate::failure::{Failure, Result};
use crate::settings::parsed_select;
use crate::stop::Stop;
use crate::to_js;
use js_sys::Date;
use mqt::Select;
use mqt::image::{Picture, Pixels, Reading};
use mqt::internals::session::loaded::Offer;
use wasm_bindgen::prelude::*;

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
    /// Which m there are for the pictures in front of the model; `undefined` if this one is not
    /// among them.
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
    /// Puts a picture file in front of the model. The same picture again costs nothing; another one
    /// starts a new conversation.
    ///
    /// # Errors
    /// The bytes are not a picture, stopped, or the device's failures.
    pub async fn look(&mut self, picture: &[u8], stop: &Stop) -> Result<View> {
        let (picture, decode_image_ms) = decode(picture)?;
        let looked = self.session.look(&picture, &stop.cancel).await?;
        // Of a picture that another has replaced nothing is counted.
        let before = if looked.vision_runs > 0 { 0.0 } else { self.decode_image_ms };
        self.decode_image_ms = before + decode_image_ms;
        self.view(0, looked.ms())
    }

    /// Puts one more picture file in front of the model, before the next question; the conversation
    /// goes on.
    ///
    /// # Errors
    /// As `look`; the model takes no further picture. Nothing has changed then.
    #[wasm_bindgen(js_name = lookAlso)]
    pub async fn look_also(&mut self, picture: &[u8], stop: &Stop) -> Result<View> {
        let (picture, decode_image_ms) = decode(picture)?;
        let looked = self.session.look_also(&picture, &stop.cancel).await?;
        self.decode_image_ms += decode_image_ms;
        self.view(self.session.pictures() - 1, looked.ms())
    }

    /// Takes a picture away, counted from 0 in the order of the prompt. What was said stays, and is
    /// read again after it.
    ///
    /// # Errors
    /// There is none of this number.
    pub fn forget(&mut self, picture: usize) -> Result<()> {
        Ok(self.session.forget(picture)?)
    }

    /// Takes all pictures away, and what was said about them.
    #[wasm_bindgen(js_name = forgetAll)]
    pub fn forget_all(&mut self) {
        self.session.forget_all();
    }

    /// How many pictures are in front of the model.
    pub fn pictures(&self) -> usize {
        self.session.pictures()
    }

    /// Which m there are for the pictures in front of the model, or for any picture, where image
    /// tokens are chosen in this way.
    ///
    /// # Errors
    /// The model's image tokens are not chosen like that.
    pub fn offer(&self, select: Option<String>) -> Result<JsValue> {
        self.offer_by(parsed_select(select.as_deref())?)
    }

    /// What the model would see of a picture file; the pictures in front of it stay the same.
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

    fn offer_by(&self, select: Option<Select>) -> Result<JsValue> {
        to_js(&Offer::from(self.session.offer(select)?))
    }

    /// What the model sees of a picture in front of it.
    fn view(&self, picture: usize, encode_ms: f64) -> Result<View> {
        let shown = self.session.shown(picture);
        let shown = shown.ok_or_else(|| Failure::ours("no picture was kept"))?;
        Ok(View::of(shown.clone(), encode_ms, self.offer_by(None)?))
    }
}

/// A picture file's pixels as people see them, and the milliseconds that took.
fn decode(file: &[u8]) -> Result<(Picture, f64)> {
    let start = Date::now();
    Ok((Picture::read(file, Reading::People)?, Date::now() - start))
}
