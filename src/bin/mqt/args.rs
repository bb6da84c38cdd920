//! The command line, flag by flag.

use crate::eval::Shard;
use crate::failure::{Failure, Result};
use crate::help;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use mqt::budget::Budget;
use mqt::gpu::AdapterChoice;
use mqt::model::{Arithmetic, ModelSource};
use mqt::sample::Sampling;
use mqt::session::Request;
use mqt::untrusted::limits;
use mqt::weights::WeightsChoice;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
pub(crate) use values::{Tokens, tokens};
use values::{adapter, count, milliseconds, penalty, probability, seconds, temperature};

mod values;

/// Ask about a picture, and choose how many image tokens to spend.
#[derive(Debug, Parser)]
#[command(
    name = "mqt", version, about = help::ABOUT, after_help = help::AFTER,
    arg_required_else_help = true, max_term_width = 110
)]
pub(crate) struct Arguments {
    /// Nothing on stderr but errors
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer a question about one or several pictures
    #[command(after_help = help::ASK, override_usage = help::ASK_USAGE)]
    Ask(AskArgs),
    /// Talk about a picture, turn by turn
    #[command(after_help = help::CHAT)]
    Chat(ChatArgs),
    /// Give one question's answers with several numbers of image tokens
    #[command(after_help = help::COMPARE)]
    Compare(CompareArgs),
    /// Draw where the image tokens read from
    #[command(after_help = help::ATTENTION)]
    Attention(AttentionArgs),
    /// Write what the network computes for one prompt, to compare with PyTorch
    #[command(after_help = help::TRACE)]
    Trace(TraceArgs),
    /// Answer a file of questions, in LLaVA's format, and score the answers
    #[command(after_help = help::EVAL)]
    Eval(EvalArgs),
    /// Turn a Hugging Face checkpoint folder into a pack, which loads faster
    #[command(after_help = help::CONVERT)]
    Convert(ConvertArgs),
    /// Check every checksum of a pack
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Fetch a model into the cache; goes on where it was interrupted
    #[command(after_help = help::PULL)]
    Pull(PullArgs),
    /// List, remove or check fetched models
    #[command(subcommand, after_help = help::CACHE)]
    Cache(CacheCommand),
    /// Show what a model folder holds, without loading it
    #[command(after_help = help::INSPECT)]
    Inspect(InspectArgs),
    /// Measure this device, and every stage of a model on it
    #[command(after_help = help::BENCH)]
    Bench(BenchArgs),
    /// Find out what this machine can do, and whether mqt works on it
    #[command(after_help = help::DOCTOR)]
    Doctor(DoctorArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// Pictures (a file, `-` for stdin, or a data: URL), then the question unless -q gives it
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) words: Vec<OsString>,
    /// The question; without it the last argument is the question
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) question: Option<String>,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    /// Answer first with so many image tokens, for a quick draft
    #[arg(
        long,
        value_name = "M",
        allow_hyphen_values = true,
        requires = "refine",
        conflicts_with = "tokens"
    )]
    pub(crate) draft: Option<u64>,
    /// Then answer again with so many, without looking at the picture again
    #[arg(long, value_name = "M", allow_hyphen_values = true, requires = "draft")]
    pub(crate) refine: Option<u64>,
    /// One JSON object per answer, schema mqt.answer/1
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    #[command(flatten)]
    pub(crate) opening: SystemArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// The picture to talk about: a file, or a data: URL
    pub(crate) image: OsString,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    /// One JSON object per answer, schema mqt.answer/1
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    #[command(flatten)]
    pub(crate) opening: SystemArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The picture: a file, `-` for stdin, or a data: URL
    pub(crate) image: OsString,
    /// The question
    pub(crate) question: String,
    /// Numbers of image tokens, separated by commas [default: the ladder 2,4,8,16,36,64,144,256 up
    /// to the model's M]
    #[arg(
        short = 'm',
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(crate) tokens: Vec<u64>,
    /// One JSON object per answer, schema mqt.answer/1
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    #[command(flatten)]
    pub(crate) opening: SystemArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AttentionArgs {
    /// The picture: a file, `-` for stdin, or a data: URL
    pub(crate) image: OsString,
    /// The first so many image tokens together, 1 to the model's M [default: all]
    #[arg(short = 'm', long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) tokens: Option<u64>,
    /// The PNG file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The picture: a file, `-` for stdin, or a data: URL; read as the PyTorch reference reads it
    pub(crate) image: OsString,
    /// The question
    pub(crate) question: String,
    /// Image tokens, 1 to the model's M
    #[arg(short = 'm', long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) tokens: u64,
    /// The safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Questions, one JSON object a line: question_id, image, text, and perhaps answer and kind
    pub(crate) questions: PathBuf,
    /// The folder that the questions' pictures lie in; read as the PyTorch reference reads them
    #[arg(long, value_name = "DIR")]
    pub(crate) images: PathBuf,
    /// Also read pictures outside that folder, where the questions or links in it lead there
    #[arg(long)]
    pub(crate) allow_outside: bool,
    /// Numbers of image tokens, separated by commas [default: the model's M]
    #[arg(
        short = 'm',
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(crate) tokens: Vec<u64>,
    /// Answers, one JSON object a line; what is there is not asked again
    #[arg(short, long, value_name = "ANSWERS.jsonl")]
    pub(crate) output: PathBuf,
    /// Only part i of n of the questions, each part into a file of its own; `cat` joins them
    #[arg(long, value_name = "i/n", allow_hyphen_values = true)]
    pub(crate) shard: Option<Shard>,
    /// Accuracy and time for each m, as JSON (schema mqt.eval/1)
    #[arg(long, value_name = "FILE.json")]
    pub(crate) summary: Option<PathBuf>,
    /// Accuracy and time against m, as a picture
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

/// What `--weights` takes.
const WEIGHTS: [&str; 6] = ["auto", "f32", "f16", "q8", "q5", "q4"];

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A Hugging Face checkpoint folder
    pub(crate) checkpoint: PathBuf,
    /// The pack's folder, made if it does not exist
    #[arg(short, long, value_name = "PACK_DIR")]
    pub(crate) output: PathBuf,
    /// How matrices are stored; auto: q4 for decoders from 2 billion parameters on, q5 for smaller
    /// ones
    #[arg(
        long, default_value = "auto",
        value_parser = PossibleValuesParser::new(WEIGHTS).try_map(|text| text.parse::<WeightsChoice>())
    )]
    pub(crate) weights: WeightsChoice,
    /// The text on which it is measured which inputs count: a file, `built-in`, or `none` to guess
    /// from the weights
    #[arg(
        long, value_name = "FILE", num_args = 0..=1, require_equals = true,
        default_value = "built-in", default_missing_value = "built-in"
    )]
    pub(crate) calibrate: PathBuf,
    /// The vision tower's folder, if the checkpoint does not lead to it
    #[arg(long, value_name = "DIR")]
    pub(crate) vision_tower: Option<PathBuf>,
    /// Largest shard in bytes; for tests, which want many of a small model
    #[arg(
        long, hide = true, allow_hyphen_values = true,
        default_value_t = mqt::weights::pack::SHARD_BYTES
    )]
    pub(crate) shard_bytes: u64,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The pack's folder
    pub(crate) pack: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// owner/name[@revision] on HF_ENDPOINT, or the address of a pack's manifest.json
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// The folder to fetch into [default: the cache, MQT_CACHE or the user's own]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// A server that sends less than it should in so many seconds is asked again
    #[arg(
        long, value_name = "SECONDS", default_value_t = 30.0, allow_hyphen_values = true,
        value_parser = seconds
    )]
    pub(crate) timeout: f64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// What is there, and how large
    Ls,
    /// Remove a model
    Rm {
        /// Its name, as `ls` shows it
        name: String,
    },
    /// Check every file against its SHA-256
    Verify {
        /// A model's name [default: all]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A pack or a checkpoint folder [default: the bundled model]
    pub(crate) path: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The vision tower's folder, if the checkpoint does not lead to it
    #[arg(long, value_name = "DIR")]
    pub(crate) vision_tower: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// One JSON object, schema mqt.doctor/1
    #[arg(long)]
    pub(crate) json: bool,
    /// Look at this adapter: part of its name, or `cpu`
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = adapter)]
    pub(crate) adapter: AdapterChoice,
    /// Leave out running every kernel against its plain-Rust twin
    #[arg(long)]
    pub(crate) no_self_test: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Random weights of this shape instead of a model: toybox, llama-200m, tinyllama-1.1b or
    /// mqt-llava-7b
    #[arg(
        long, value_name = "NAME", conflicts_with = "model", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(mqt::model::shapes::NAMES)
    )]
    pub(crate) shape: Option<String>,
    /// Numbers of image tokens to measure the first word for, separated by commas [default: the
    /// ladder]
    #[arg(
        short = 'm', long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) tokens: Vec<u32>,
    /// Contexts to generate at, separated by commas
    #[arg(
        long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        default_values_t = [100, 512, 1500], value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) contexts: Vec<u32>,
    /// Prompt lengths, separated by commas
    #[arg(
        long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        default_values_t = [16, 64, 128, 256, 512],
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) prefill: Vec<u32>,
    /// Numbers of tokens to compute together beside a context of 128 [default: 1 to 16, 20, 24, 28,
    /// 32, 48, 64]
    #[arg(
        long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) batches: Vec<u32>,
    /// Seconds per figure: more is steadier
    #[arg(
        long, value_name = "S", default_value_t = 0.5, allow_hyphen_values = true,
        value_parser = seconds
    )]
    pub(crate) patience: f64,
    /// First measure every variant of every kernel, and remember the fastest for all later runs
    #[arg(long)]
    pub(crate) tune: bool,
    /// Then measure how long each kernel takes, with the device's own clock
    #[arg(long)]
    pub(crate) profile: bool,
    /// Leave out the vision tower
    #[arg(long)]
    pub(crate) no_vision: bool,
    /// One JSON object, schema mqt.bench/1
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the first word's time against m, and the small batches, into an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// Image tokens: 1 to the model's M, or `auto`: as many as --target-ms allows on this device
    #[arg(
        short = 'm', long, value_name = "auto|N", default_value = "auto",
        allow_hyphen_values = true, value_parser = tokens
    )]
    tokens: Tokens,
    /// With -m auto: the first word shall come within so many milliseconds
    #[arg(
        long, value_name = "MS", allow_hyphen_values = true, default_value_t = 2000.0,
        value_parser = milliseconds
    )]
    target_ms: f64,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// Cut the answer after so many tokens
    #[arg(
        long, value_name = "N", allow_hyphen_values = true, default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    max_new_tokens: u32,
    /// 0 always takes the likeliest token; higher is more varied
    #[arg(
        long, value_name = "T", allow_hyphen_values = true, default_value_t = 0.0,
        value_parser = temperature, help_heading = "Sampling"
    )]
    temperature: f32,
    /// Choose among the likeliest tokens that together reach this probability
    #[arg(
        long, value_name = "P", allow_hyphen_values = true, default_value_t = 1.0,
        value_parser = probability, help_heading = "Sampling"
    )]
    top_p: f32,
    /// Choose among so many of the likeliest tokens; 0 is all
    #[arg(
        long, value_name = "K", allow_hyphen_values = true, default_value_t = 50,
        value_parser = count, help_heading = "Sampling"
    )]
    top_k: usize,
    /// Above 1: make tokens that were already there less likely
    #[arg(
        long, value_name = "R", allow_hyphen_values = true, default_value_t = 1.0,
        value_parser = penalty, help_heading = "Sampling"
    )]
    repetition_penalty: f32,
    /// The same seed gives the same answer
    #[arg(
        long,
        value_name = "S",
        allow_hyphen_values = true,
        default_value_t = 0,
        help_heading = "Sampling"
    )]
    seed: u64,
    /// End the answer before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

