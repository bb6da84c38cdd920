//! The stages of one prompt, to compare with another implementation.

use super::look::Seen;
use super::{Request, Session, Trace};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::{Picture, tiles};
use crate::model::{PictureTag, Slot, Want, Wanted};
use crate::select::Select;

impl Session {
    /// The stages of one prompt, from pixels to the logits of every position. Of the request, the
    /// question, the budget and the way of choosing count.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn trace(
        &mut self,
        picture: &Picture,
        request: &Request,
        cancel: &Cancel,
    ) -> Result<Trace> {
        // Everything is computed here, whatever is kept elsewhere.
        self.store = None;
        self.look(picture, cancel).await?;
        self.start_anew();
        let question = self.question_ids(&request.question);
        let select = self.model.config().checked_select(request.select)?;
        let offer = self.offer(Some(select))?;
        let choice = self.choose(request, &offer, question.len(), 0.0)?;
        self.encode(&choice, select, cancel).await?;
        let prompt = self.prompt(&choice, select, &question);
        self.make_room(prompt.len()).await?;
        if prompt.len() > self.cache.capacity() {
            return Err(Error::ContextFull { need: prompt.len(), have: self.cache.capacity() });
        }
        let (plan, squares) = tiles::squares(picture, self.model.image_spec(), choice.level)?;
        let mut vision_features = Vec::new();
        for square in &squares {
            vision_features.extend(self.model.vision_features(square, cancel).await?);
        }
        let pixel_values = squares.into_iter().flat_map(|square| square.data).collect();
        self.cache.rewind(0);
        self.cached.clear();
        let logits = match self.extend(&prompt, Want::AllLogits, cancel).await? {
            Wanted::Logits(logits) => logits,
            Wanted::Nothing => unreachable!("all logits were asked for"),
        };
        Ok(Trace {
            image_tokens: choice.m,
            tiles: plan.squares(),
            pixel_values,
            vision_features,
            selected: matches!(select, Select::Spread | Select::Random).then(|| selected(&prompt)),
            visual_tokens: self.visual_tokens(&prompt).await?,
            input_ids: runs_as_one(&prompt),
            logits,
        })
    }

    /// The image tokens that a prompt reads, in its order, [m, hidden].
    async fn visual_tokens(&self, prompt: &[Slot]) -> Result<Vec<f32>> {
        let visuals: Vec<_> = self.picture.iter().flat_map(Seen::visuals).collect();
        let hidden = self.model.config().language.hidden;
        let mut tokens = Vec::new();
        for (key, visual) in visuals {
            let rows: Vec<usize> = prompt.iter().filter_map(|slot| row(slot, key)).collect();
            let most = rows.iter().map(|row| row + 1).max().unwrap_or(0);
            let all = self.model.read_visual(visual, 0..most).await?;
            tokens.extend(rows.iter().flat_map(|row| &all[row * hidden..][..hidden]).copied());
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
