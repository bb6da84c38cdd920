//! Opening a model: a pack, a checkpoint folder, or the one inside the program → everything but the
//! weights.

#[cfg(feature = "native")]
use super::ahead::FirstPicture;
#[cfg(feature = "native")]
use super::bundled;
use super::{Arithmetic, Config, Weights, WeightsChoice};
use crate::cancel::Cancel;
use crate::defaults;
use crate::error::{Error, Result};
use crate::future::Boxed;
use crate::gpu::{AdapterChoice, Choices};
use crate::quant::Packed;
use crate::text::{Template, TemplateChoice, Tokenizer};
use crate::weights::Supply;
use crate::weights::checkpoint::Checkpoint;
use crate::weights::files::Files;
use crate::weights::layout::Entry;
use crate::weights::pack::Pack;
use crate::weights::template::chosen;
use std::time::Duration;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelSource {
    /// The toybox model inside the program.
    Bundled,
    /// A pack folder, or a checkpoint folder as published.
    Path(std::path::PathBuf),
    /// Random weights of a named shape (`src/config/shapes.rs`), for benchmarks.
    Shape(String),
}

/// How long to measure variants of kernels while loading; what is not measured is guessed from the
/// kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tuning {
    /// Not at all.
    #[default]
    Off,
    /// At most so long, and not on software adapters, where compiling one variant takes longer than
    /// it would save.
    Within(Duration),
    /// Until all are measured.
    Whole,
}

/// When kernels compile: by running once on a network of zeros of the same widths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rehearsal {
    /// When they are first needed.
    #[default]
    Off,
    /// Before the weights are read: for weights that take long to arrive, and one thread.
    Before,
    /// While the weights are read, on a thread of its own; the loaded model has compiled what a
    /// first question needs. In the browser as [`Rehearsal::Before`].
    Beside,
}

/// How to load a model. Start with [`LoadOptions::default`] or [`LoadOptions::on`] and set the
/// fields that should differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Where to run.
    pub adapter: AdapterChoice,
    /// Formats for checkpoint folders; a pack has its own.
    pub weights: WeightsChoice,
    /// How to compute.
    pub arithmetic: Arithmetic,
    /// The vision tower's folder, for checkpoints that do not name it.
    pub vision_tower: Option<std::path::PathBuf>,
    /// The prompt template.
    pub template: TemplateChoice,
    /// What was learned before, for each adapter, as returned by [`super::Model::learned`]:
    /// variants of kernels, counts of pipelines.
    pub choices: Choices,
    /// Whether to measure which variants are fastest, where nothing was chosen before.
    pub tuning: Tuning,
    /// Tokens of context that the preflight counts memory for, at most what the model allows. A
    /// [`crate::Session`] has its own.
    pub context: usize,
    /// The most image tokens that questions will ask for, if that is known: the preflight then
    /// counts no memory for finer cuts of a picture.
    pub image_tokens: Option<usize>,
    /// When the kernels compile.
    pub rehearsal: Rehearsal,
    /// Stops the loading between two tensors.
    pub cancel: Cancel,
}

impl LoadOptions {
    /// The defaults, on this device.
    pub fn on(adapter: AdapterChoice) -> LoadOptions {
        LoadOptions { adapter, ..LoadOptions::default() }
    }
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            adapter: AdapterChoice::default(),
            weights: WeightsChoice::default(),
            arithmetic: Arithmetic::default(),
            vision_tower: None,
            template: TemplateChoice::default(),
            choices: Choices::default(),
            tuning: Tuning::default(),
            context: defaults::CONTEXT,
            image_tokens: None,
            rehearsal: Rehearsal::default(),
            cancel: Cancel::default(),
        }
    }
}

/// Opened files of a model: everything but the weights.
pub struct Opened {
    pub(crate) config: Config,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: Template,
    pub(crate) name: String,
    pub(crate) weights: Weights,
    pub(crate) sha256: String,
    /// What identifies the weights, if anything does.
    pub(crate) identity: Option<String>,
    pub(crate) supply: Box<dyn Supply>,
    #[cfg_attr(
        not(feature = "native"),
        expect(dead_code, reason = "only folders on disk have names")
    )]
    pub(crate) is_checkpoint: bool,
    #[cfg(feature = "native")]
    pub(super) first: Option<FirstPicture>,
}

