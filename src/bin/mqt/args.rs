//! The command line, flag by flag.

use crate::eval::Shard;
use crate::help;
use crate::processor::ProcessorArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
pub(crate) use device::{BenchArgs, DoctorArgs};
use mqt::Select;
use mqt::model::WeightsChoice;
use mqt::text::TemplateChoice;
pub(crate) use serve::ServeArgs;
pub(crate) use shared::{AnswerArgs, BudgetArgs, FormArgs, ModelArgs, SystemArgs};
use shared::{SELECT, WEIGHTS};
pub(crate) use shared::{found, question, source};
use std::ffi::OsString;
use std::path::PathBuf;
pub(crate) use values::{Tokens, tokens};
use values::{every, frames, image_tokens, seconds, template, whole};

mod device;
mod serve;
mod shared;
mod values;

/// Ask about a picture, and choose how many image tokens to spend.
#[derive(Debug, Parser)]
#[command(
    name = "mqt", version, about = help::ABOUT, after_help = help::AFTER,
    arg_required_else_help = true, max_term_width = 110
)]
pub(crate) struct Arguments {
    /// Print nothing on stderr except errors
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) processor: ProcessorArgs,
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
    /// Answer one question with several numbers of image tokens
    #[command(after_help = help::COMPARE)]
    Compare(CompareArgs),
    /// Draw where the image tokens read from, or what an answer looked at
    #[command(after_help = help::ATTENTION)]
    Attention(AttentionArgs),
    /// Write what the network computes for one prompt, to compare with PyTorch
    #[command(after_help = help::TRACE)]
    Trace(TraceArgs),
    /// Answer a file of questions, in LLaVA's format, and score the answers
    #[command(after_help = help::EVAL)]
    Eval(EvalArgs),
    /// Answer requests of OpenAI's API over HTTP
    #[command(after_help = help::SERVE)]
    Serve(ServeArgs),
    /// Turn a Hugging Face checkpoint folder, or a pair of GGUF files, into a pack
    #[command(after_help = help::CONVERT)]
    Convert(ConvertArgs),
    /// Check every checksum of a pack
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Fetch a model into the cache; resumes where it was interrupted
    #[command(after_help = help::PULL)]
    Pull(PullArgs),
    /// List, remove or check fetched models and encoded pictures
    #[command(subcommand, after_help = help::CACHE)]
    Cache(CacheCommand),
    /// Show what a model folder or a GGUF file holds, without loading it
    #[command(after_help = help::INSPECT)]
    Inspect(InspectArgs),
    /// Measure this device, and every stage of a model on it
    #[command(after_help = help::BENCH)]
    Bench(BenchArgs),
    /// List the models that are known by name, and what each needs here
    #[command(after_help = help::MODELS)]
    Models(ModelsArgs),
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
    /// Ask one question about all pictures together, in this order; without this, about each of
    /// them separately
    #[arg(long, conflicts_with_all = ["frames", "every"])]
    pub(crate) together: bool,
    /// Ask one question about a clip: N frames of a folder, of an animated GIF or WebP, or of the
    /// given pictures, with 2 to 8 image tokens each unless -m says otherwise
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = frames)]
    pub(crate) frames: Option<usize>,
    /// Watch a folder that a camera writes into, and answer about its newest picture once in this
    /// many seconds
    #[arg(
        long, value_name = "SECONDS", allow_hyphen_values = true, conflicts_with = "frames",
        value_parser = every
    )]
    pub(crate) every: Option<f64>,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    /// Answer first with this many image tokens, for a quick draft
    #[arg(
        long,
        value_name = "M",
        allow_hyphen_values = true,
        requires = "refine",
        conflicts_with = "tokens",
        value_parser = image_tokens
    )]
    pub(crate) draft: Option<u64>,
    /// Then answer again with this many; what is already encoded is not encoded again
    #[arg(
        long,
        value_name = "M",
        allow_hyphen_values = true,
        requires = "draft",
        value_parser = image_tokens
    )]
    pub(crate) refine: Option<u64>,
    /// Print one JSON object per answer, schema mqt.answer/1
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the answers to this file, one JSON object a line; what it already answers is skipped
    #[arg(
        short, long, value_name = "ANSWERS.jsonl",
        conflicts_with_all = ["json", "together", "frames", "every", "draft"]
    )]
    pub(crate) output: Option<PathBuf>,
    /// Write each answer beside its picture, in a file of its name with this ending; replaces no
    /// file
    #[arg(
        long, value_name = ".txt",
        conflicts_with_all = ["json", "together", "frames", "every", "draft"]
    )]
    pub(crate) sidecar: Option<String>,
    #[command(flatten)]
    pub(crate) form: FormArgs,
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
    /// Print one JSON object per answer, schema mqt.answer/1
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
    /// to the model's M, or the picture's levels]
    #[arg(
        short = 'm', long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true,
        value_parser = image_tokens
    )]
    pub(crate) tokens: Vec<u64>,
    /// Print one JSON object per answer, schema mqt.answer/1
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
    /// The picture (a file, `-` for stdin, or a data: URL); with --answer one or several
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
    /// Draw what the answer to a question looked at; prints the answer
    #[arg(long, requires = "question")]
    pub(crate) answer: bool,
    /// The question
    #[arg(short, long, value_name = "TEXT", requires = "answer")]
    pub(crate) question: Option<String>,
    /// How many image tokens to draw together, starting with the first: 1 to the model's M
    /// [default: all]. With --answer: how many are read of each picture [default: all of one
    /// square]
    #[arg(
        short = 'm', long, value_name = "N", allow_hyphen_values = true,
        value_parser = image_tokens
    )]
    pub(crate) tokens: Option<u64>,
    /// With --answer: how image tokens are chosen, as in `ask` [default: the model's own way]
    #[arg(
        long, value_name = "HOW", hide_possible_values = true, requires = "answer",
        value_parser = PossibleValuesParser::new(SELECT).try_map(|text| text.parse::<Select>())
    )]
    pub(crate) select: Option<Select>,
    /// The PNG file to write; with --json it may be left out
    #[arg(short, long, value_name = "FILE", required_unless_present = "json")]
    pub(crate) output: Option<PathBuf>,
    /// Print the weights as one JSON object on stdout, schema mqt.attention/1
    #[arg(long)]
    pub(crate) json: bool,
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
    #[arg(
        short = 'm', long, value_name = "N", allow_hyphen_values = true,
        value_parser = image_tokens
    )]
    pub(crate) tokens: u64,
    /// How image tokens are chosen: nested, spread, pool or random [default: the model's own way]
    #[arg(
        long, value_name = "HOW", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(SELECT).try_map(|text| text.parse::<Select>())
    )]
    pub(crate) select: Option<Select>,
    /// The safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Questions, one JSON object a line: question_id, image, text, and optionally answer and kind
    pub(crate) questions: PathBuf,
    /// The folder of the questions' pictures; read as the PyTorch reference reads them
    #[arg(long, value_name = "DIR")]
    pub(crate) images: PathBuf,
    /// Also read pictures outside that folder, if the questions or links in the folder lead there
    #[arg(long)]
    pub(crate) allow_outside: bool,
    /// Numbers of image tokens, separated by commas [default: the model's M]
    #[arg(
        short = 'm',
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_parser = image_tokens
    )]
    pub(crate) tokens: Vec<u64>,
    /// Answers, one JSON object a line; what it already answers is skipped
    #[arg(short, long, value_name = "ANSWERS.jsonl")]
    pub(crate) output: PathBuf,
    /// Answer only part i of n of the questions, each part in a file of its own; `cat` joins them
    #[arg(long, value_name = "i/n", allow_hyphen_values = true)]
    pub(crate) shard: Option<Shard>,
    /// Write accuracy and time for each m, as JSON (schema mqt.eval/1)
    #[arg(long, value_name = "FILE.json")]
    pub(crate) summary: Option<PathBuf>,
    /// Draw accuracy and time against m
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A Hugging Face checkpoint folder, the name of a model that was pulled, or the language model
    /// of a pair of GGUF files
    pub(crate) checkpoint: PathBuf,
    /// The vision half of a pair of GGUF files (see docs/gguf.md)
    #[arg(long, value_name = "MMPROJ.gguf", conflicts_with = "vision_tower")]
    pub(crate) mmproj: Option<PathBuf>,
    /// The pack's folder, created if it does not exist
    #[arg(short, long, value_name = "PACK_DIR")]
    pub(crate) output: PathBuf,
    /// How matrices are stored; auto: q4 for decoders of 2 billion parameters or more, q5 for
    /// smaller ones
    #[arg(
        long, default_value = "auto",
        value_parser = PossibleValuesParser::new(WEIGHTS).try_map(|text| text.parse::<WeightsChoice>())
    )]
    pub(crate) weights: WeightsChoice,
    /// The text used to measure which inputs matter: a file, `built-in`, or `none` to guess from
    /// the weights
    #[arg(
        long, value_name = "FILE", num_args = 0..=1, require_equals = true,
        default_value = "built-in", default_missing_value = "built-in"
    )]
    pub(crate) calibrate: PathBuf,
    /// The vision tower's folder, if the checkpoint does not say where it is
    #[arg(long, value_name = "DIR")]
    pub(crate) vision_tower: Option<PathBuf>,
    /// The prompt's template, as in `ask` [default: the checkpoint's own]
    #[arg(long, value_name = "NAME", value_parser = template)]
    pub(crate) template: Option<TemplateChoice>,
    /// Largest shard in bytes; for tests, which want many of a small model
    #[arg(
        long, hide = true, allow_hyphen_values = true,
        default_value_t = mqt::internals::weights::pack::SHARD_BYTES, value_parser = whole
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
    /// How long to wait for an answer, or for the next piece of a file, before asking again
    #[arg(
        long, value_name = "SECONDS", default_value_t = 30.0, allow_hyphen_values = true,
        value_parser = seconds
    )]
    pub(crate) timeout: f64,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Print one JSON object per model
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List what is there, and how large it is
    Ls,
    /// Remove a model, or the encoded pictures
    Rm {
        /// Its name, as `ls` shows it; `pictures` for the encoded pictures
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
    /// A pack, a checkpoint folder or a GGUF file [default: the bundled model]
    pub(crate) path: Option<PathBuf>,
    /// The vision half of a pair of GGUF files: shows what the two make together
    #[arg(long, value_name = "MMPROJ.gguf", requires = "path", conflicts_with = "vision_tower")]
    pub(crate) mmproj: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The vision tower's folder, if the checkpoint does not say where it is
    #[arg(long, value_name = "DIR")]
    pub(crate) vision_tower: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
