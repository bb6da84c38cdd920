//! From an opened model to one that answers: a device, weights on it, kernels chosen.

#[cfg(feature = "native")]
use super::ModelSource;
use super::parts::{self, Progress};
use super::{
    Arithmetic, GpuNetwork, LoadOptions, LoadTimes, Model, Network, Opened, language, rehearsal,
    tune, vision,
};
use crate::error::Result;
use crate::future::Callback;
use crate::gpu::{AdapterChoice, AdapterInfo, Gpu};
use crate::weights::files::Files;
use crate::weights::layout::Role;
use web_time::Instant;

impl Model {
    /// Loads a model from disk or from the program itself.
    ///
    /// # Errors
    /// The model's ([`crate::Error::exit_code`] 3), the adapter's (4) and the device's (5)
    /// failures.
    #[cfg(feature = "native")]
    pub async fn load(
        source: &ModelSource,
        options: &LoadOptions,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Result<Model> {
        let opened =
            Opened::from_source(source, options.vision_tower.as_deref(), options.weights).await?;
        Model::place(opened, options, on_progress).await
    }

    /// Loads a pack or checkpoint from any set of files.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub async fn from_files(
        files: Box<dyn Files>,
        options: &LoadOptions,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Result<Model> {
        Model::place(Opened::new(files, None, options.weights).await?, options, on_progress).await
    }

    pub(super) async fn place(
        opened: Opened,
        options: &LoadOptions,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Result<Model> {
        let start = Instant::now();
        let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
        let gpu = Gpu::open(&options.adapter).await?;
        let mut times = LoadTimes { device: ms(start), ..LoadTimes::default() };
        if let (Some(gpu), true) = (&gpu, options.rehearse) {
            let start = Instant::now();
            rehearsal::rehearse(gpu, &opened, options, on_progress).await?;
            times.pipelines = ms(start);
        }
        Model::place_on(gpu, opened, times, options, on_progress).await
    }

    /// On an opened device, or on the processor.
    pub(super) async fn place_on(
        gpu: Option<Gpu>,
        opened: Opened,
        mut times: LoadTimes,
        options: &LoadOptions,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Result<Model> {
        let Opened { config, tokenizer, template, name, weights, sha256, supply, .. } =
            opened.stoppable(&options.cancel);
        let start = Instant::now();
        let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
        let format = |role: Role| weights.format(role);
        if let Some(gpu) = &gpu {
            gpu.recall(&options.choices);
        }
        let adapter = gpu.as_ref().map_or_else(AdapterInfo::cpu, |g| g.info().clone());
        let fell_back = gpu.is_none() && options.adapter != AdapterChoice::Cpu;
        let network = match gpu {
            Some(gpu) => {
                if options.arithmetic == Arithmetic::Exact {
                    gpu.fix_order();
                }
                let parts = parts::load(&gpu, &*supply, &config, &format, on_progress).await?;
                let (vision, language) = (
                    vision::Scratch::new(&gpu, &config).await?,
                    language::Scratch::new(&gpu, &config).await?,
                );
                gpu.idle().await?;
                if let Some(budget) = tune::budget(&gpu, options) {
                    on_progress(&Progress { phase: "choosing kernels", done: 0, total: 0 });
                    tune::tune(&gpu, &config, &parts, budget).await?;
                }
                Network::Gpu(Box::new(GpuNetwork {
                    busy: async_lock::Mutex::new(()),
                    gpu,
                    parts,
                    vision,
                    language,
                }))
            }
            None => Network::Cpu(Box::new(
                parts::load(&parts::Host, &*supply, &config, &format, on_progress).await?,
            )),
        };
        times.weights = ms(start);
        let spec = config.image_spec();
        let arithmetic = options.arithmetic;
        Ok(Model {
            config,
            tokenizer,
            template,
            spec,
            name,
            weights,
            sha256,
            arithmetic,
            adapter,
            fell_back,
            times,
            network,
        })
    }
}
