//! What a page asks for, as JSON objects, both from the engine in the browser and from that of `mqt
//! serve`. Fields that are left out have the defaults of [`crate::defaults`]; the TypeScript
//! interfaces are generated from here.

use crate::bench::Plan;
use crate::budget::Budget;
use crate::cancel::Cancel;
use crate::defaults;
use crate::error::{Error, Result};
use crate::select::Select;
use crate::session::Request;
use serde::Deserialize;

fn wrong(what: &str, why: &str) -> Error {
    Error::InvalidSetting { what: what.into(), why: why.into() }
}

/// What to measure.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Measured {
    /// Image tokens to measure the first token for; by default those worth comparing.
    tokens: Vec<usize>,
    /// Prompt lengths.
    prefill: Vec<usize>,
    /// Tokens computed together; none by default.
    small_batch: Vec<usize>,
    /// Contexts to generate at.
    contexts: Vec<usize>,
    /// Seconds per figure.
    patience: f64,
    /// Run the vision tower; true by default.
    vision: bool,
    /// Take the time of every kernel as well, where the device has a clock.
    profile: bool,
}

impl Default for Measured {
    fn default() -> Self {
        Measured {
            tokens: Vec::new(),
            prefill: defaults::QUICK_BENCH_PREFILL.into(),
            small_batch: Vec::new(),
            contexts: defaults::QUICK_BENCH_CONTEXTS.into(),
            patience: defaults::QUICK_BENCH_PATIENCE,
            vision: true,
            profile: false,
        }
    }
}

impl Measured {
    /// What it asks for.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if a length or the patience is not above 0.
    pub fn plan(self, cancel: Cancel) -> Result<Plan> {
        let Measured { tokens, prefill, small_batch, contexts, patience, vision, profile } = self;
        let lists = [&tokens, &prefill, &small_batch, &contexts];
        if lists.into_iter().flatten().any(|&n| n == 0) || patience.is_nan() || patience <= 0.0 {
            return Err(wrong("measurement", "lengths and patience are above 0"));
        }
        let question = false;
        Ok(Plan {
            tokens,
            prefill,
            small_batch,
            contexts,
            patience,
            vision,
            question,
            profile,
            cancel,
        })
    }
}

/// How to answer a question.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Asked {
    /// Image tokens to spend, one of the numbers that the model gives; without it the measured
    /// speed decides.
    image_tokens: Option<u64>,
    /// How image tokens are chosen: `nested`, `spread`, `pool` or `random`; the model's own way by
    /// default.
    select: Option<String>,
    /// Milliseconds to the first token that an automatic choice aims for.
    target_ms: Option<f64>,
    /// The answer is cut after so many tokens.
    max_new_tokens: Option<usize>,
    /// 0 always takes the likeliest token.
    temperature: Option<f32>,
    /// Keep the likeliest tokens that together reach this probability; 1 keeps all.
    top_p: Option<f32>,
    /// Keep so many of the likeliest tokens; 0 keeps all.
    top_k: Option<usize>,
    /// Above 1: tokens that were already there are less likely.
    repetition_penalty: Option<f32>,
    /// The same seed gives the same answer.
    seed: Option<u64>,
    /// The answer ends before any of these.
    stop: Vec<String>,
    /// Ids of an answer that was cut off: it is continued.
    so_far: Vec<u32>,
    /// Pictures and all that follows them are read again, although some of it was read before: for
    /// times that can be compared.
    reread: bool,
}

impl Asked {
    /// The image tokens.
    pub fn budget(&self) -> Budget {
        match (self.image_tokens, self.target_ms) {
            (Some(m), _) => Budget::Fixed(m),
            (None, Some(target_ms)) => Budget::Auto { target_ms },
            (None, None) => Budget::default(),
        }
    }

    /// What it asks about `question`, whose picture counts as encoded beforehand.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for sampling out of range and an unknown way of choosing.
    pub fn request(self, question: String) -> Result<Request> {
        let mut request = Request::new(question);
        let sampling = &mut request.sampling;
        let given = |value: Option<f32>, default: f32| value.unwrap_or(default);
        sampling.temperature = given(self.temperature, sampling.temperature);
        sampling.top_p = given(self.top_p, sampling.top_p);
        sampling.top_k = self.top_k.unwrap_or(sampling.top_k);
        sampling.repetition_penalty = given(self.repetition_penalty, sampling.repetition_penalty);
        sampling.seed = self.seed.unwrap_or(sampling.seed);
        let sound = sampling.temperature >= 0.0
            && sampling.top_p > 0.0
            && sampling.top_p <= 1.0
            && sampling.repetition_penalty > 0.0;
        if !sound {
            return Err(wrong(
                "sampling",
                "temperature is at least 0, topP above 0 and at most 1, repetitionPenalty above 0",
            ));
        }
        request.budget = self.budget();
        let select = self.select.as_deref().map(str::parse::<Select>).transpose();
        request.select = select.map_err(|why| wrong("select", &why))?;
        request.max_new_tokens = self.max_new_tokens.unwrap_or(request.max_new_tokens).max(1);
        request.stop = self.stop;
        request.so_far = self.so_far;
        request.reread = self.reread;
        request.seen_ahead = true;
        Ok(request)
    }
}
