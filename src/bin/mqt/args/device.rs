//! The flags of the commands that examine devices: `bench` and `doctor`.

use super::ModelArgs;
use super::values::{adapter, positive, seconds};
use clap::Args;
use clap::builder::PossibleValuesParser;
use mqt::defaults;
use mqt::gpu::AdapterChoice;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object, schema mqt.doctor/1
    #[arg(long)]
    pub(crate) json: bool,
    /// Check this device: `cpu`, `gpu`, or part of an adapter's name
    #[arg(
        long, value_name = "NAME", default_value = "auto", env = "MQT_ADAPTER",
        hide_env_values = true, value_parser = adapter
    )]
    pub(crate) adapter: AdapterChoice,
    /// Test every kernel on every adapter, and measure all devices; takes minutes on software
    /// drivers
    #[arg(long, conflicts_with = "no_self_test")]
    pub(crate) all: bool,
    /// Do not compare kernels with their plain-Rust twins
    #[arg(long)]
    pub(crate) no_self_test: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Use random weights of this shape instead of a model
    #[arg(
        long, value_name = "NAME", conflicts_with = "model",
        value_parser = PossibleValuesParser::new(mqt::internals::config::shapes::NAMES)
    )]
    pub(crate) shape: Option<String>,
    /// Numbers of image tokens with which to measure the first token, separated by commas [default:
    /// the ladder]
    #[arg(
        short = 'm', long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        value_parser = positive
    )]
    pub(crate) tokens: Vec<u32>,
    /// Lengths of context to generate at, separated by commas
    #[arg(
        long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        default_values_t = defaults::BENCH_CONTEXTS.map(|n| n as u32), value_parser = positive
    )]
    pub(crate) contexts: Vec<u32>,
    /// Prompt lengths, separated by commas
    #[arg(
        long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        default_values_t = defaults::BENCH_PREFILL.map(|n| n as u32), value_parser = positive
    )]
    pub(crate) prefill: Vec<u32>,
    /// Numbers of tokens to compute together, with a context of 128 [default: 1 to 16, 20, 24, 28,
    /// 32, 48, 64]
    #[arg(
        long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        value_parser = positive
    )]
    pub(crate) batches: Vec<u32>,
    /// Seconds per figure; more gives steadier figures
    #[arg(
        long, value_name = "S", default_value_t = defaults::BENCH_PATIENCE, allow_hyphen_values = true,
        value_parser = seconds
    )]
    pub(crate) patience: f64,
    /// First measure every variant of every kernel, and, without --adapter, every device; the
    /// fastest are remembered for later runs
    #[arg(long)]
    pub(crate) tune: bool,
    /// Then measure how long each kernel takes, with the device's own clock
    #[arg(long)]
    pub(crate) profile: bool,
    /// Also measure the first token when the question chooses the image tokens, compared with
    /// `spread`: with 64, 96, 128 and 192 of them, once the picture is encoded
    #[arg(long, value_name = "WAY", value_parser = PossibleValuesParser::new(["question"]))]
    pub(crate) select: Option<String>,
    /// Leave out the vision tower
    #[arg(long)]
    pub(crate) no_vision: bool,
    /// Print one JSON object, schema mqt.bench/1
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the time to the first token against m, and the small batches, into an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}
