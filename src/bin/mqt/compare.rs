//! `mqt compare`: one look at a picture, one question, several numbers of image tokens.

use crate::answer::{self, Style};
use crate::args::{self, CompareArgs};
use crate::console::Console;
use crate::conversation::{Budgets, Conversation};
use crate::failure::Result;
use crate::output::Output;
use crate::picture::Picture;
use mqt::budget::Budget;
use mqt::image::Reading;
use mqt::model::Arithmetic;

pub(crate) fn run(args: CompareArgs, console: &Console) -> Result<()> {
    args::question(&args.question)?;
    let picture = Picture::find(&args.image)?;
    let budgets = Budgets { fixed: &args.tokens, select: args.answer.select };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Fast, budgets, console)?;
    conversation.open(&args.opening)?;
    let mut tokens = args.tokens;
    conversation.look(&picture, Reading::People)?;
    if tokens.is_empty() {
        let offer = conversation.session.offer(args.answer.select)?;
        tokens = offer.ladder().into_iter().map(|m| m as u64).collect();
    }
    tokens.sort_unstable();
    tokens.dedup();
    let mut output = Output::new();
    for m in tokens {
        let request =
            args.answer.request(&args.question, Budget::Fixed(m), conversation.model().config());
        let answer = answer::show(
            &mut conversation,
            request,
            &format!("{m:>4}  "),
            Style::new(args.json),
            &mut output,
            console,
        )?;
        answer::unless_cancelled(&answer)?;
        conversation.session.take_back();
    }
    Ok(())
}
