//! One answer: the JSON record `mqt.answer/1`, the stats line, and the way both reach the user.

use crate::console::Console;
use crate::conversation::Conversation;
use crate::failure::{Failure, Result};
use crate::output::Output;
use mqt::budget::Mode;
use mqt::model::Model;
use mqt::session::{Answer, FinishReason, Request, Timings};
use serde::Serialize;

/// `mqt.answer/1`: fields and their order are the contract.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    schema: &'static str,
    image: String,
    pub(crate) question: String,
    pub(crate) answer: String,
    token_ids: Vec<u32>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) image_tokens: usize,
    image_tokens_mode: Mode,
    image_tokens_reason: String,
    pub(crate) prompt_tokens: usize,
    completion_tokens: usize,
    vision_runs: u32,
    timings_ms: TimingsMs,
    tokens_per_second: f64,
    adapter: Adapter,
    model: ModelId,
    arithmetic: String,
    seed: u64,
    pub(crate) mean_probability: Option<f32>,
    cached_tokens: usize,
}

/// Milliseconds that this answer took; what did not happen again is 0.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct TimingsMs {
    load: f64,
    decode_image: f64,
    vision: f64,
    resample: f64,
    prefill: f64,
    first_token: f64,
    decode: f64,
    total: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Adapter {
    name: String,
    backend: String,
    kind: String,
}

#[derive(Clone, Debug, Serialize)]
struct ModelId {
    name: String,
    weights: String,
    sha256: String,
}

impl TimingsMs {
    /// The session's timings with what happened before them.
    pub(crate) fn new(load: f64, decode_image: f64, timings: &Timings) -> TimingsMs {
        let Timings { vision, resample, prefill, first_token, decode, total } = *timings;
        let total = load + decode_image + total;
        let rounded = |ms: f64| (ms * 1e3).round() / 1e3;
        TimingsMs {
            load: rounded(load),
            decode_image: rounded(decode_image),
            vision: rounded(vision),
            resample: rounded(resample),
            prefill: rounded(prefill),
            first_token: rounded(first_token),
            decode: rounded(decode),
            total: rounded(total),
        }
    }
}

impl Record {
    pub(crate) fn new(
        image: &str,
        request: &Request,
        answer: Answer,
        timings_ms: TimingsMs,
        model: &Model,
    ) -> Record {
        let adapter = model.adapter();
        Record {
            schema: "mqt.answer/1",
            image: image.to_owned(),
            question: request.question.clone(),
            answer: answer.text,
            token_ids: answer.token_ids,
            finish_reason: answer.finish_reason,
            image_tokens: answer.image_tokens,
            image_tokens_mode: answer.image_tokens_mode,
            image_tokens_reason: answer.image_tokens_reason,
            prompt_tokens: answer.prompt_tokens,
            completion_tokens: answer.completion_tokens,
            vision_runs: answer.vision_runs,
            timings_ms,
            tokens_per_second: (answer.tokens_per_second * 100.0).round() / 100.0,
            adapter: Adapter {
                name: adapter.name.clone(),
                backend: adapter.backend.clone(),
                kind: adapter.kind.clone(),
            },
            model: ModelId {
                name: model.name().to_owned(),
                weights: model.weights_name(),
                sha256: model.sha256().to_owned(),
            },
            arithmetic: model.arithmetic().to_string(),
            seed: request.sampling.seed,
            mean_probability: answer.mean_probability,
            cached_tokens: answer.cached_tokens,
        }
    }

    /// Milliseconds from the question to the answer's end, without loading and looking.
    pub(crate) fn answering_ms(&self) -> f64 {
        self.timings_ms.prefill + self.timings_ms.decode
    }

    /// What an answer took, on one line.
    pub(crate) fn stats(&self) -> String {
        let mut parts = vec![self.adapter.name.clone()];
        parts.push(match self.image_tokens_mode {
            Mode::Auto => format!("m {} (auto, {})", self.image_tokens, self.image_tokens_reason),
            Mode::Fixed => format!("m {}", self.image_tokens),
        });
        let cached = match self.cached_tokens {
            0 => String::new(),
            n => format!(" ({n} of {} prompt tokens were cached)", self.prompt_tokens),
        };
        parts.push(format!("first token {:.2} s{cached}", self.timings_ms.first_token / 1e3));
        if self.tokens_per_second > 0.0 {
            parts.push(format!("{:.1} tokens/s", self.tokens_per_second));
        }
        match self.finish_reason {
            FinishReason::Stop => {}
            FinishReason::Length => parts
                .push(format!("cut after {} tokens (--max-new-tokens)", self.completion_tokens)),
            FinishReason::Cancelled => parts.push("stopped".into()),
            FinishReason::Context => parts.push("cut: the context is full (--context)".into()),
        }
        parts.join(" · ")
    }
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
) -> Result<Record> {
    if style == Style::Json {
        let record = conversation.ask(request, &mut |_| {})?;
        output.json(&record)?;
        return Ok(record);
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
    let record = asked?;
    console.stats(&record.stats());
    Ok(record)
}

/// Ends a command after an answer that Ctrl-C cut.
pub(crate) fn unless_cancelled(record: &Record) -> Result<()> {
    if record.finish_reason == FinishReason::Cancelled {
        Err(Failure::interrupted())
    } else {
        Ok(())
    }
}
