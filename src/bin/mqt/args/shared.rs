//! Flags that several commands share: the model and its device, image tokens, how to answer.

use super::values::{Tokens, count, milliseconds, penalty, positive};
use super::values::{adapter, probability, temperature, template, tokens, whole};
use crate::cache;
use crate::failure::{Failure, Result};
use clap::Args;
use clap::builder::{FalseyValueParser, PossibleValuesParser, TypedValueParser};
use mqt::Sampling;
use mqt::Select;
use mqt::budget::Budget;
use mqt::config::Config;
use mqt::defaults;
use mqt::gpu::AdapterChoice;
use mqt::internals::untrusted::limits;
use mqt::model::WeightsChoice;
use mqt::model::{Arithmetic, ModelSource};
use mqt::session::Request;
use mqt::text::TemplateChoice;
use std::path::{Path, PathBuf};

/// What `--weights` takes.
pub(super) const WEIGHTS: [&str; 6] = ["auto", "f32", "f16", "q8", "q5", "q4"];

/// What `--select` takes.
pub(super) const SELECT: [&str; 5] = ["nested", "spread", "pool", "random", "question"];

#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// Image tokens: 1 to the model's M, or `auto`: as many as --target-ms allows on this device
    #[arg(
        short = 'm', long, value_name = "auto|N", default_value = "auto",
        allow_hyphen_values = true, value_parser = tokens
    )]
    tokens: Tokens,
    /// With -m auto: aim for the first token within this many milliseconds
    #[arg(
        long, value_name = "MS", allow_hyphen_values = true, default_value_t = defaults::TARGET_MS,
        value_parser = milliseconds
    )]
    target_ms: f64,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// How image tokens are chosen: `nested`, as the model was trained; `spread`, as far apart as
    /// possible; `pool`, averages of squares; `random`; or `question`, by the question (LLaVA-1.5
    /// only; the picture is then read again for each question) [default: the model's own way]
    #[arg(
        long, value_name = "HOW", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(SELECT).try_map(|text| text.parse::<Select>())
    )]
    pub(crate) select: Option<Select>,
    /// Cut the answer after this many tokens [default: 512, or 4096 for models that write
    /// documents]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = positive)]
    max_new_tokens: Option<u32>,
    /// 0 always takes the likeliest token; higher values give more varied answers
    #[arg(
        long, value_name = "T", allow_hyphen_values = true, default_value_t = defaults::TEMPERATURE,
        value_parser = temperature, help_heading = "Sampling"
    )]
    temperature: f32,
    /// Choose among the likeliest tokens that together reach this probability
    #[arg(
        long, value_name = "P", allow_hyphen_values = true, default_value_t = defaults::TOP_P,
        value_parser = probability, help_heading = "Sampling"
    )]
    top_p: f32,
    /// Choose among this many of the likeliest tokens; 0 is all
    #[arg(
        long, value_name = "K", allow_hyphen_values = true, default_value_t = defaults::TOP_K,
        value_parser = count, help_heading = "Sampling"
    )]
    top_k: usize,
    /// Above 1: make tokens that have already occurred less likely
    #[arg(
        long, value_name = "R", allow_hyphen_values = true,
        default_value_t = defaults::REPETITION_PENALTY,
        value_parser = penalty, help_heading = "Sampling"
    )]
    repetition_penalty: f32,
    /// The same seed gives the same answer
    #[arg(
        long,
        value_name = "S",
        allow_hyphen_values = true,
        default_value_t = defaults::SEED,
        value_parser = whole,
        help_heading = "Sampling"
    )]
    seed: u64,
    /// End the answer before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

/// What an answer may say.
#[derive(Debug, Args)]
pub(crate) struct FormArgs {
    /// Make the answer JSON that matches the schema in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["choices", "stop"])]
    pub(crate) json_schema: Option<PathBuf>,
    /// Make the answer one of these texts, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "stop")]
    pub(crate) choices: Vec<String>,
}

