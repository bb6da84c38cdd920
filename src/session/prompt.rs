//! From a conversation to the slots of its prompt, and which of them are already in the cache.

use super::gallery::{Seen, tag};
use super::record::AnswerImage;
use super::turns::Told;
use super::{Request, Session};
use crate::budget::{self, Budget, Choice, Cost, Mode, Offer, Situation, Step};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::tiles::Plan;
use crate::model::{Slot, Want, Wanted};
use crate::select::Select;
use crate::text::Part;
use std::ops::Range;

/// Why an automatic choice stays in a conversation.
const AS_BEFORE: &str = "as in the turn before: with another number everything would be read again";

impl Session {
    /// Chooses m for the pictures that there are: none without one.
    pub(super) fn choose(
        &self,
        request: &Request,
        offer: &Offer,
        question: usize,
        spent: f64,
    ) -> Result<Choice> {
        if self.pictures.is_empty() {
            return Ok(Choice { m: 0, mode: Mode::Fixed, reason: "there is no picture".into() });
        }
        self.choose_ahead(request, offer, question, spent)
    }

    /// The same; without a picture, for one that is yet to come.
    pub(super) fn choose_ahead(
        &self,
        request: &Request,
        offer: &Offer,
        question: usize,
        spent: f64,
    ) -> Result<Choice> {
        let before = self.turns.last().map_or(0, |told| told.turn.image_tokens);
        if let (Budget::Auto { .. }, 1..) = (&request.budget, before) {
            // Another m would compute every earlier turn again.
            let m = budget::at_most(before, offer).tokens;
            return Ok(Choice { m, mode: Mode::Auto, reason: AS_BEFORE.into() });
        }
        // Numbers that only pictures of another shape have mean as many as this one has.
        let any = || self.model.config().offer_by(self.model.config().select()).max as u64;
        let budget = match request.budget {
            Budget::Fixed(m) if self.model.config().is_tiled() && m <= any() => {
                Budget::Fixed(m.min(offer.max as u64))
            }
            _ => request.budget.clone(),
        };
        let select = self.model.config().checked_select(request.select)?;
        let cost = |m| self.cost(m, select, offer, question);
        let (speed, room, pictures) = (&self.speed, self.most, self.pictures.len());
        let situation = Situation { offer, speed, spent, room, pictures, cost: &cost };
        budget::choose(&budget, &situation)
    }

    /// What a question of so many tokens costs with m image tokens of each picture. Without a
    /// picture: what it would cost with one square.
    pub(super) fn cost(&self, m: usize, select: Select, offer: &Offer, question: usize) -> Cost {
        if self.pictures.is_empty() {
            let told: usize = self.turns.iter().map(Told::tokens).sum();
            let step = budget::at_most(m, offer);
            // Families of one square spend the same on it whatever m is.
            let is_open = self.speed.encode_ms.is_none() && offer.levels.len() == 1;
            let squares = if is_open { 0 } else { step.squares };
            let length = self.prefix.len() + step.tokens + told + question;
            return Cost {
                squares,
                pictures: step.tokens,
                length,
                unread: length - self.common(&self.opening()),
            };
        }
        let steps = self.steps(m, select);
        let (slots, mut pictures) = (self.prompt(m, select, &[]), Vec::new());
        self.show_pictures(&mut pictures, 0..steps.len(), &steps, select);
        let length = slots.len() + question;
        Cost {
            squares: self.unencoded(&steps),
            pictures: pictures.len(),
            length,
            unread: length - self.common(&slots).min(length.saturating_sub(1)),
        }
    }

    /// Squares of the pictures that the tower has yet to encode; a picture that stands there twice
    /// is encoded once.
    fn unencoded(&self, steps: &[Step]) -> usize {
        let is_new = |i: usize| {
            let hash = &self.pictures[i];
            let is_first = self.pictures.iter().position(|other| other == hash) == Some(i);
            let view = self.gallery.get(hash).and_then(|seen| seen.view(steps[i].level));
            is_first && view.is_none()
        };
        (0..steps.len()).filter(|&i| is_new(i)).map(|i| steps[i].squares).sum()
    }

    /// The pictures of an answer, as its record lists them.
    pub(super) fn images(&self, m: usize, select: Select) -> Vec<AnswerImage> {
        let of = |step: Step| AnswerImage {
            image: None,
            image_tokens: step.tokens,
            tiles: step.squares,
        };
        self.steps(m, select).into_iter().map(of).collect()
    }

    /// What a conversation opens with.
    fn opening(&self) -> Vec<Slot> {
        self.prefix.iter().map(|&id| Slot::Token(id)).collect()
    }

    /// The whole conversation as slots: pictures with m image tokens each before the turns that
    /// they came with, and the new question.
    pub(super) fn prompt(&self, m: usize, select: Select, question: &[u32]) -> Vec<Slot> {
        let (template, tokenizer) = (&self.template, self.model.tokenizer());
        let steps = self.steps(m, select);
        let (mut slots, mut shown) = (Vec::new(), 0);
        let words = |slots: &mut Vec<Slot>, ids: &[u32]| {
            slots.extend(ids.iter().map(|&id| Slot::Token(id)));
        };
        let mut turn = |slots: &mut Vec<Slot>, first: bool, new: usize, question: &[u32]| {
            if new > 0 {
                if first {
                    words(slots, &self.prefix);
                } else {
                    words(slots, &template.next_picture_ids(tokenizer).unwrap_or_default());
                }
            }
            self.show_pictures(slots, shown..shown + new, &steps, select);
            shown += new;
            words(slots, question);
        };
        let end = template.answer_end_ids(tokenizer);
        for (i, told) in self.turns.iter().enumerate() {
            turn(&mut slots, i == 0, told.new_images, &told.question);
            words(&mut slots, &told.turn.token_ids);
            words(&mut slots, &end);
        }
        turn(&mut slots, self.turns.is_empty(), self.new_pictures(), question);
        slots
    }

