//! What goes into a conversation and what comes out: questions, answers, estimates, traces.

use crate::budget::{Budget, Mode};
use crate::cancel::Cancel;
use crate::sample::Sampling;

/// One question.
#[derive(Clone, Debug)]
pub struct Request {
    /// The question, as typed.
    pub question: String,
    /// How many image tokens to spend.
    pub budget: Budget,
    /// How the next token is chosen; greedy by default.
    pub sampling: Sampling,
    /// The answer is cut after this many tokens.
    pub max_new_tokens: usize,
    /// The answer ends before any of these strings.
    pub stop: Vec<String>,
    /// Ids of an answer that was cut off: it goes on from there, and is handed back whole. Usually
    /// after [`super::Session::take_back`].
    pub so_far: Vec<u32>,
    /// The picture was encoded before there was a question: that time does not count as waiting for
    /// the first word.
    pub seen_ahead: bool,
    /// Stops encoding, prefill or decoding from anywhere.
    pub cancel: Cancel,
}

impl Request {
    /// A question with the defaults: automatic budget, greedy, at most 512 tokens.
    pub fn new(question: impl Into<String>) -> Request {
        Request {
            question: question.into(),
            budget: Budget::default(),
            sampling: Sampling::default(),
            max_new_tokens: 512,
            stop: Vec::new(),
            so_far: Vec::new(),
            seen_ahead: false,
            cancel: Cancel::new(),
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model ended it, or a stop string did.
    Stop,
    /// `max_new_tokens` was reached.
    Length,
    /// The caller stopped it; the text so far is kept.
    Cancelled,
    /// The context is full; the text so far is kept.
    Context,
}

/// Milliseconds per stage of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Timings {
    /// The vision tower; 0 if the picture was encoded before.
    pub vision: f64,
    /// The resampler.
    pub resample: f64,
    /// The prompt, as far as it was not cached.
    pub prefill: f64,
    /// From the call of `ask` to the first token, encoding included if it had not happened.
    pub first_token: f64,
    /// From the first token to the last.
    pub decode: f64,
    /// All of it.
    pub total: f64,
}

/// An answer and what it took.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Its token ids, without the end token.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// m: the image tokens used.
    pub image_tokens: usize,
    /// Whether the caller or the budget chose them.
    pub image_tokens_mode: Mode,
    /// Why this many, for people.
    pub image_tokens_reason: String,
    /// Tokens of the whole prompt, image tokens included.
    pub prompt_tokens: usize,
    /// Of those, how many were already in the cache.
    pub cached_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
    /// How often the vision tower ran for this answer: 0 or 1.
    pub vision_runs: u32,
    /// Milliseconds per stage.
    pub timings: Timings,
    /// Generated tokens per second, the first one excluded; 0 for a single token.
    pub tokens_per_second: f64,
    /// How likely the model held its own words, 0 to 1: the mean over the generated tokens; `None`
    /// if there are none. A low one says that more image tokens may help.
    pub mean_probability: Option<f32>,
}

/// What a question would cost.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// m: what would be used.
    pub image_tokens: usize,
    /// Why, for people.
    pub reason: String,
    /// Milliseconds to the first word with what is computed already; `None` before anything was
    /// measured.
    pub first_word_ms: Option<f64>,
    /// The same as if no image token were in the cache: what comparing different m needs.
    pub first_word_from_scratch_ms: Option<f64>,
    /// Generated tokens per second; `None` before the first answer.
    pub tokens_per_second: Option<f64>,
    /// Memory the image tokens take in the cache.
    pub cache_bytes: u64,
    /// Tokens the conversation would take with this question.
    pub context_used: usize,
    /// Tokens there is room for.
    pub context: usize,
}

/// What the intermediate stages of one prompt are: `mqt trace`.
#[derive(Clone, Debug)]
pub struct Trace {
    /// [patches, d_vision]
    pub vision_features: Vec<f32>,
    /// [m, hidden]
    pub visual_tokens: Vec<f32>,
    /// The prompt; −200 marks the picture.
    pub input_ids: Vec<i32>,
    /// [prompt with the picture spliced in, vocab]
    pub logits: Vec<f32>,
}
