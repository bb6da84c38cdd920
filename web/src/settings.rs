//! What JavaScript asks for, as plain objects: their TypeScript interfaces, their defaults, and
//! what they mean to the library.

use crate::failure::{Failure, Result};
use crate::stop::Stop;
use mqt::bench::Plan;
use mqt::budget::Budget;
use mqt::gpu::Choices;
use mqt::sample::Sampling;
use mqt::session::Request;
use serde::Deserialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
export interface LoadSettings {
  /** `auto` (default), `cpu`, or part of an adapter's name. */
  adapter?: string;
  /** `fast` (default) or `exact`. */
  arithmetic?: string;
  /** For checkpoint folders: `auto` (default), `q4`, `q5`, `q8`, `f16` or `f32`. A pack has its own. */
  weights?: string;
  /** Room for tokens, at most the model's limit; 2048 by default. */
  context?: number;
  /** What was learned before, by adapter, as `Loaded` told: variants of kernels, counts of pipelines. */
  kernels?: Record<string, { variants: Record<string, string>; pipelines: Record<string, number> }>;
}

export interface BenchSettings {
  /** Image tokens to measure the first word for; by default those worth comparing. */
  tokens?: number[];
  /** Prompt lengths; 16 and 64 by default. */
  prefill?: number[];
  /** Tokens computed together; none by default. */
  smallBatch?: number[];
  /** Contexts to generate at; 100 by default. */
  contexts?: number[];
  /** Seconds per figure; 0.2 by default. */
  patience?: number;
  /** Run the vision tower; true by default. */
  vision?: boolean;
  /** Take the time of every kernel as well, where the device has a clock. */
  profile?: boolean;
}

export interface AskSettings {
  /** Image tokens to spend, one of the numbers that the model gives; without it the measured speed decides. */
  imageTokens?: number;
  /** Milliseconds to the first word that an automatic choice aims for; 2000 by default. */
  targetMs?: number;
  /** The answer is cut after so many tokens; 512 by default. */
  maxNewTokens?: number;
  /** 0 (default) is greedy. */
  temperature?: number;
  topP?: number;
  topK?: number;
  repetitionPenalty?: number;
  /** The same seed gives the same answer. */
  seed?: number;
  /** The answer ends before any of these. */
  stop?: string[];
  /** Ids of an answer that was cut off: it goes on from there. */
  soFar?: number[];
}
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

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) adapter: String,
    pub(crate) arithmetic: String,
    pub(crate) weights: String,
    pub(crate) context: usize,
    pub(crate) kernels: Choices,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            adapter: "auto".into(),
            arithmetic: "fast".into(),
            weights: "auto".into(),
            context: 2048,
            kernels: Choices::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Measured {
    tokens: Vec<usize>,
    prefill: Vec<usize>,
    small_batch: Vec<usize>,
    contexts: Vec<usize>,
    patience: f64,
    vision: bool,
    profile: bool,
}

impl Default for Measured {
    fn default() -> Self {
        Measured {
            tokens: Vec::new(),
            prefill: vec![16, 64],
            small_batch: Vec::new(),
            contexts: vec![100],
            patience: 0.2,
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

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Asked {
    image_tokens: Option<u64>,
    target_ms: Option<f64>,
    max_new_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    repetition_penalty: Option<f32>,
    seed: Option<u64>,
    stop: Vec<String>,
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

    pub(crate) fn request(self, question: String, stop: &Stop) -> Result<Request> {
        let usual = Sampling::default();
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(usual.temperature),
            top_p: self.top_p.unwrap_or(usual.top_p),
            top_k: self.top_k.unwrap_or(usual.top_k),
            repetition_penalty: self.repetition_penalty.unwrap_or(usual.repetition_penalty),
            seed: self.seed.unwrap_or(usual.seed),
        };
        let sound = sampling.temperature >= 0.0
            && sampling.top_p > 0.0
            && sampling.top_p <= 1.0
            && sampling.repetition_penalty > 0.0;
        if !sound {
            return Err(Failure::invalid(
                "temperature is at least 0, topP above 0 and at most 1, repetitionPenalty above 0",
            ));
        }
        let max_new_tokens = self.max_new_tokens.unwrap_or(512).max(1);
        let budget = self.budget();
        let cancel = stop.cancel.clone();
        Ok(Request {
            budget,
            sampling,
            max_new_tokens,
            stop: self.stop,
            so_far: self.so_far,
            seen_ahead: true,
            cancel,
            ..Request::new(question)
        })
    }
}

/// A turn of an earlier conversation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Earlier {
    pub(crate) question: String,
    pub(crate) token_ids: Vec<u32>,
    pub(crate) image_tokens: usize,
}