impl Opened {
    /// The same; loading it also encodes this picture, while the decoder's weights are read, for
    /// the first [`crate::Session`] that looks at it.
    #[cfg(feature = "native")]
    #[must_use]
    pub fn with_picture(self, first: FirstPicture) -> Opened {
        Opened { first: Some(first), ..self }
    }

    /// Opens a pack if there is a manifest, else a checkpoint.
    pub(crate) async fn new(
        files: Box<dyn Files>,
        tower: Option<Box<dyn Files>>,
        weights: WeightsChoice,
        template: &TemplateChoice,
    ) -> Result<Opened> {
        let opened = Opened::open(files, tower, weights, template).await?;
        check_vocab(&opened.tokenizer, &opened.template, &opened.config)?;
        Ok(opened)
    }

    async fn open(
        files: Box<dyn Files>,
        tower: Option<Box<dyn Files>>,
        weights: WeightsChoice,
        choice: &TemplateChoice,
    ) -> Result<Opened> {
        if files.size("manifest.json").await?.is_some() {
            let pack = Pack::open(files).await?;
            let config = pack.manifest.architecture.clone();
            let (name, weights, sha256) =
                (pack.manifest.name.clone(), pack.manifest.weights, pack.sha256.clone());
            let tokenizer = pack.tokenizer().await?;
            let template = match choice {
                TemplateChoice::Own => pack.manifest.template.clone(),
                TemplateChoice::Named(template) => chosen(template, &tokenizer)?,
            };
            return Ok(Opened {
                config,
                tokenizer,
                template,
                name,
                weights,
                identity: Some(sha256.clone()),
                sha256,
                supply: Box::new(pack),
                is_checkpoint: false,
                #[cfg(feature = "native")]
                first: None,
            });
        }
        let path = files.describe();
        let name = std::path::Path::new(&path)
            .file_name()
            .map_or(path.clone(), |n| n.to_string_lossy().into_owned());
        Opened::checkpoint(name, Checkpoint::open(files, tower, weights).await?, choice).await
    }

    /// A checkpoint that was opened, under this name.
    async fn checkpoint(
        name: String,
        checkpoint: Checkpoint,
        choice: &TemplateChoice,
    ) -> Result<Opened> {
        let template = checkpoint.template(choice).await?;
        let (config, sha256) = (checkpoint.config.clone(), checkpoint.fingerprint());
        let (tokenizer, weights) = (checkpoint.tokenizer.clone(), checkpoint.weights);
        #[cfg(feature = "native")]
        let identity = checkpoint.identity();
        #[cfg(not(feature = "native"))]
        let identity = None;
        let supply = Box::new(checkpoint);
        Ok(Opened {
            config,
            tokenizer,
            template,
            name,
            weights,
            sha256,
            identity,
            supply,
            is_checkpoint: true,
            #[cfg(feature = "native")]
            first: None,
        })
    }

    /// A pair of GGUF files.
    #[cfg(feature = "native")]
    pub(crate) async fn gguf(
        model: &std::path::Path,
        mmproj: &std::path::Path,
        weights: WeightsChoice,
    ) -> Result<Opened> {
        let pair = crate::weights::gguf::pair_on_disk(model, Some(mmproj), None, weights).await?;
        let Some(checkpoint) = pair else { unreachable!("two files are a pair or an error") };
        let name = folder_name(model);
        let opened = Opened::checkpoint(name, checkpoint, &TemplateChoice::Own).await?;
        check_vocab(&opened.tokenizer, &opened.template, &opened.config)?;
        Ok(opened)
    }

    /// Opens what `source` names, without reading any weights.
    ///
    /// # Errors
    /// The model's ([`Error::exit_code`] 3).
    #[cfg(feature = "native")]
    pub async fn at(source: &ModelSource, options: &LoadOptions) -> Result<Opened> {
        let LoadOptions { vision_tower, weights, template, .. } = options;
        Opened::from_source(source, vision_tower.as_deref(), *weights, template).await
    }

