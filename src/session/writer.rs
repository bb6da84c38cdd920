//! From token ids to the text of an answer.

use super::{FinishReason, Request};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::future::Callback;
use crate::grammar::{Constraint, Grammar};
use crate::model::{Cache, Generation, Model};
use crate::sample::{self, Picked};
use crate::text::{TextStream, Tokenizer};

/// A whole answer.
pub(super) struct Written {
    pub(super) text: String,
    /// Without the end token.
    pub(super) token_ids: Vec<u32>,
    pub(super) finish_reason: FinishReason,
    /// Of the tokens that were generated now; `None` if there are none.
    pub(super) mean_probability: Option<f32>,
}

/// Before the prompt is computed: has the first token picked within the request's grammar, and its
/// logits kept if somebody watches.
pub(super) fn restrict(
    model: &Model,
    cache: &mut Cache,
    request: &Request,
) -> Result<Option<Box<dyn Constraint>>> {
    if request.watch.is_some() {
        model.show_logits(cache);
    }
    let mut constraint = request.grammar.as_ref().map(Grammar::begin).transpose()?;
    if let Some(constraint) = &mut constraint {
        request.so_far.iter().try_for_each(|&id| constraint.take(id))?;
        model.restrict(cache, &mut **constraint)?;
    }
    Ok(constraint)
}

/// Takes tokens from `next` on until something ends the answer.
pub(super) async fn write_answer(
    model: &Model,
    generation: &mut Generation<'_>,
    mut next: Option<Picked>,
    request: &Request,
    cancel: &Cancel,
    on_text: &mut Callback<'_, str>,
) -> Result<Written> {
    let mut writer = Writer::new(model.tokenizer(), &request.stop);
    let mut token_ids = request.so_far.clone();
    for &id in &token_ids {
        writer.push(id, &mut |_| ());
    }
    let mut likely = 0.0;
    let finish_reason = loop {
        let Some(Picked { token, probability }) = next else {
            // Prompt and answer together fill the context; the last token itself needs no keys.
            break if token_ids.len() >= request.max_new_tokens {
                FinishReason::Length
            } else {
                FinishReason::Context
            };
        };
        if model.config().is_end(token) {
            break FinishReason::Stop;
        }
        token_ids.push(token);
        likely += probability;
        if let (Some(watch), Some(logits)) = (&request.watch, generation.logits()) {
            let (own, top) = sample::likeliest(logits, token, watch.top);
            (watch.each)(own, &top);
        }
        if writer.push(token, on_text) {
            break FinishReason::Stop;
        }
        next = match generation.next(cancel).await {
            Ok(picked) => picked,
            Err(Error::Cancelled) => break FinishReason::Cancelled,
            Err(error) => return Err(error),
        };
    };
    let new = token_ids.len() - request.so_far.len();
    let mean_probability = (new > 0).then(|| likely / new as f32);
    Ok(Written { text: writer.finish(on_text), token_ids, finish_reason, mean_probability })
}

/// Text of an answer, handed on as soon as it is certain: whole characters, and nothing that may
/// belong to a stop string.
struct Writer<'a> {
    stream: TextStream,
    stop: &'a [String],
    text: String,
    /// Bytes of `text` already handed on.
    shown: usize,
    /// A stop string was complete: nothing follows it.
    stopped: bool,
}

impl<'a> Writer<'a> {
    fn new(tokenizer: &Tokenizer, stop: &'a [String]) -> Self {
        Writer {
            stream: TextStream::new(tokenizer),
            stop,
            text: String::new(),
            shown: 0,
            stopped: false,
        }
    }

    /// Adds a token; true if a stop string is complete.
    fn push(&mut self, id: u32, on_text: &mut Callback<'_, str>) -> bool {
        self.text += &self.stream.push(id);
        if let Some(end) = self
            .stop
            .iter()
            .filter(|s| !s.is_empty())
            .filter_map(|s| self.text.find(s.as_str()))
            .min()
        {
            self.text.truncate(end);
            self.stopped = true;
            self.show(end, on_text);
            return true;
        }
        // Hold back the longest end of the text that could begin a stop string.
        let held = self.stop.iter().map(|s| overlap(&self.text, s)).max().unwrap_or(0);
        self.show(self.text.len() - held, on_text);
        false
    }

    fn finish(mut self, on_text: &mut Callback<'_, str>) -> String {
        if !self.stopped {
            self.text += &self.stream.finish();
            self.show(self.text.len(), on_text);
        }
        self.text.trim().to_owned()
    }

    fn show(&mut self, end: usize, on_text: &mut Callback<'_, str>) {
        if end > self.shown {
            on_text(&self.text[self.shown..end]);
            self.shown = end;
        }
    }
}

/// Bytes at the end of `text` that are a beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    (1..stop.len())
        .rev()
        .find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_held_back_only_while_it_may_become_a_stop_string() {
        assert_eq!(overlap("hello wor", "world"), 3);
        assert_eq!(overlap("hello", "world"), 0);
        assert_eq!(overlap("aaa", "aaab"), 3);
        assert_eq!(overlap("über", "r!"), 1);
    }
}
