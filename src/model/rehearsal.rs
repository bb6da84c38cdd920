//! Kernels compile while weights arrive: they run once on a network of the same widths with few
//! layers and zeros for weights; in a browser before the weights, natively at the same time.
//!
//! Where fetching takes long, as in a browser, the device would otherwise idle until the last byte
//! and compile only then.

use super::ahead::Meanwhile;
use super::{Config, LoadOptions, LoadTimes, Opened, PictureTag, Progress, Slot, Tuning, Want};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::future::{Boxed, Callback};
use crate::gpu::{Gpu, Picked, Reason};
use crate::image::Pixels;
use crate::quant::{Format, Packed};
use crate::sample::Sampling;
use crate::weights::layout::{Entry, Role};
use crate::weights::{Supply, Weights};

/// Rows of the small network's vocabulary: no kernel is chosen by it.
const VOCAB: usize = 64;
/// Decoder layers: the last one may have a format of its own.
const LAYERS: usize = 2;
/// Prompt tokens of the rehearsal: more than one, which has kernels of its own.
const TOKENS: usize = 5;
/// Pipelines of the bundled model on a software adapter: the guess for models that this device has
/// not compiled before.
const PIPELINES: u32 = 25;

struct Zeros(Weights);

impl Supply for Zeros {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Packed>> {
        let format: Format = self.0.format(entry.role);
        Box::pin(async move {
            let mut packed = Packed {
                format,
                rows: entry.rows,
                cols: entry.cols,
                data: Vec::new(),
                scales: Vec::new(),
            };
            packed.data = vec![0; packed.panels() * packed.panel_data_words()];
            packed.scales = vec![0; packed.panels() * packed.panel_scale_words()];
            Ok(packed)
        })
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Vec<f32>>> {
        debug_assert!(matches!(entry.role, Role::Vector | Role::Map));
        Box::pin(async move { Ok(vec![0.0; entry.rows * entry.cols]) })
    }
}

/// A model of the same widths with few layers, and zeros for weights.
pub(super) fn small(opened: &Opened) -> Opened {
    let mut config: Config = opened.config.clone();
    (config.vision.layers, config.language.layers, config.language.vocab) =
        (1, LAYERS.min(config.language.layers), VOCAB.min(config.language.vocab));
    Opened {
        config,
        tokenizer: opened.tokenizer.clone(),
        template: opened.template.clone(),
        name: String::new(),
        weights: opened.weights,
        sha256: opened.sha256.clone(),
        identity: None,
        supply: Box::new(Zeros(opened.weights)),
        is_checkpoint: false,
        #[cfg(feature = "native")]
        first: None,
    }
}

/// A rehearsal on a thread of its own; stopped where loading ends early.
pub(super) struct Beside {
    cancel: Cancel,
    #[cfg(feature = "native")]
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Beside {
    /// Starts it.
    #[cfg(feature = "native")]
    pub(super) fn start(gpu: &Gpu, opened: &Opened, options: &LoadOptions) -> Beside {
        let (cancel, gpu, small, options) =
            (Cancel::new(), gpu.clone(), small(opened), options.clone());
        let stop = cancel.clone();
        let run = move || {
            // Where it fails, kernels compile when they are needed; a lost device is noticed by
            // whoever loads the weights.
            let _ = pollster::block_on(rehearse(&gpu, small, &options, &stop, &mut |_| ()));
        };
        // A system without another thread compiles later.
        let thread = std::thread::Builder::new().name("rehearsal".into()).spawn(run).ok();
        Beside { cancel, thread }
    }

    /// Waits for its end.
    pub(super) fn finish(mut self) {
        self.join();
    }

    fn join(&mut self) {
        #[cfg(feature = "native")]
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.join();
    }
}

/// Encodes a grey picture, reads a few tokens, generates one: the kernels that a first question
/// needs are compiled afterwards; long prompts may have some of their own. `on_progress` counts
/// pipelines, each time that the device has run what it got.
///
/// # Errors
/// The device's failures.
pub(super) async fn rehearse(
    gpu: &Gpu,
    small: Opened,
    options: &LoadOptions,
    cancel: &Cancel,
    on_progress: &mut Callback<'_, Progress>,
) -> Result<()> {
    gpu.recall(&options.choices);
    let key = format!("{} {}", options.arithmetic, &small.sha256[..12.min(small.sha256.len())]);
    let expected = u64::from(gpu.expected_pipelines(&key).unwrap_or(PIPELINES));
    let mut tell = || {
        let done = gpu.pipeline_count() as u64;
        on_progress(&Progress { phase: "compiling kernels", done, total: expected.max(done) });
    };
    tell();
    let options = LoadOptions { tuning: Tuning::Off, cancel: cancel.clone(), ..options.clone() };
    let picked = Picked { gpu: Some(gpu.clone()), reason: Reason::Asked };
    let model = small
        .place(picked, LoadTimes::default(), &options, Meanwhile::default(), &mut |_| ())
        .await?;
    let size = model.spec.size;
    let grey = Pixels::from_rgb(&vec![128; size * size * 3], size, size, &model.spec)?;
    let plan = model.config.least_plan((size, size));
    let (visual, _) = model.look(std::slice::from_ref(&grey), &plan, cancel).await?;
    tell();
    let mut cache = model.new_cache(TOKENS + 2).await?;
    const PICTURE: PictureTag = [0; 16];
    let slots: Vec<Slot> = (0..TOKENS)
        .map(|i| if i == 1 { Slot::Visual { picture: PICTURE, index: 0 } } else { Slot::Token(0) })
        .collect();
    model.begin(&mut cache, slots.len(), 2, &Sampling::default(), &[], &[]);
    model.extend(&mut cache, &slots, &[(PICTURE, &visual)], Want::Pick, cancel).await?;
    tell();
    let mut generation = model.generation(&mut cache);
    while generation.next(cancel).await?.is_some() {}
    tell();
    gpu.expect_pipelines(key, u32::try_from(gpu.pipeline_count()).unwrap_or(u32::MAX));
    Ok(())
}
