//! What a question would cost, before it is asked.

use super::{Estimate, Request, SHORT_QUESTION, Session};
use crate::budget::Budget;
use crate::error::Result;

impl Session {
    /// What a question would cost, before it is asked. An empty one counts as a short sentence of
    /// 12 tokens.
    ///
    /// # Errors
    /// [`crate::Error::BudgetOutOfRange`].
    pub fn estimate(&self, budget: &Budget, question: &str) -> Result<Estimate> {
        self.estimate_for(&Request { budget: budget.clone(), ..Request::new(question) })
    }

    /// The same for a request with its budget and its way of choosing image tokens.
    ///
    /// # Errors
    /// As [`Session::estimate`]; [`crate::Error::InvalidSetting`] if the model's tokens cannot be
    /// chosen in this way.
    pub fn estimate_for(&self, request: &Request) -> Result<Estimate> {
        let question = match request.question.trim() {
            "" => SHORT_QUESTION,
            _ => self.question_tokens(&request.question),
        };
        let select = self.model.config().checked_select(request.select)?;
        let offer = self.offer(Some(select))?;
        let choice = self.choose_ahead(request, &offer, question, 0.0)?;
        let cost = self.cost(choice.m, select, &offer, question);
        let encode = self.speed.encode_ms.unwrap_or(0.0) * cost.squares as f64;
        let pictures = self.pictures.len().max(1);
        Ok(Estimate {
            image_tokens: choice.m,
            reason: choice.reason,
            first_token_ms: self.speed.first_token_ms(cost.unread).map(|ms| ms + encode),
            first_token_from_scratch_ms: self.speed.first_token_ms(cost.pictures + question),
            tokens_per_second: self.speed.decode_ms_per_token.map(|ms| 1e3 / ms),
            cache_bytes: (choice.m * pictures) as u64 * self.model.cache_bytes_per_token(),
            context_used: cost.length,
            context: self.most,
        })
    }
}
