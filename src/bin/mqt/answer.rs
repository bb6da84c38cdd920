//! Shows one answer to the user: its text or its JSON record, then the line of figures.

use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::words::time;
use mqt::budget::Mode;
use mqt::session::{Answer, FinishReason, Request};

/// What an answer took, on one line.
pub(crate) fn stats(answer: &Answer) -> String {
    let mut parts = vec![answer.adapter.name.clone()];
    let m = answer.image_tokens;
    parts.push(match answer.image_tokens_mode {
        Mode::Auto => format!("m {m} (auto, {})", answer.image_tokens_reason),
        _ => format!("m {m}"),
    });
    let cached = match answer.cached_tokens {
        0 => String::new(),
        n => format!(" ({n} of {} prompt tokens were cached)", answer.prompt_tokens),
    };
    parts.push(format!("first token {}{cached}", time(answer.timings_ms.first_token)));
    if answer.tokens_per_second > 0.0 {
        parts.push(format!("{:.1} tokens/s", answer.tokens_per_second));
    }
    match answer.finish_reason {
        FinishReason::Stop => {}
        FinishReason::Length => {
            let tokens = answer.completion_tokens;
            parts.push(format!("cut after {tokens} tokens (--max-new-tokens)"));
        }
        FinishReason::Context => parts.push("cut: the context is full (--context)".into()),
        _ => parts.push("stopped".into()),
    }
    parts.join(" · ")
}

/// How answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Streamed text on stdout, a line of stats on stderr.
    Text,
    /// One record per answer on stdout.
    Json,
}

impl Style {
    pub(crate) fn new(json: bool) -> Style {
        if json { Style::Json } else { Style::Text }
    }
}

/// Asks, shows the answer as it comes (after `label`, in text), then what it took.
///
/// A reader of stdout that leaves stops the answer.
pub(crate) fn show(
    conversation: &mut Conversation,
    request: Request,
    label: &str,
    style: Style,
    output: &mut Output,
    console: &Console,
) -> Result<Answer> {
    if style == Style::Json {
        let answer = conversation.ask(request, &mut |_| {})?;
        output.json(&answer)?;
        return Ok(answer);
    }
    let mut written: Result<()> = Ok(());
    let mut begun = false;
    let cancel = conversation.cancel();
    let asked = conversation.ask(request, &mut |text| {
        if written.is_ok() {
            written =
                if begun { Ok(()) } else { output.write(label) }.and_then(|()| output.stream(text));
            begun = true;
        }
        if written.is_err() {
            cancel.cancel();
        }
    });
    written?;
    if asked.is_ok() && !begun {
        output.write(label)?;
    }
    if asked.is_ok() || begun {
        output.end()?;
    }
    let answer = asked?;
    console.stats(&stats(&answer));
    Ok(answer)
}

/// Ends a command after an answer that Ctrl-C cut.
pub(crate) fn unless_cancelled(answer: &Answer) -> Result<()> {
    if answer.finish_reason == FinishReason::Cancelled {
        Err(Failure::interrupted())
    } else {
        Ok(())
    }
}
