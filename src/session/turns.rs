//! Turns of a conversation: questions, answers, and which pictures came with them.

use super::Session;
use super::record::Turn;
use crate::budget::{self, Offer};
use crate::error::{Error, Result};

/// A turn as the prompt takes it.
pub(super) struct Told {
    pub(super) turn: Turn,
    /// Pictures that stand before its question, after those of earlier turns.
    pub(super) new_images: usize,
    /// Ids after those pictures, or after the previous answer's end token.
    pub(super) question: Vec<u32>,
}

impl Told {
    /// Tokens of question, answer and the end token.
    pub(super) fn tokens(&self) -> usize {
        self.question.len() + self.turn.token_ids.len() + 1
    }
}

impl Session {
    /// The turns so far, oldest first.
    pub fn turns(&self) -> impl ExactSizeIterator<Item = &Turn> {
        self.turns.iter().map(|told| &told.turn)
    }

    /// Forgets the turns, keeps the pictures.
    pub fn start_anew(&mut self) {
        self.turns.clear();
        self.withdrawn.clear();
        self.answered = None;
    }

    /// Continues from the turns of an earlier conversation, oldest first. They are computed with
    /// the next question, not before.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if a turn cannot be this model's; then nothing has changed.
    pub fn resume(&mut self, turns: &[Turn]) -> Result<()> {
        let config = self.model.config();
        let vocab = config.language.vocab;
        // Each turn may have been answered with tokens chosen in another way.
        let offers: Vec<Offer> =
            config.selects().iter().map(|&select| config.offer_by(select)).collect();
        let is_offered = |m: u64| offers.iter().any(|offer| budget::fixed(m, offer).is_ok());
        let is_ours = |turn: &Turn| {
            turn.token_ids.iter().all(|&id| (id as usize) < vocab)
                && (turn.image_tokens == 0 || is_offered(turn.image_tokens as u64))
        };
        // Before a turn told which pictures were new, all of them stood before the first one.
        let all = self.pictures.len();
        let new_images = |i: usize, turn: &Turn| match turn.new_images {
            Some(new) => new,
            None if i == 0 => all,
            None => 0,
        };
        let shown: usize = turns
            .iter()
            .enumerate()
            .map(|(i, turn)| new_images(i, turn))
            .fold(0, usize::saturating_add);
        if !turns.iter().all(is_ours) || shown > all {
            let why = if shown > all {
                format!("they are about {shown} pictures, and {all} were looked at")
            } else {
                "an earlier turn is not of this model".into()
            };
            return Err(Error::InvalidSetting { what: "turns".into(), why });
        }
        self.start_anew();
        for (i, turn) in turns.iter().enumerate() {
            let (turn, new_images) = (turn.clone(), new_images(i, turn));
            self.turns.push(Told { turn, new_images, question: Vec::new() });
        }
        self.write_turns_again();
        Ok(())
    }

    /// Takes back the last turn, so that its question can be asked again with another budget
    /// (draft, then refine). If that next question fails, the turn is restored.
    pub fn take_back(&mut self) {
        self.withdrawn.extend(self.turns.pop());
        self.answered = None;
    }

    /// Ids of a question that follows so many earlier turns, and so many pictures of its own.
    fn ids_of(&self, turns: usize, pictures: usize, question: &str) -> Vec<u32> {
        let (template, tokenizer) = (&self.template, self.model.tokenizer());
        match (pictures, turns) {
            (0, 0) => template.lone_question_ids(tokenizer, question),
            (0, _) => template.next_turn_ids(tokenizer, question),
            _ => template.question_ids(tokenizer, question),
        }
    }

    /// Ids of the next question.
    pub(super) fn question_ids(&self, question: &str) -> Vec<u32> {
        self.ids_of(self.turns.len(), self.new_pictures(), question)
    }

    /// Tokens of the next question; before a picture is there, it is taken to be about one.
    pub(super) fn question_tokens(&self, question: &str) -> usize {
        let is_first = self.pictures.is_empty() && self.turns.is_empty();
        let pictures = if is_first { 1 } else { self.new_pictures() };
        self.ids_of(self.turns.len(), pictures, question).len()
    }

    /// Pictures that stand before the next question, not before an earlier one.
    pub(super) fn new_pictures(&self) -> usize {
        self.pictures.len() - self.turns.iter().map(|told| told.new_images).sum::<usize>()
    }

    /// Computes the ids of every turn's question anew.
    pub(super) fn write_turns_again(&mut self) {
        let mut turns = std::mem::take(&mut self.turns);
        for (i, told) in turns.iter_mut().enumerate() {
            told.question = self.ids_of(i, told.new_images, &told.turn.question);
        }
        self.turns = turns;
    }
}
