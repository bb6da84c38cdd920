//! `mqt ask`: pictures and a question in, one answer each out.

use crate::answer::{self, Style};
use crate::args::{self, AskArgs};
use crate::console::Console;
use crate::conversation::{Budgets, Conversation};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::picture::{Picture, has_scheme};
use mqt::budget::Budget;
use mqt::image::Reading;
use mqt::model::Arithmetic;
use std::ffi::OsString;
use std::path::Path;

/// A picture that cannot be used does not keep the others from their answers.
const IMAGE: u8 = 6;

pub(crate) fn run(mut args: AskArgs, console: &Console) -> Result<()> {
    let question = take_question(&mut args)?;
    args::question(&question)?;
    if args.words.iter().filter(|word| *word == "-").count() > 1 {
        return Err(Failure::usage("stdin (-) holds one picture; name it once"));
    }
    let mut first_failure = None;
    let mut report = |failure: Failure| -> Result<()> {
        if failure.code != IMAGE {
            return Err(failure);
        }
        console.error(failure.message.as_deref().unwrap_or_default());
        first_failure.get_or_insert(failure.code);
        Ok(())
    };

    let mut pictures = Vec::new();
    for word in &args.words {
        match Picture::find(word) {
            Ok(picture) => pictures.push(picture),
            Err(failure) => report(failure)?,
        }
    }
    if pictures.is_empty() {
        return Err(Failure::reported(IMAGE));
    }

    let rounds = rounds(&args);
    let checked: Vec<u64> = rounds
        .iter()
        .filter_map(|budget| if let Budget::Fixed(m) = budget { Some(*m) } else { None })
        .collect();
    let budgets = Budgets { fixed: &checked, select: args.answer.select };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Fast, budgets, console)?;
    conversation.open(&args.opening)?;
    let mut output = Output::new();
    let style = Style::new(args.json);
    for picture in &pictures {
        let label =
            if args.words.len() > 1 { format!("{}: ", picture.name) } else { String::new() };
        if let Err(failure) = conversation.look(picture, Reading::People) {
            report(failure)?;
            continue;
        }
        // The same picture twice is the same session: without this the second answer would follow
        // the first one's turn.
        conversation.session.start_anew();
        for (round, budget) in rounds.iter().enumerate() {
            if round > 0 {
                conversation.session.take_back();
            }
            let request =
                args.answer.request(&question, budget.clone(), conversation.model().config());
            let answer =
                answer::show(&mut conversation, request, &label, style, &mut output, console)?;
            answer::unless_cancelled(&answer)?;
        }
    }
    first_failure.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

/// The question: `-q`, or the last argument, which is then taken from the pictures.
fn take_question(args: &mut AskArgs) -> Result<String> {
    if let Some(question) = args.question.take() {
        return Ok(question);
    }
    let last = args.words.pop().unwrap_or_default();
    if args.words.is_empty() {
        let what =
            if is_picture(&last) { "the question is missing" } else { "the picture is missing" };
        return Err(Failure::usage(format!(
            "{what}; for example: mqt ask photo.png \"What is this?\""
        )));
    }
    let text =
        last.into_string().map_err(|_| Failure::usage("the question is not valid Unicode"))?;
    if is_picture(&OsString::from(&text)) {
        let short: String = text.chars().take(100).collect();
        return Err(Failure::usage(format!(
            "the last argument, {short}, is a picture; the question comes last, or after -q"
        )));
    }
    Ok(text)
}

fn is_picture(word: &OsString) -> bool {
    let is_url = word
        .to_str()
        .is_some_and(|text| has_scheme(text, "data:image/") || has_scheme(text, "file:///"));
    word == "-" || is_url || Path::new(word).is_file()
}

/// Each picture is asked about once, or as a draft and then again.
fn rounds(args: &AskArgs) -> Vec<Budget> {
    match (args.draft, args.refine) {
        (Some(draft), Some(refine)) => vec![Budget::Fixed(draft), Budget::Fixed(refine)],
        _ => vec![args.budget.budget()],
    }
}
