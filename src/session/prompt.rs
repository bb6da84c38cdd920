//! From a conversation to the slots of its prompt, and what of them is in the cache already.

use super::{Request, Session, Told};
use crate::budget::{self, Budget, Mode};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::model::{Slot, Want, Wanted};

impl Session {
    pub(super) fn question_ids(&self, question: &str) -> Vec<u32> {
        let (template, tokenizer) = (self.model.template(), self.model.tokenizer());
        if self.turns.is_empty() {
            template.question_ids(tokenizer, question)
        } else {
            template.next_turn_ids(tokenizer, question)
        }
    }

    pub(super) fn choose(
        &self,
        request: &Request,
        question: usize,
        encode: f64,
    ) -> Result<budget::Choice> {
        if let (Budget::Auto { .. }, Some(told)) = (&request.budget, self.turns.last()) {
            // Another m would compute every earlier turn again.
            return Ok(budget::Choice {
                m: told.turn.image_tokens,
                mode: Mode::Auto,
                reason: "as in the turn before".into(),
            });
        }
        let used = self.prefix.len() + self.told() + question + 1;
        let free = self.cache.capacity().saturating_sub(used);
        budget::choose(
            &request.budget,
            &self.model.config().offer(),
            &self.speed,
            encode,
            self.image_tokens_read(),
            self.unread() + question,
            free,
        )
    }

    /// Tokens of prefix and turns to be read again because the conversation opens with other words
    /// than those in the cache.
    pub(super) fn unread(&self) -> usize {
        let common = self
            .cached
            .iter()
            .zip(&self.prefix)
            .take_while(|(slot, id)| slot.token() == Some(**id))
            .count();
        if common == self.prefix.len() {
            return 0;
        }
        self.prefix.len() - common + self.told()
    }

    /// How many image tokens of this picture, from the first on, are in the cache behind the words
    /// that the conversation opens with.
    fn image_tokens_read(&self) -> usize {
        let Some(picture) = self.picture.as_ref().filter(|_| self.unread() == 0) else { return 0 };
        let picture = first8(&picture.hash);
        let slots = self.cached.iter().skip(self.prefix.len());
        slots
            .zip(0..)
            .take_while(|(slot, index)| **slot == Slot::Visual { picture, index: *index })
            .count()
    }

    /// Tokens of all turns.
    pub(super) fn told(&self) -> usize {
        self.turns.iter().map(Told::tokens).sum()
    }

    /// The whole conversation as slots: prefix, m image tokens, turns, the new question.
    pub(super) fn prompt(&self, m: usize, question: &[u32]) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.prefix.iter().map(|&id| Slot::Token(id)).collect();
        let picture = self.picture.as_ref().map_or([0; 8], |p| first8(&p.hash));
        let m = if self.picture.is_some() { m } else { 0 };
        let first = self.model.config().first_visual(m);
        slots.extend((first..first + m).map(|index| Slot::Visual { picture, index: index as u32 }));
        let tokens = |slots: &mut Vec<Slot>, ids: &[u32]| {
            slots.extend(ids.iter().map(|&id| Slot::Token(id)))
        };
        for told in &self.turns {
            tokens(&mut slots, &told.question);
            tokens(&mut slots, &told.turn.token_ids);
            tokens(&mut slots, &[self.model.tokenizer().eos()]);
        }
        tokens(&mut slots, question);
        slots
    }

    /// Rewinds the cache to what it shares with `prompt`, leaving at least one slot to compute; how
    /// many are kept.
    pub(super) fn keep_common_prefix(&mut self, prompt: &[Slot]) -> usize {
        let common = self.cached.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let kept = common.min(prompt.len().saturating_sub(1));
        self.cached.truncate(kept);
        self.cache.rewind(kept);
        kept
    }

    /// Appends slots to the cache. On an error the cache keeps what was complete before.
    pub(super) async fn extend(
        &mut self,
        slots: &[Slot],
        want: Want,
        cancel: &Cancel,
    ) -> Result<Wanted> {
        let visual = self.picture.as_ref().map(|p| &p.visual);
        let wanted = self.model.extend(&mut self.cache, slots, visual, want, cancel).await;
        // A cancelled prefill leaves whole chunks behind: they are as good as any.
        let done = self.cache.len() - self.cached.len();
        self.cached.extend_from_slice(&slots[..done]);
        wanted
    }

    /// The whole conversation as slots, with the beginning of its answer.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if `so_far` is not of this model, [`Error::ContextFull`].
    pub(super) fn whole_prompt(
        &self,
        m: usize,
        question: &[u32],
        so_far: &[u32],
    ) -> Result<Vec<Slot>> {
        let vocab = self.model.config().language.vocab;
        if let Some(&id) = so_far.iter().find(|&&id| id as usize >= vocab) {
            let why = format!("{id} is no token of this model");
            return Err(Error::InvalidSetting { what: "so far".into(), why });
        }
        let mut prompt = self.prompt(m, question);
        prompt.extend(so_far.iter().map(|&id| Slot::Token(id)));
        let (need, have) = (prompt.len() + 1, self.cache.capacity());
        if need > have { Err(Error::ContextFull { need, have }) } else { Ok(prompt) }
    }
}

fn first8(hash: &[u8; 32]) -> [u8; 8] {
    std::array::from_fn(|i| hash[i])
}
