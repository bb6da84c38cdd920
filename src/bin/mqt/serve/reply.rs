//! Answers as OpenAI's clients read them: whole, or in chunks.

use super::logprobs;
use super::queue::Answered;
use mqt::session::{Answer, FinishReason};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// What all parts of one answer have in common.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// What tells this model and version from others.
    pub(crate) fingerprint: String,
}

impl Head {
    pub(crate) fn new(id: &str, model: &str, fingerprint: &str) -> Head {
        Head {
            id: format!("chatcmpl-{id}"),
            model: model.to_owned(),
            created: now(),
            fingerprint: fingerprint.to_owned(),
        }
    }

    /// A whole answer; `tokens` say how likely they were, if that is wanted.
    pub(crate) fn whole(&self, answered: &Answered, tokens: Option<Vec<Value>>) -> Value {
        let answer = &answered.answer;
        let mut whole = self.object("chat.completion");
        whole["choices"] = json!([{
            "index": 0,
            "message": {"role": "assistant", "content": answer.text, "refusal": null},
            "logprobs": logprobs::list(tokens),
            "finish_reason": finish_reason(answer),
        }]);
        whole["usage"] = usage(answer);
        whole["timings"] = timings(answered);
        whole
    }

    /// The chunk that opens a stream.
    pub(crate) fn opening(&self) -> Value {
        self.chunk(&json!({"role": "assistant", "content": ""}), None, Value::Null)
    }

    /// A piece of the text, with the tokens since the last one.
    pub(crate) fn piece(&self, text: &str, tokens: Option<Vec<Value>>) -> Value {
        self.chunk(&json!({"content": text}), tokens, Value::Null)
    }

    /// The chunk after the last piece, with the tokens that made no text.
    pub(crate) fn closing(&self, answered: &Answered, tokens: Option<Vec<Value>>) -> Value {
        let mut chunk = self.chunk(&json!({}), tokens, finish_reason(&answered.answer).into());
        chunk["timings"] = timings(answered);
        chunk
    }

    /// The chunk that has the usage and no choice.
    pub(crate) fn usage(&self, answered: &Answered) -> Value {
        let mut chunk = self.object("chat.completion.chunk");
        chunk["choices"] = json!([]);
        chunk["usage"] = usage(&answered.answer);
        chunk
    }

    fn chunk(&self, delta: &Value, tokens: Option<Vec<Value>>, finish_reason: Value) -> Value {
        let mut chunk = self.object("chat.completion.chunk");
        chunk["choices"] = json!([{
            "index": 0, "delta": delta, "logprobs": logprobs::list(tokens),
            "finish_reason": finish_reason,
        }]);
        chunk
    }

    fn object(&self, kind: &str) -> Value {
        json!({
            "id": self.id, "object": kind, "created": self.created, "model": self.model,
            "system_fingerprint": self.fingerprint,
        })
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn finish_reason(answer: &Answer) -> &'static str {
    match answer.finish_reason {
        FinishReason::Stop => "stop",
        _ => "length",
    }
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {
            "image_tokens": answer.all_image_tokens(), "cached_tokens": answer.cached_tokens,
        },
    })
}

/// Milliseconds of each stage, and how long the request has waited for the device.
fn timings(answered: &Answered) -> Value {
    let answer = &answered.answer;
    let mut timings = serde_json::to_value(answer.timings_ms).unwrap_or_default();
    timings["queue"] = ((answered.queue_ms * 1e3).round() / 1e3).into();
    timings["tokens_per_second"] = answer.tokens_per_second.into();
    timings["vision_runs"] = answer.vision_runs.into();
    timings
}

/// White space around a whole answer is left out, also where it comes in pieces.
#[derive(Default)]
pub(crate) struct Trim {
    held: String,
    started: bool,
}

impl Trim {
    /// What is certain of the answer with this piece.
    pub(crate) fn push(&mut self, text: &str) -> String {
        let text = if self.started { text } else { text.trim_start() };
        let solid = text.trim_end();
        let mut piece = String::new();
        if !solid.is_empty() {
            self.started = true;
            piece = std::mem::take(&mut self.held) + solid;
        }
        self.held.push_str(&text[solid.len()..]);
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_together_the_trimmed_whole() {
        for pieces in [&[" a", " ", "\n b", " "][..], &["", " ", "x"], &[" "], &["a b ", "c"]] {
            let mut trim = Trim::default();
            let together: String = pieces.iter().map(|piece| trim.push(piece)).collect();
            assert_eq!(together, pieces.concat().trim(), "{pieces:?}");
        }
    }
}