    /// What stands for some of the pictures: their image tokens, and the tokens around and between
    /// them.
    fn show_pictures(
        &self,
        slots: &mut Vec<Slot>,
        which: Range<usize>,
        steps: &[Step],
        select: Select,
    ) {
        let (template, tokenizer) = (&self.template, self.model.tokenizer());
        let between = template.between_ids(tokenizer).unwrap_or_default();
        for i in which.clone() {
            let Some(seen) = self.gallery.get(&self.pictures[i]) else { continue };
            if i > which.start {
                slots.extend(between.iter().map(|&id| Slot::Token(id)));
            }
            let (plan, rows) = self.rows(seen, &steps[i], select, i + 1 == which.end);
            let picture = tag(&seen.hash, steps[i].level);
            let parts = template.picture(tokenizer, &plan, rows.len());
            let mut rows = rows.into_iter();
            for part in parts {
                match part {
                    Part::Ids(ids) => slots.extend(ids.into_iter().map(Slot::Token)),
                    Part::Slots(n) => slots
                        .extend(rows.by_ref().take(n).map(|index| Slot::Visual { picture, index })),
                }
            }
        }
    }

    /// How a picture is cut for a step, and the rows of its image tokens. Where it is not encoded
    /// yet, as many rows as there will be.
    fn rows(&self, seen: &Seen, step: &Step, select: Select, ends: bool) -> (Plan, Vec<u32>) {
        let config = self.model.config();
        match seen.view(step.level) {
            Some(view) if self.is_clip => {
                (view.plan, view.frame(config, select, step.tokens, ends))
            }
            Some(view) => (view.plan, view.rows(config, select, step.tokens)),
            None => {
                let (width, height) = seen.size;
                let plan = self.model.image_spec().plan(step.level, width, height);
                (plan, (0..step.tokens as u32).collect())
            }
        }
    }

    /// How many slots of a prompt lie in the cache, from its beginning.
    fn common(&self, prompt: &[Slot]) -> usize {
        // What a question chose is no other's.
        let whole = self.cached.iter().take(self.cache.whole());
        whole.zip(prompt).take_while(|(a, b)| a == b).count()
    }

    /// Rewinds the cache to what it shares with `prompt`, leaving at least one slot to compute; how
    /// many are kept.
    pub(super) fn keep_common_prefix(&mut self, prompt: &[Slot]) -> usize {
        let kept = self.common(prompt).min(prompt.len().saturating_sub(1));
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
        let visuals = self.gallery.visuals();
        let wanted = self.model.extend(&mut self.cache, slots, &visuals, want, cancel).await;
        // A cancelled prefill leaves whole chunks behind: they are as good as any.
        let done = self.cache.len() - self.cached.len();
        self.cached.extend_from_slice(&slots[..done]);
        wanted
    }

    /// Rewinds the cache to what the prompt of a question may keep, as
    /// [`Session::keep_common_prefix`]; where the image tokens are read again, or the question
    /// chooses them, to what lies before them.
    pub(super) fn keep_for(&mut self, select: Select, reread: bool, prompt: &[Slot]) -> usize {
        let picture = prompt.iter().position(|slot| slot.token().is_none());
        match picture.filter(|_| reread || select == Select::Question) {
            Some(first) => self.keep_common_prefix(&prompt[..=first]),
            None => self.keep_common_prefix(prompt),
        }
    }

    /// Appends the rest of a question's prompt to the cache and picks the first token after it.
    pub(super) async fn read(
        &mut self,
        (select, m): (Select, usize),
        slots: &[Slot],
        cancel: &Cancel,
    ) -> Result<Wanted> {
        if select != Select::Question || self.pictures.is_empty() {
            return self.extend(slots, Want::Pick, cancel).await;
        }
        let (visuals, want) = (self.gallery.visuals(), (m, Want::Pick));
        let read = self.model.extend_chosen(&mut self.cache, slots, &visuals, want, cancel);
        let (wanted, _) = read.await?;
        self.cached.extend_from_slice(slots);
        Ok(wanted)
    }

    /// The whole conversation as slots, with the beginning of its answer.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if `so_far` is not of this model, [`Error::ContextFull`].
    pub(super) fn whole_prompt(
        &self,
        m: usize,
        select: Select,
        question: &[u32],
        so_far: &[u32],
    ) -> Result<Vec<Slot>> {
        let vocab = self.model.config().language.vocab;
        if let Some(&id) = so_far.iter().find(|&&id| id as usize >= vocab) {
            let why = format!("{id} is no token of this model");
            return Err(Error::InvalidSetting { what: "so far".into(), why });
        }
        let mut prompt = self.prompt(m, select, question);
        prompt.extend(so_far.iter().map(|&id| Slot::Token(id)));
        let (need, have) = (prompt.len() + 1, self.cache.capacity());
        if need > have { Err(Error::ContextFull { need, have }) } else { Ok(prompt) }
    }
}