/// Not for `eval`, which measures a model under the prompt it was trained with.
#[derive(Debug, Args)]
pub(crate) struct SystemArgs {
    /// Open the conversation with this text instead of the model's own
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Model and device")]
pub(crate) struct ModelArgs {
    /// A pack or a Hugging Face checkpoint folder [default: the bundled model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
    /// How a checkpoint folder's matrices are held: f32, f16, q8, q5, q4, or auto: q4 for decoders
    /// from 2 billion parameters on, q5 for smaller ones [default: auto]
    #[arg(
        long, value_name = "FORMAT", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(WEIGHTS).try_map(|text| text.parse::<WeightsChoice>())
    )]
    pub(crate) weights: Option<WeightsChoice>,
    /// The vision tower's folder, if the checkpoint does not lead to it
    #[arg(long, value_name = "DIR")]
    pub(crate) vision_tower: Option<PathBuf>,
    /// The graphics adapter: part of its name, or `cpu` for none
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = adapter)]
    pub(crate) adapter: AdapterChoice,
    /// Room for so many tokens of picture and conversation [default: 2048, or what the model allows
    /// if that is less]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = count)]
    pub(crate) context: Option<usize>,
    /// exact: the same on every device; fast: whatever is fastest here [default: fast; exact in
    /// trace and eval]
    #[arg(
        long, value_name = "KIND", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(["exact", "fast"]).try_map(|text| text.parse::<Arithmetic>())
    )]
    pub(crate) arithmetic: Option<Arithmetic>,
}