/// Not for `eval`, which measures a model under the prompt it was trained with.
#[derive(Debug, Args)]
pub(crate) struct SystemArgs {
    /// Open the conversation with this text instead of the model's own
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Neither keep encoded pictures on disk nor use those that are there
    #[arg(
        long, env = "MQT_NO_PICTURE_CACHE", hide_env_values = true,
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) no_picture_cache: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model and device")]
pub(crate) struct ModelArgs {
    /// A pack, a Hugging Face checkpoint folder, or the name of a model that was pulled [default:
    /// the bundled model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
    /// How a checkpoint folder's matrices are held: f32, f16, q8, q5, q4, or auto: q4 for decoders
    /// of 2 billion parameters or more, q5 for smaller ones [default: auto]
    #[arg(
        long, value_name = "FORMAT", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(WEIGHTS)
            .try_map(|text| text.parse::<WeightsChoice>())
    )]
    pub(crate) weights: Option<WeightsChoice>,
    /// The vision tower's folder, if the checkpoint does not say where it is
    #[arg(long, value_name = "DIR")]
    pub(crate) vision_tower: Option<PathBuf>,
    /// The prompt's template: vicuna_v1, llava_v1, smolvlm, granite_docling, llava_interleave,
    /// llava_onevision or nanollava [default: the model's own]
    #[arg(long, value_name = "NAME", value_parser = template)]
    pub(crate) template: Option<TemplateChoice>,
    /// The device that computes: `cpu`, `gpu` for the best graphics adapter, part of an adapter's
    /// name, or `auto`: a graphics card, else the faster of the processor and the software drivers
    #[arg(
        long, value_name = "NAME", default_value = "auto", env = "MQT_ADAPTER",
        hide_env_values = true, value_parser = adapter
    )]
    pub(crate) adapter: AdapterChoice,
    /// Room for this many tokens of pictures and conversation [default: as many as needed, at least
    /// 2048, as far as the model allows]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = count)]
    pub(crate) context: Option<usize>,
    /// exact: the same answers on every device; fast: whatever is fastest here [default: fast;
    /// exact in trace and eval]
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
    /// What of them can change an answer, for a file that holds answers.
    pub(crate) fn settings(&self, config: &Config) -> serde_json::Value {
        let Request { select, sampling, max_new_tokens, stop, .. } =
            self.request("", Budget::default(), config);
        let Sampling { temperature, top_p, top_k, repetition_penalty, seed } = sampling;
        serde_json::json!({
            "select": select.unwrap_or(config.select()), "max_new_tokens": max_new_tokens,
            "temperature": temperature, "top_p": top_p, "top_k": top_k,
            "repetition_penalty": repetition_penalty, "seed": seed, "stop": stop,
        })
    }

    /// These flags as a request to a model of these numbers.
    pub(crate) fn request(&self, question: &str, budget: Budget, config: &Config) -> Request {
        let AnswerArgs { temperature, top_p, top_k, repetition_penalty, seed, .. } = *self;
        let mut request = Request::new(question);
        request.budget = budget;
        request.sampling = Sampling { temperature, top_p, top_k, repetition_penalty, seed };
        request.select = self.select;
        request.max_new_tokens =
            self.max_new_tokens.map_or(config.default_new_tokens(), |most| most as usize);
        request.stop.clone_from(&self.stop);
        request
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
    Ok(ModelSource::Path(found(path)))
}

/// The path, or the folder of the model that `mqt pull` brought by this name; a folder that is
/// there counts before a name.
pub(crate) fn found(path: &Path) -> PathBuf {
    let pulled = if path.exists() { None } else { cache::pulled(&path.to_string_lossy()) };
    pulled.unwrap_or_else(|| path.to_owned())
}

/// The question, unless there is none.
pub(crate) fn question(text: &str) -> Result<&str> {
    if text.trim().is_empty() { Err(Failure::usage("the question is empty")) } else { Ok(text) }
}
