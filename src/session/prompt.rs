//! From a conversation to the slots of its prompt, and what of them is in the cache already.

use super::look::{Seen, View};
use super::record::AnswerImage;
use super::{Request, Session, Told};
use crate::budget::{self, Budget, Choice, Mode, Offer, Situation, Step};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::tiles::Level;
use crate::model::{Slot, Want, Wanted};
use crate::select::Select;
use crate::text::Part;

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
        offer: &Offer,
        question: usize,
        spent: f64,
    ) -> Result<Choice> {
        if let (Budget::Auto { .. }, Some(told)) = (&request.budget, self.turns.last()) {
            // Another m would compute every earlier turn again.
            let Step { tokens, level, .. } = budget::at_most(told.turn.image_tokens, offer);
            let reason = "as in the turn before".into();
            return Ok(Choice { m: tokens, level, mode: Mode::Auto, reason });
        }
        // Numbers that only pictures of another shape have mean as many as this one has.
        let any = || self.model.config().offer_by(self.model.config().select()).max as u64;
        let budget = match request.budget {
            Budget::Fixed(m) if self.model.config().is_tiled() && m <= any() => {
                Budget::Fixed(m.min(offer.max as u64))
            }
            _ => request.budget.clone(),
        };
        let used = self.prefix.len() + self.told() + question + 1;
        let free = self.most.saturating_sub(used);
        let encoded = self.encoded(offer);
        let (speed, question) = (&self.speed, self.unread() + question);
        let select = self.model.config().checked_select(request.select)?;
        let read = |step: &Step| self.read_before(step.tokens, step.level, select);
        let situation =
            Situation { offer, speed, spent, question, free, encoded: &encoded, read: &read };
        budget::choose(&budget, &situation)
    }

    /// How many of the picture's tokens at this step lie in the cache behind the words that the
    /// conversation opens with.
    pub(super) fn read_before(&self, tokens: usize, level: Level, select: Select) -> usize {
        if self.unread() > 0 {
            return 0;
        }
        let cached = self.cached.iter().skip(self.prefix.len());
        let slots = self.picture_slots(tokens, level, select);
        let common = slots.iter().zip(cached).take_while(|(a, b)| a == b);
        common.filter(|(slot, _)| slot.token().is_none()).count()
    }

    /// Levels that cost no run of the tower: those encoded. Before the first picture was measured,
    /// families of one square count as such, since their m does not change that cost.
    pub(super) fn encoded(&self, offer: &Offer) -> Vec<Level> {
        match &self.picture {
            Some(seen) => seen.encoded(),
            None if self.speed.encode_ms.is_none() && offer.levels.len() == 1 => {
                offer.levels.iter().map(|step| step.level).collect()
            }
            None => Vec::new(),
        }
    }

    /// The pictures of an answer, as its record lists them.
    pub(super) fn images(&self, choice: &Choice) -> Vec<AnswerImage> {
        let view = self.picture.as_ref().and_then(|seen| seen.view(choice.level));
        let of = |view: &View| AnswerImage {
            image: None,
            image_tokens: choice.m,
            tiles: view.plan.squares(),
        };
        view.map(of).into_iter().collect()
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

    /// Tokens of all turns.
    pub(super) fn told(&self) -> usize {
        self.turns.iter().map(Told::tokens).sum()
    }

    /// The whole conversation as slots: prefix, m image tokens, turns, the new question.
    pub(super) fn prompt(&self, choice: &Choice, select: Select, question: &[u32]) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.prefix.iter().map(|&id| Slot::Token(id)).collect();
        slots.extend(self.picture_slots(choice.m, choice.level, select));
        let tokens = |slots: &mut Vec<Slot>, ids: &[u32]| {
            slots.extend(ids.iter().map(|&id| Slot::Token(id)))
        };
        for told in &self.turns {
            tokens(&mut slots, &told.question);
            tokens(&mut slots, &told.turn.token_ids);
            tokens(&mut slots, &self.model.template().answer_end_ids(self.model.tokenizer()));
        }
        tokens(&mut slots, question);
        slots
    }

    /// What stands for the picture: its image tokens, and the tokens around and between them.
    fn picture_slots(&self, m: usize, level: Level, select: Select) -> Vec<Slot> {
        let seen = self.picture.as_ref();
        let Some((seen, view)) = seen.and_then(|seen| Some((seen, seen.view(level)?))) else {
            return Vec::new();
        };
        let picture = seen.key(level);
        let rows = view.rows(self.model.config(), select, m);
        let parts = self.model.template().picture(self.model.tokenizer(), &view.plan, rows.len());
        let mut rows = rows.into_iter();
        let mut slots = Vec::new();
        for part in parts {
            match part {
                Part::Ids(ids) => slots.extend(ids.into_iter().map(Slot::Token)),
                Part::Slots(n) => {
                    slots.extend(rows.by_ref().take(n).map(|index| Slot::Visual { picture, index }))
                }
            }
        }
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
        let visuals: Vec<_> = self.picture.iter().flat_map(Seen::visuals).collect();
        let wanted = self.model.extend(&mut self.cache, slots, &visuals, want, cancel).await;
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
        choice: &Choice,
        select: Select,
        question: &[u32],
        so_far: &[u32],
    ) -> Result<Vec<Slot>> {
        let vocab = self.model.config().language.vocab;
        if let Some(&id) = so_far.iter().find(|&&id| id as usize >= vocab) {
            let why = format!("{id} is no token of this model");
            return Err(Error::InvalidSetting { what: "so far".into(), why });
        }
        let mut prompt = self.prompt(choice, select, question);
        prompt.extend(so_far.iter().map(|&id| Slot::Token(id)));
        let (need, have) = (prompt.len() + 1, self.cache.capacity());
        if need > have { Err(Error::ContextFull { need, have }) } else { Ok(prompt) }
    }
}
