//! What goes into a conversation: a question, and how it is to be answered.

use crate::budget::Budget;
use crate::defaults;
use crate::grammar::Grammar;
use crate::sample::{Likely, Sampling};
use crate::select::Select;
use std::fmt;
use std::sync::Arc;

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
    /// What the answer may say; `None`: anything. An answer within a grammar ends by it, or is cut
    /// by `max_new_tokens`, the context or a stop string.
    pub grammar: Option<Grammar>,
    /// Receives how likely each token was; steps then go one by one, which takes longer on a GPU.
    pub watch: Option<Watch>,
    /// Ids of an answer that was cut off: it is continued and returned whole. Usually after
    /// [`super::Session::take_back`].
    pub so_far: Vec<u32>,
    /// True if the picture was encoded before the user asked; that time is then not part of
    /// `first_token`.
    pub seen_ahead: bool,
    /// Reads the pictures and all that follows them again, although some of it was read before:
    /// for times that can be compared.
    pub reread: bool,
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
            grammar: None,
            watch: None,
            so_far: Vec::new(),
            seen_ahead: false,
            reread: false,
        }
    }
}

/// Receives every token of an answer before the text that the token makes certain: how likely the
/// model considered it, and how likely the likeliest tokens were.
#[derive(Clone)]
pub struct Watch {
    /// How many of the likeliest.
    pub(super) top: usize,
    pub(super) each: Arc<Each>,
}

/// Takes a token and the likeliest ones in its place.
type Each = dyn Fn(Likely, &[Likely]) + Send + Sync;

impl Watch {
    /// Calls `each` with every token and with the `top` likeliest alternatives, the likeliest
    /// first.
    pub fn new(top: usize, each: impl Fn(Likely, &[Likely]) + Send + Sync + 'static) -> Watch {
        Watch { top, each: Arc::new(each) }
    }
}

impl PartialEq for Watch {
    fn eq(&self, other: &Watch) -> bool {
        self.top == other.top && Arc::ptr_eq(&self.each, &other.each)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("top", &self.top).finish_non_exhaustive()
    }
}
