//! What a chat template writes around pictures after the first one.

use super::{ANSWERS, Chat, QUESTIONS, exactly};
use crate::text::pieces::SeveralPieces;

impl Chat<'_> {
    /// What stands between two pictures of a turn, and before a picture of a later turn. `two` is a
    /// conversation of two turns, cut: whatever else surrounds pictures must be as it is there.
    pub(super) fn several(&self, two: &[String], to_answer: &str) -> Result<SeveralPieces, String> {
        let (image, [first, second, _]) = (self.names.image.as_str(), QUESTIONS);
        let [to_picture, to_question, to_past_answer, ..] = exactly::<5>(two);
        let three = self.cut(&[self.shows(3, first)], &[image, image, image, first])?;
        let [opening, between, again, question, answer] = exactly(&three);
        let row = (opening, again, question, answer);

        let told = self.says("assistant", ANSWERS[0]);
        let talk = [self.shows(1, first), told.clone(), self.shows(1, second)];
        let later = self.cut(&talk, &[image, first, ANSWERS[0], image, second])?;
        let [_, _, past, to_next_picture, next_question, next_answer] = exactly(&later);
        let turn = (past, next_question, next_answer);

        // A conversation that began without a picture.
        let talk = [self.shows(0, first), told, self.shows(1, second)];
        let lone = self.cut(&talk, &[first, ANSWERS[0], image, second])?;
        let [_, lone_past, lone_next, lone_question, lone_answer] = exactly(&lone);
        let lone = (lone_past, lone_next, lone_question, lone_answer);

        let is_regular = row == (to_picture, between, to_question, to_answer)
            && turn == (to_past_answer, to_question, to_answer)
            && lone == (to_past_answer, to_next_picture, to_question, to_answer);
        if !is_regular {
            return Err("it writes a further picture in another way than the first".into());
        }
        Ok(SeveralPieces {
            between: self.spans(between),
            to_next_picture: self.spans(to_next_picture),
        })
    }
}
