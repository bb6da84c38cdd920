//! The stages of one prompt, as `mqt trace` writes them: for comparing the browser's build with
//! others.

use crate::engine::Engine;
use crate::failure::Result;
use crate::from_js;
use crate::settings::AskSettings;
use crate::stop::Stop;
use mqt::image::{Picture, Reading};
use mqt::internals::settings::Asked;
use wasm_bindgen::prelude::*;

/// What one prompt was made of, and what came out.
#[wasm_bindgen]
pub struct Trace(mqt::session::Trace);

#[wasm_bindgen]
impl Trace {
    /// Rows of the picture's tokens that were read, where fewer than all were chosen by spread.
    pub fn selected(&self) -> Option<Vec<u32>> {
        self.0.selected.clone()
    }

    /// The prompt; −200 marks each unbroken run of image tokens.
    #[wasm_bindgen(js_name = inputIds)]
    pub fn input_ids(&self) -> Vec<i32> {
        self.0.input_ids.clone()
    }

    /// The tower's input, [tiles, 3, S, S].
    #[wasm_bindgen(js_name = pixelValues)]
    pub fn pixel_values(&self) -> Vec<f32> {
        self.0.pixel_values.clone()
    }

    /// [m, hidden]
    #[wasm_bindgen(js_name = visualTokens)]
    pub fn visual_tokens(&self) -> Vec<f32> {
        self.0.visual_tokens.clone()
    }

    /// [prompt with the picture spliced in, vocab]
    pub fn logits(&self) -> Vec<f32> {
        self.0.logits.clone()
    }
}

#[wasm_bindgen]
impl Engine {
    /// Computes one prompt with all its stages; the picture is read as the reference programs do.
    ///
    /// # Errors
    /// As `look` and `ask`.
    pub async fn trace(
        &mut self,
        picture: &[u8],
        question: String,
        settings: AskSettings,
        stop: &Stop,
    ) -> Result<Trace> {
        let picture =
            Picture::read(picture, self.session.model().image_spec().reading(Reading::Reference))?;
        let request = from_js::<Asked>(&settings)?.request(question)?;
        Ok(Trace(self.session.trace(std::slice::from_ref(&picture), &request, &stop.cancel).await?))
    }
}
