//! What a run of the benchmark found.

use super::{Ceilings, ChosenByQuestion, Pictures, Stage, Stop};
use crate::cpu::Isa;
use crate::gpu::AdapterInfo;
use serde::Serialize;
use std::collections::BTreeMap;

/// `mqt.bench/1`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `mqt.bench/1`.
    pub schema: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// Where it ran.
    pub adapter: AdapterInfo,
    /// What it uses of the processor; `None` where it ran on an adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
    /// What ran.
    pub model: ModelFacts,
    /// `exact` or `fast`.
    pub arithmetic: crate::model::Arithmetic,
    /// The device at its best.
    pub ceilings: Ceilings,
    /// The tower, once per picture; `None` if left out.
    pub vision: Option<Vision>,
    /// The resampler for all M tokens, milliseconds.
    pub resample_ms: Option<f64>,
    /// Prompts from an empty cache.
    pub prefill: Vec<Prefill>,
    /// Few tokens at once.
    pub small_batch: Vec<SmallBatch>,
    /// One token at a time.
    pub decode: Vec<Decode>,
    /// From the question to the first token, the picture not yet encoded, the system prompt cached.
    pub first_token: Vec<FirstToken>,
    /// The same about 1, 2, 4 and 8 pictures, as far as the context has room.
    pub pictures: Vec<Pictures>,
    /// Image tokens that the question chooses, if asked for.
    pub chosen: Vec<ChosenByQuestion>,
    /// How far predictions are off; `None` where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// How long Stop takes; `None` in the browser, where one thread cannot ask while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// From nothing to ready, by phase.
    pub startup_ms: Startup,
    /// Compiled pipelines.
    pub pipelines: usize,
    /// Bytes of storage buffers at the peak.
    pub gpu_bytes_peak: u64,
    /// Which variant of each kernel was measured to be fastest, by shape; the others are guessed.
    pub variants: BTreeMap<String, String>,
    /// Time per kernel, if asked for and if the device has a clock.
    pub profile: Vec<Stage>,
}

/// What the network on the processor uses.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Processor {
    /// Its instruction set.
    pub instruction_set: Isa,
    /// Its threads.
    pub threads: usize,
}

/// The model's sizes.
#[derive(Clone, Debug, Serialize)]
pub struct ModelFacts {
    /// The pack's, the folder's or the shape's name.
    pub name: String,
    /// f32, f16, q8 or q4.
    pub weights: String,
    /// Weights of all parts.
    pub parameters: u64,
    /// Bytes read for every generated token, keys and values not counted.
    pub bytes_per_token: u64,
}

/// The vision tower.
#[derive(Clone, Debug, Serialize)]
pub struct Vision {
    /// Milliseconds per picture.
    pub ms: f64,
    /// 10⁹ floating point operations.
    pub gflop: f64,
    /// Of the measured f32 peak.
    pub fraction_of_peak: Option<f64>,
    /// Image tokens that `--select spread` puts in order, once per picture.
    pub ordered: usize,
    /// Milliseconds that it takes, reading the tokens back included.
    pub order_ms: f64,
}

/// A prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Prefill {
    /// Its length.
    pub tokens: usize,
    /// Milliseconds.
    pub ms: f64,
    /// Tokens per second.
    pub tokens_per_second: f64,
}

/// N tokens at once beside a context of 128.
#[derive(Clone, Debug, Serialize)]
pub struct SmallBatch {
    /// N.
    pub n: usize,
    /// Milliseconds.
    pub ms: f64,
}

/// Generation.
#[derive(Clone, Debug, Serialize)]
pub struct Decode {
    /// Positions in the cache at the start.
    pub context: usize,
    /// Tokens per second.
    pub tokens_per_second: f64,
    /// Milliseconds per token.
    pub ms_per_token: f64,
    /// Bytes of weights, keys and values per token.
    pub bytes_per_token: u64,
    /// Of the measured read rate.
    pub fraction_of_read_bandwidth: Option<f64>,
    /// Milliseconds per token over bytes ÷ read rate + dispatches · gap.
    pub ratio_to_model: Option<f64>,
    /// Dispatches per token.
    pub dispatches_per_token: f64,
    /// Results fetched per token.
    pub readbacks_per_token: f64,
    /// Buffers, bind groups and pipelines created per token.
    pub objects_created_per_token: f64,
    /// Share of the time the device had nothing to do; needs timestamps.
    pub gpu_idle_fraction: Option<f64>,
}

/// The wait for the first token.
#[derive(Clone, Debug, Serialize)]
pub struct FirstToken {
    /// m.
    pub image_tokens: usize,
    /// Milliseconds, the tower included.
    pub ms: f64,
    /// What a new conversation predicts; `None` where its prompt is too short to tell.
    pub predicted_ms: Option<f64>,
}

/// Predicted against measured waits for the first token, over all m: |predicted ÷ measured − 1|.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Prediction {
    /// The median.
    pub median_error: f64,
    /// The largest.
    pub worst_error: f64,
}

/// Milliseconds until ready.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Startup {
    /// Finding the adapter and opening a device.
    pub device: f64,
    /// Compiling, as far as it was not hidden behind the weights.
    pub pipelines: f64,
    /// Reading, checking and uploading weights.
    pub weights: f64,
    /// The first run of every kernel.
    pub warm_up: f64,
}
