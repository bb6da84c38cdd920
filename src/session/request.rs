//! What goes into a conversation: a question, and how it is to be answered.

use crate::budget::Budget;
use crate::defaults;
use crate::sample::Sampling;
use crate::select::Select;

/// One question.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The question, as typed.
    pub question: String,
    /// How many image tokens to spend.
    pub budget: Budget,
    /// How image tokens are chosen; `None`: the model's own way.
    pub select: Option<Select>,
    /// How the next token is chosen; greedy by default.
    pub sampling: Sampling,
    /// The answer is cut after this many tokens.
    pub max_new_tokens: usize,
    /// The answer ends before any of these strings.
    pub stop: Vec<String>,
    /// Ids of an answer that was cut off: it is continued, and handed back whole. Usually after
    /// [`super::Session::take_back`].
    pub so_far: Vec<u32>,
    /// True if the picture was encoded before the user asked; that time is then not part of
    /// `first_token`.
    pub seen_ahead: bool,
}

impl Request {
    /// A question with the defaults: automatic budget, greedy,
    /// [`MAX_NEW_TOKENS`](defaults::MAX_NEW_TOKENS).
    pub fn new(question: impl Into<String>) -> Request {
        Request {
            question: question.into(),
            budget: Budget::default(),
            select: None,
            sampling: Sampling::default(),
            max_new_tokens: defaults::MAX_NEW_TOKENS,
            stop: Vec::new(),
            so_far: Vec::new(),
            seen_ahead: false,
        }
    }
}
