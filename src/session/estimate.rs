//! What a question would cost, before it is asked.

use super::{Estimate, Request, SHORT_QUESTION, Session};
use crate::budget::{Budget, Choice, Offer};
use crate::error::Result;

impl Session {
    /// What a question would cost, before it is asked. An empty one counts as a short sentence of
    /// 12 tokens.
    ///
    /// # Errors
    /// [`crate::Error::BudgetOutOfRange`].
    pub fn estimate(&self, budget: &Budget, question: &str) -> Result<Estimate> {
        let question = if question.trim().is_empty() {
            SHORT_QUESTION
        } else {
            self.question_ids(question).len()
        };
        let unread = self.unread();
        let request = Request { budget: budget.clone(), ..Request::new("") };
        let offer = self.offer(None)?;
        let choice = self.choose(&request, &offer, question, 0.0)?;
        let encode = self.encode_ms(&choice, &offer);
        let select = self.model.config().select();
        let prepared = self.read_before(choice.m, choice.level, select);
        Ok(Estimate {
            image_tokens: choice.m,
            reason: choice.reason,
            first_token_ms: self
                .speed
                .first_token_ms(choice.m - prepared + unread + question)
                .map(|ms| ms + encode),
            first_token_from_scratch_ms: self.speed.first_token_ms(choice.m + question),
            tokens_per_second: self.speed.decode_ms_per_token.map(|ms| 1e3 / ms),
            cache_bytes: choice.m as u64 * self.model.cache_bytes_per_token(),
            context_used: self.prefix.len() + choice.m + self.told() + question,
            context: self.most,
        })
    }

    /// Milliseconds that encoding what a choice needs will take, as far as that is known.
    fn encode_ms(&self, choice: &Choice, offer: &Offer) -> f64 {
        if self.encoded(offer).contains(&choice.level) {
            return 0.0;
        }
        let step = offer.levels.iter().find(|step| step.level == choice.level);
        let squares = step.map_or(1, |step| step.squares);
        self.speed.encode_ms.unwrap_or(0.0) * squares as f64
    }
}