impl BudgetArgs {
    /// What `-m` and `--target-ms` say.
    pub(crate) fn budget(&self) -> Budget {
        match self.tokens {
            Tokens::Auto => Budget::Auto { target_ms: self.target_ms },
            Tokens::Fixed(m) => Budget::Fixed(m),
        }
    }

    /// The goal for `auto`.
    pub(crate) fn target_ms(&self) -> f64 {
        self.target_ms
    }
}

impl AnswerArgs {
    /// These flags as a request.
    pub(crate) fn request(&self, question: &str, budget: Budget) -> Request {
        let AnswerArgs { temperature, top_p, top_k, repetition_penalty, seed, .. } = *self;
        Request {
            budget,
            sampling: Sampling { temperature, top_p, top_k, repetition_penalty, seed },
            max_new_tokens: self.max_new_tokens as usize,
            stop: self.stop.clone(),
            ..Request::new(question)
        }
    }
}

impl ModelArgs {
    /// Where the model comes from.
    pub(crate) fn source(&self) -> Result<ModelSource> {
        source(self.model.as_ref())
    }

    /// The files in the folders that the model is read from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let folders = self
            .model
            .iter()
            .chain(&self.vision_tower)
            .chain(&named_tower(self.model.as_deref()))
            .cloned()
            .collect::<Vec<_>>();
        folders.iter().flat_map(|folder| files_below(folder, 2)).take(limits::FILES).collect()
    }
}

