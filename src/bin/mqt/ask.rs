//! `mqt ask`: pictures and a question in; one answer for each picture out, or one for all of them.
//! Answers that go into files are in `batch.rs`.

use crate::answer::{self, Style};
use crate::args::{self, AskArgs};
use crate::batch;
use crate::camera;
use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::{Failure, Result};
use crate::form::Form;
use crate::frames;
use crate::known::Known;
use crate::output::Output;
use crate::picture::{Picture, has_scheme};
use mqt::budget::Budget;
use mqt::image::Reading;
use mqt::model::Arithmetic;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// The exit code of a picture that cannot be used.
pub(crate) const IMAGE: u8 = 6;

#[allow(clippy::too_many_lines, reason = "one way of asking after another, in order")]
pub(crate) fn run(mut args: AskArgs, console: &Console) -> Result<()> {
    let question = take_question(&mut args)?;
    args::question(&question)?;
    if args.together && args.words.len() < 2 {
        return Err(Failure::usage("--together takes two pictures or more"));
    }
    if args.words.iter().filter(|word| *word == "-").count() > 1 {
        return Err(Failure::usage("stdin (-) holds one picture; name it once"));
    }
    let form = Form::of(&args.form)?;
    if args.output.is_some() || args.sidecar.is_some() {
        return batch::run(&args, &question, form.as_ref(), console);
    }
    let folder = args.every.map(|_| camera::folder(&args.words)).transpose()?;
    let clip = args.frames.map(|n| frames::find(&args.words, n)).transpose()?;
    let are_pictures = folder.is_none() && clip.is_none();
    let mut failures = Failures { console, first: None, all_or_none: args.together };
    let mut pictures = Vec::new();
    for word in args.words.iter().filter(|_| are_pictures) {
        match Picture::find(word) {
            Ok(picture) => pictures.push(picture),
            Err(failure) => failures.report(failure)?,
        }
    }
    if pictures.is_empty() && are_pictures {
        return Err(Failure::reported(IMAGE));
    }

    let rounds = rounds(&args);
    let checked: Vec<u64> = rounds
        .iter()
        .filter_map(|budget| if let Budget::Fixed(m) = budget { Some(*m) } else { None })
        .collect();
    let known = Known {
        fixed: &checked,
        select: args.answer.select,
        first: pictures.first().filter(|_| !args.together),
        no_picture_cache: args.opening.no_picture_cache,
    };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Fast, known, console)?;
    conversation.open(&args.opening)?;
    let grammar = form.map(|form| form.grammar(conversation.model())).transpose()?;
    let mut output = Output::new();
    let mut ask = |conversation: &mut Conversation, label: &str| -> Result<()> {
        // The same picture twice is the same session: without this the second answer would follow
        // the first one's turn.
        conversation.session.start_anew();
        for (round, budget) in rounds.iter().enumerate() {
            if round > 0 {
                conversation.session.take_back();
            }
            let config = conversation.model().config();
            let mut request = args.answer.request(&question, budget.clone(), config);
            request.grammar.clone_from(&grammar);
            let style = Style::new(args.json);
            let answer = answer::show(conversation, request, label, style, &mut output, console)?;
            answer::unless_cancelled(&answer)?;
        }
        Ok(())
    };
    if let Some(clip) = clip {
        conversation.watch(&clip)?;
        return ask(&mut conversation, "");
    }
    if let (Some(folder), Some(every)) = (folder, args.every) {
        return camera::watch(&folder, Duration::from_secs_f64(every), console, |path| {
            let picture = Picture::find(path.as_os_str())?;
            conversation.look(&picture, Reading::People)?;
            ask(&mut conversation, &format!("{}: ", picture.name))
        });
    }
    if args.together {
        for picture in &pictures {
            conversation.look_also(picture, Reading::People)?;
        }
        return ask(&mut conversation, "");
    }
    for picture in &pictures {
        let label =
            if args.words.len() > 1 { format!("{}: ", picture.name) } else { String::new() };
        match conversation.look(picture, Reading::People) {
            Ok(()) => ask(&mut conversation, &label)?,
            Err(failure) => failures.report(failure)?,
        }
    }
    failures.end()
}

/// A picture that cannot be used does not keep the others from their answers, unless they are
/// asked about together.
struct Failures<'a> {
    console: &'a Console,
    first: Option<u8>,
    all_or_none: bool,
}

impl Failures<'_> {
    fn report(&mut self, failure: Failure) -> Result<()> {
        if failure.code != IMAGE || self.all_or_none {
            return Err(failure);
        }
        self.console.error(failure.message.as_deref().unwrap_or_default());
        self.first.get_or_insert(failure.code);
        Ok(())
    }

    fn end(self) -> Result<()> {
        self.first.map_or(Ok(()), |code| Err(Failure::reported(code)))
    }
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
    word == "-" || is_url || Path::new(word).exists()
}

/// Each picture is asked about once, or as a draft and then again.
fn rounds(args: &AskArgs) -> Vec<Budget> {
    match (args.draft, args.refine) {
        (Some(draft), Some(refine)) => vec![Budget::Fixed(draft), Budget::Fixed(refine)],
        _ => vec![args.budget.budget()],
    }
}
