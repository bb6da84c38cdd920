//! The stages of one prompt, to compare with another implementation.

use super::{Request, Session, Trace};
use crate::budget::Budget;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::Pixels;
use crate::model::{Want, Wanted};

impl Session {
    /// The stages of one prompt, from pixels to the logits of every position.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn trace(
        &mut self,
        pixels: &Pixels,
        question: &str,
        budget: &Budget,
        cancel: &Cancel,
    ) -> Result<Trace> {
        // Everything is computed here, whatever is kept elsewhere.
        self.store = None;
        self.look(pixels, cancel).await?;
        self.start_anew();
        let question = self.question_ids(question);
        let request = Request { budget: budget.clone(), ..Request::new("") };
        let m = self.choose(&request, question.len(), 0.0)?.m;
        let prompt = self.prompt(m, &question);
        if prompt.len() > self.cache.capacity() {
            return Err(Error::ContextFull { need: prompt.len(), have: self.cache.capacity() });
        }
        let vision_features = self.model.vision_features(pixels, cancel).await?;
        self.cache.rewind(0);
        self.cached.clear();
        let logits = match self.extend(&prompt, Want::AllLogits, cancel).await? {
            Wanted::Logits(logits) => logits,
            _ => unreachable!("all logits were asked for"),
        };
        let picture = self.picture.as_ref().expect("`look` has set the picture");
        let visual_tokens = self.model.read_visual(&picture.visual, m).await?;
        let ids = self.prefix.iter().map(|&id| id as i32);
        let input_ids = ids.chain([-200]).chain(question.iter().map(|&id| id as i32)).collect();
        Ok(Trace { image_tokens: m, vision_features, visual_tokens, input_ids, logits })
    }
}
