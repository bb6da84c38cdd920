//! `mqt compare`: one picture, encoded once, one question, several numbers of image tokens.

use crate::answer::{self, Style};
use crate::args::{self, CompareArgs};
use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::Result;
use crate::known::Known;
use crate::output::Output;
use crate::picture::Picture;
use mqt::budget::{self, Budget, Offer};
use mqt::image::Reading;
use mqt::model::Arithmetic;

pub(crate) fn run(args: CompareArgs, console: &Console) -> Result<()> {
    args::question(&args.question)?;
    let picture = Picture::find(&args.image)?;
    let known = Known {
        fixed: &args.tokens,
        select: args.answer.select,
        first: Some(&picture),
        no_picture_cache: args.opening.no_picture_cache,
    };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Fast, known, console)?;
    conversation.open(&args.opening)?;
    let mut tokens = args.tokens;
    conversation.look(&picture, Reading::People)?;
    let offer = conversation.session.offer(args.answer.select)?;
    if tokens.is_empty() {
        tokens = offer.ladder().into_iter().map(|m| m as u64).collect();
    }
    tokens.sort_unstable();
    tokens.dedup();
    let mut output = Output::new();
    for m in tokens {
        let mut request =
            args.answer.request(&args.question, Budget::Fixed(m), conversation.model().config());
        // Else each m would be spared the image tokens that the one before has read.
        request.reread = true;
        let answer = answer::show(
            &mut conversation,
            request,
            &format!("{:>4}  ", used(m, &offer)),
            Style::new(args.json),
            &mut output,
            console,
        )?;
        answer::unless_cancelled(&answer)?;
        conversation.session.take_back();
    }
    Ok(())
}

/// The m that the picture gives where so many are asked for.
fn used(m: u64, offer: &Offer) -> usize {
    budget::at_most(usize::try_from(m).map_or(offer.max, |m| m.min(offer.max)), offer).tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqt::budget::Step;
    use mqt::image::Level;

    #[test]
    fn an_answer_is_labelled_with_the_m_that_its_picture_gives() {
        let whole = Offer::up_to(64);
        assert_eq!([1, 9, 64].map(|m| used(m, &whole)), [1, 9, 64]);
        let step = |tokens, n| Step { tokens, squares: n, level: Level::Edge(n as u8) };
        let tiled = Offer::tiled(vec![step(64, 1), step(320, 4)], &[16], Level::Edge(1));
        assert_eq!([16, 64, 100, 320, 5000].map(|m| used(m, &tiled)), [16, 64, 64, 320, 320]);
    }
}