/// The folder that a checkpoint's configuration names for its vision tower.
fn named_tower(model: Option<&Path>) -> Option<PathBuf> {
    let path = model?.join("config.json");
    let text = std::fs::metadata(&path)
        .ok()
        .filter(|data| data.is_file() && data.len() <= limits::CONFIG)
        .and_then(|_| std::fs::read(&path).ok())?;
    let config: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(model?.join(config["mm_vision_tower"].as_str()?)).filter(|folder| folder.is_dir())
}

/// The files of a folder and of those in it, as deep as that.
fn files_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .take(limits::FILES);
    paths
        .flat_map(|path| {
            if path.is_dir() && depth > 1 { files_below(&path, depth - 1) } else { vec![path] }
        })
        .collect()
}

/// A path, or the bundled model.
pub(crate) fn source(path: Option<&PathBuf>) -> Result<ModelSource> {
    let Some(path) = path else { return Ok(ModelSource::Bundled) };
    let text = path.to_string_lossy();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(Failure::usage(format!(
            "{text}: --model takes a folder; `mqt pull` fetches a model and says where it is"
        )));
    }
    Ok(ModelSource::Path(path.clone()))
}

/// The question, unless there is none.
pub(crate) fn question(text: &str) -> Result<&str> {
    if text.trim().is_empty() { Err(Failure::usage("the question is empty")) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
