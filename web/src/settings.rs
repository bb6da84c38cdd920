//! What JavaScript asks for, as plain objects, and what that means to the library. Fields that are
//! left out have the defaults of [`mqt::defaults`]; the TypeScript interfaces are made from here.

use crate::failure::{Failure, Result};
use crate::stop::Stop;
use mqt::bench::Plan;
use mqt::budget::Budget;
use mqt::defaults;
use mqt::gpu::{AdapterChoice, Choices};
use mqt::model::{LoadOptions, Rehearsal, Tuning};
use mqt::select::Select;
use mqt::session::Request;
use serde::Deserialize;
use std::convert::Infallible;
use std::str::FromStr;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
import type { AskSettings, BenchSettings, LoadSettings } from "../ts/generated";
"#;

#[wasm_bindgen]
extern "C" {
    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "LoadSettings")]
    pub type LoadSettings;

    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "AskSettings")]
    pub type AskSettings;

    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "BenchSettings")]
    pub type BenchSettings;
}

/// How to load a model.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// `auto` (default), `cpu`, or part of an adapter's name.
    pub(crate) adapter: Option<String>,
    /// `fast` (default) or `exact`.
    pub(crate) arithmetic: Option<String>,
    /// For checkpoint folders: `q4` (default), `q8`, `f16` or `f32`. A pack has its own.
    pub(crate) weights: Option<String>,
    /// Room for tokens, at most the model's limit.
    pub(crate) context: Option<usize>,
    /// What was learned before, by adapter, as `Loaded` told.
    pub(crate) kernels: Choices,
}

impl Settings {
    /// Room for tokens.
    pub(crate) fn context(&self) -> usize {
        self.context.unwrap_or(defaults::CONTEXT)
    }

    /// Options for the library; loading may take `tuning` longer.
    pub(crate) fn options(&self, tuning: Tuning) -> Result<LoadOptions> {
        let adapter = self.adapter.as_deref().map_or(Ok(AdapterChoice::Auto), str::parse);
        let adapter = match adapter.unwrap_or_else(|never: Infallible| match never {}) {
            // Nothing measures devices here yet: the browser's adapter, of whatever kind.
            AdapterChoice::Auto => AdapterChoice::Gpu,
            adapter => adapter,
        };
        Ok(LoadOptions {
            adapter,
            weights: parsed(self.weights.as_deref())?,
            arithmetic: parsed(self.arithmetic.as_deref())?,
            context: self.context(),
            rehearsal: Rehearsal::Before,
            choices: self.kernels.clone(),
            tuning,
            ..LoadOptions::default()
        })
    }
}

/// A setting of few words, or its default.
fn parsed<T: Default + FromStr<Err = String>>(text: Option<&str>) -> Result<T> {
    text.map_or(Ok(T::default()), |text| text.parse().map_err(|why: String| Failure::invalid(&why)))
}

/// What to measure.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Measured {
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
    pub(crate) fn plan(self, stop: &Stop) -> Result<Plan> {
        let Measured { tokens, prefill, small_batch, contexts, patience, vision, profile } = self;
        let lists = [&tokens, &prefill, &small_batch, &contexts];
        if lists.into_iter().flatten().any(|&n| n == 0) || patience.is_nan() || patience <= 0.0 {
            return Err(Failure::invalid("lengths and patience are above 0"));
        }
        Ok(Plan {
            tokens,
            prefill,
            small_batch,
            contexts,
            patience,
            vision,
            profile,
            cancel: stop.cancel.clone(),
        })
    }
}

/// How to answer a question.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Asked {
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
}

impl Asked {
    pub(crate) fn budget(&self) -> Budget {
        match (self.image_tokens, self.target_ms) {
            (Some(m), _) => Budget::Fixed(m),
            (None, Some(target_ms)) => Budget::Auto { target_ms },
            (None, None) => Budget::default(),
        }
    }

    pub(crate) fn request(self, question: String) -> Result<Request> {
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
            return Err(Failure::invalid(
                "temperature is at least 0, topP above 0 and at most 1, repetitionPenalty above 0",
            ));
        }
        request.budget = self.budget();
        let select = self.select.as_deref().map(str::parse::<Select>).transpose();
        request.select = select.map_err(|why| Failure::invalid(&why))?;
        request.max_new_tokens = self.max_new_tokens.unwrap_or(request.max_new_tokens).max(1);
        request.stop = self.stop;
        request.so_far = self.so_far;
        request.seen_ahead = true;
        Ok(request)
    }
}
