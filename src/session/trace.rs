//! The stages of one prompt, to compare with another implementation.

use super::{Request, Session, Trace};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::{Picture, tiles};
use crate::model::{PictureTag, Slot, Want, Wanted};
use crate::select::Select;

impl Session {
    /// The stages of one prompt, from pixels to the logits of every position. Only the request's
    /// question, budget and way of choosing image tokens are used.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn trace(
        &mut self,
        pictures: &[Picture],
        request: &Request,
        cancel: &Cancel,
    ) -> Result<Trace> {
        // Everything is computed here, whatever is kept elsewhere.
        self.store = None;
        self.forget_all();
        for picture in pictures {
            self.look_also(picture, cancel).await?;
        }
        self.stages(pictures, request, cancel).await
    }

    /// The same for the frames of a clip.
    ///
    /// # Errors
    /// As [`Session::watch`] and [`Session::ask`].
    pub async fn trace_clip(
        &mut self,
        frames: &[Picture],
        request: &Request,
        cancel: &Cancel,
    ) -> Result<Trace> {
        self.store = None;
        self.watch(frames.iter().cloned(), cancel).await?;
        self.start_anew();
        self.stages(frames, request, cancel).await
    }

    async fn stages(
        &mut self,
        pictures: &[Picture],
        request: &Request,
        cancel: &Cancel,
    ) -> Result<Trace> {
        let question = self.question_ids(&request.question);
        let select = self.model.config().checked_select(request.select)?;
        if select == Select::Question {
            let why = "its stages are not traced; choose in another way".into();
            return Err(Error::InvalidSetting { what: "select question".into(), why });
        }
        let offer = self.offer(Some(select))?;
        let m = self.choose(request, &offer, question.len(), 0.0)?.m;
        self.encode(m, select, cancel).await?;
        let prompt = self.prompt(m, select, &question);
        self.make_room(prompt.len()).await?;
        if prompt.len() > self.cache.capacity() {
            return Err(Error::ContextFull { need: prompt.len(), have: self.cache.capacity() });
        }
        let (mut pixel_values, mut vision_features, mut tiles) = (Vec::new(), Vec::new(), 0);
        for (picture, step) in pictures.iter().zip(self.steps(m, select)) {
            let (_, squares) = tiles::squares(picture, self.model.image_spec(), step.level)?;
            tiles += squares.len();
            for square in squares {
                vision_features.extend(self.model.vision_features(&square, cancel).await?);
                pixel_values.extend(square.data);
            }
        }
        self.cache.rewind(0);
        self.cached.clear();
        let logits = match self.extend(&prompt, Want::AllLogits, cancel).await? {
            Wanted::Logits(logits) => logits,
            _ => unreachable!("all logits were asked for"),
        };
        Ok(Trace {
            image_tokens: m,
            tiles,
            pixel_values,
            vision_features,
            selected: matches!(select, Select::Spread | Select::Random).then(|| selected(&prompt)),
            visual_tokens: self.visual_tokens(&prompt).await?,
            input_ids: runs_as_one(&prompt),
            logits,
        })
    }

    /// The image tokens that a prompt reads, in its order, [tokens, hidden].
    async fn visual_tokens(&self, prompt: &[Slot]) -> Result<Vec<f32>> {
        let hidden = self.model.config().language.hidden;
        let mut read = Vec::new();
        for (tag, visual) in self.gallery.visuals() {
            let rows = prompt.iter().filter_map(|slot| row(slot, tag));
            let most = rows.map(|row| row + 1).max().unwrap_or(0);
            read.push((tag, self.model.read_visual(visual, 0..most).await?));
        }
        let mut tokens = Vec::new();
        for slot in prompt {
            let found = read.iter().find_map(|(tag, all)| Some((row(slot, *tag)?, all)));
            if let Some((row, all)) = found {
                tokens.extend_from_slice(&all[row * hidden..][..hidden]);
            }
        }
        Ok(tokens)
    }
}

/// The rows that a prompt's image tokens are of their picture's.
fn selected(prompt: &[Slot]) -> Vec<u32> {
    let index = |slot: &Slot| match slot {
        Slot::Visual { index, .. } => Some(*index),
        Slot::Token(_) => None,
    };
    prompt.iter().filter_map(index).collect()
}

/// The row of this picture's tokens that a slot reads.
fn row(slot: &Slot, key: PictureTag) -> Option<usize> {
    match slot {
        Slot::Visual { picture, index } => (*picture == key).then_some(*index as usize),
        Slot::Token(_) => None,
    }
}

/// The prompt's ids; each unbroken run of image tokens is one −200.
fn runs_as_one(prompt: &[Slot]) -> Vec<i32> {
    let mut ids: Vec<i32> = Vec::new();
    for (i, slot) in prompt.iter().enumerate() {
        match slot.token() {
            Some(id) => ids.push(id as i32),
            None if i > 0 && prompt[i - 1].token().is_none() => {}
            None => ids.push(PICTURE),
        }
    }
    ids
}

/// What LLaVA's code puts where a picture's tokens go.
const PICTURE: i32 = -200;