    /// The numbers.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether it is a checkpoint folder, converted as it is loaded.
    #[cfg(feature = "native")]
    pub fn is_checkpoint(&self) -> bool {
        self.is_checkpoint
    }

    /// How matrices are stored: a pack's own way, or the way that was chosen for a checkpoint.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// The same files, their weights refused once `cancel` says so.
    pub(crate) fn stoppable(self, cancel: &Cancel) -> Opened {
        let supply = Box::new(Stoppable { inner: self.supply, cancel: cancel.clone() });
        Opened { supply, ..self }
    }

    /// Random weights; the tokenizer is the bundled model's, whose ids every vocabulary here has.
    #[cfg(feature = "native")]
    async fn synthetic(
        name: &str,
        weights: WeightsChoice,
        choice: &TemplateChoice,
    ) -> Result<Opened> {
        let Some(config) = crate::config::shapes::named(name) else {
            let why = format!("{name:?} is none of {}", crate::config::shapes::NAMES.join(", "));
            return Err(Error::InvalidSetting { what: "shape".into(), why });
        };
        let Opened { tokenizer, template, .. } =
            Opened::new(Box::new(bundled::files()), None, weights, choice).await?;
        let weights = weights.settle(&config);
        let supply = Box::new(crate::weights::synthetic::Synthetic { weights });
        Ok(Opened {
            config,
            tokenizer,
            template,
            name: name.to_owned(),
            weights,
            sha256: String::new(),
            identity: None,
            supply,
            is_checkpoint: false,
            #[cfg(feature = "native")]
            first: None,
        })
    }

    #[cfg(feature = "native")]
    pub(crate) async fn from_source(
        source: &ModelSource,
        tower: Option<&std::path::Path>,
        weights: WeightsChoice,
        template: &TemplateChoice,
    ) -> Result<Opened> {
        use crate::weights::files::Disk;
        let path = match source {
            ModelSource::Bundled => {
                return Opened::new(Box::new(bundled::files()), None, weights, template).await;
            }
            ModelSource::Path(path) => path,
            ModelSource::Shape(name) => return Opened::synthetic(name, weights, template).await,
        };
        let tower = match tower {
            Some(tower) => Some(Box::new(Disk::open(tower)?) as Box<dyn Files>),
            None => None,
        };
        let mut opened = Opened::new(Box::new(Disk::open(path)?), tower, weights, template).await?;
        if opened.is_checkpoint {
            opened.name = folder_name(path);
        }
        Ok(opened)
    }
}

/// Weights until somebody presses Stop.
struct Stoppable {
    inner: Box<dyn Supply>,
    cancel: Cancel,
}

impl Supply for Stoppable {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Packed>> {
        Box::pin(async move {
            self.cancel.check()?;
            self.inner.matrix(entry).await
        })
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Vec<f32>>> {
        Box::pin(async move {
            self.cancel.check()?;
            self.inner.vector(entry).await
        })
    }
}

/// The ids of a prompt index the embedding table. Special tokens that stand in none may lie beyond
/// it.
///
/// # Errors
/// [`Error::ModelCorrupt`] if some would not.
pub(crate) fn check_vocab(
    tokenizer: &Tokenizer,
    template: &Template,
    config: &Config,
) -> Result<()> {
    let tokens = tokenizer.rows(|name| template.may_write(name));
    let vocab = config.language.vocab;
    if tokens <= vocab {
        return Ok(());
    }
    let problem = format!("it has {tokens} tokens, the model's embedding table {vocab} rows");
    Err(Error::ModelCorrupt { file: "the tokenizer".into(), problem })
}

/// A name for a checkpoint from its folder: `.` and `toybox/checkpoint` have none of their own.
#[cfg(feature = "native")]
pub(crate) fn folder_name(path: &std::path::Path) -> String {
    let own = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(stem) = own.strip_suffix(".gguf").filter(|stem| !stem.is_empty()) {
        return stem.to_owned();
    }
    if !matches!(own.as_str(), "" | "." | ".." | "checkpoint") {
        return own;
    }
    let full = path.canonicalize().unwrap_or_default();
    let mut names = full.iter().rev().map(|n| n.to_string_lossy().into_owned());
    names.find(|n| n != "checkpoint").unwrap_or(own)
}
