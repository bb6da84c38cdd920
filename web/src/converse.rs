//! A whole conversation at once, as OpenAI's clients send it: pictures, the text that opens it, and
//! earlier turns as texts.

use crate::engine::Engine;
use crate::failure::{Failure, Result};
use crate::from_js;
use crate::stop::Stop;
use mqt::budget::{self, Budget};
use mqt::image::{Picture, Reading};
use mqt::session::Turn;
use serde::Deserialize;
use wasm_bindgen::prelude::*;

/// `detail: "low"` is the largest offered number up to this one, as for `mqt serve`.
const LOW: usize = 16;

/// A conversation up to its last question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Told {
    /// The text that opens it; without one, the model's own.
    system: Option<String>,
    /// Questions with their answers, oldest first.
    turns: Vec<Said>,
    /// What is asked next: what it costs decides, where nothing else does.
    question: String,
    /// `low`, `high` or `auto`.
    detail: Option<String>,
    /// Image tokens of each picture, instead of `detail`.
    image_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    question: String,
    answer: String,
    /// Pictures that come with the question.
    pictures: usize,
}

#[wasm_bindgen]
impl Engine {
    /// Puts a conversation in front of the model, in place of what was there: picture files in
    /// their order, and what was said. Returns the image tokens that the next question is to be
    /// asked with; `undefined` leaves it to the measured speed. What was computed before is
    /// computed again only where it differs.
    ///
    /// # Errors
    /// A picture cannot be read, a number of image tokens that is not offered, stopped, the
    /// device's failures; no picture is there then.
    pub async fn converse(
        &mut self,
        told: JsValue,
        pictures: Vec<js_sys::Uint8Array>,
        stop: &Stop,
    ) -> Result<Option<usize>> {
        let told: Told = from_js(&told)?;
        let begun = self.begin(&told, &pictures, stop).await;
        if begun.is_err() {
            self.session.forget_all();
        }
        begun
    }
}

impl Engine {
    async fn begin(
        &mut self,
        told: &Told,
        pictures: &[js_sys::Uint8Array],
        stop: &Stop,
    ) -> Result<Option<usize>> {
        let session = &mut self.session;
        // What the session had itself, token by token: a text may be written in several ways.
        let model = session.model().clone();
        let own: Vec<Turn> = session.turns().cloned().collect();
        session.instruct(told.system.as_deref())?;
        session.forget_all();
        for picture in pictures {
            let picture = Picture::read(&picture.to_vec(), Reading::People)?;
            session.look_also(&picture, &stop.cancel).await?;
        }
        let offer = session.offer(None)?;
        let asked = match (told.image_tokens, told.detail.as_deref()) {
            (Some(m), _) => Some(budget::fixed(m, &offer)?.tokens),
            (None, None | Some("auto")) => None,
            (None, Some("high")) => Some(offer.max),
            (None, Some("low")) => {
                let few = offer.exactly.iter().rfind(|&&m| m <= LOW).or(offer.exactly.first());
                Some(few.map_or(LOW, |&m| m).min(offer.max))
            }
            (None, Some(_)) => return Err(Failure::invalid("detail is low, high or auto")),
        };
        if told.turns.is_empty() {
            return Ok(asked);
        }
        let common = own
            .iter()
            .zip(&told.turns)
            .take_while(|(had, said)| {
                had.question == said.question
                    && had.new_images.unwrap_or_default() == said.pictures
                    && model.tokenizer().decode(&had.token_ids).trim() == said.answer.trim()
            })
            .count();
        let m = match (asked, own[..common].last()) {
            (Some(m), _) => m,
            (None, Some(turn)) => turn.image_tokens,
            (None, None) => session.estimate(&Budget::default(), &told.question)?.image_tokens,
        };
        let mut turns = own[..common].to_vec();
        for said in &told.turns[common..] {
            let ids = model.template().answer_ids(model.tokenizer(), &said.answer);
            // No picture was there yet.
            let m = if turns.is_empty() && said.pictures == 0 { 0 } else { m };
            turns.push(Turn::new(said.question.as_str(), ids, m).showing(said.pictures));
        }
        session.resume(&turns)?;
        Ok(asked)
    }
}
