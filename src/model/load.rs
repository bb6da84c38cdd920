//! From opened files to a model that answers: the only way, for the program, the page and the
//! library.

#[cfg(feature = "native")]
use super::ModelSource;
use super::ahead::Meanwhile;
use super::fetch::{Fetch, Progress};
use super::look::Encoder;
use super::parts::Host;
use super::preflight::Preflight;
#[cfg(feature = "native")]
use super::rehearsal::Beside;
use super::{
    Arithmetic, LoadOptions, LoadTimes, Model, Network, Opened, Rehearsal, cpu, devices,
    gpu as on_gpu, pictures, rehearsal,
};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::future::Callback;
use crate::gpu::{AdapterInfo, Gpu, Picked};
use crate::weights::files::Files;
use crate::weights::layout::Role;
use on_gpu::tune;
use std::sync::{Arc, Mutex};
use web_time::Instant;

/// What happens while a model loads, in this order: the preflight once, then progress.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Loading {
    /// The device is open: what the model will take of it, before anything is allocated.
    Preflight(Box<Preflight>),
    /// How far compiling, reading weights or choosing kernels has come.
    Progress(Progress),
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

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
        on_loading: &mut Callback<'_, Loading>,
    ) -> Result<Model> {
        Opened::at(source, options).await?.load(options, on_loading).await
    }

    /// Loads a pack or checkpoint from any set of files.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub async fn from_files(
        files: Box<dyn Files>,
        options: &LoadOptions,
        on_loading: &mut Callback<'_, Loading>,
    ) -> Result<Model> {
        Opened::new(files, None, options.weights, &options.template)
            .await?
            .load(options, on_loading)
            .await
    }
}

impl Opened {
    /// Opens the device, says how much of it the model needs, compiles kernels if
    /// [`LoadOptions::rehearsal`] says so, loads the weights (the tower's first), and chooses
    /// kernels by measuring as [`LoadOptions::tuning`] allows.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub async fn load(
        mut self,
        options: &LoadOptions,
        on_loading: &mut Callback<'_, Loading>,
    ) -> Result<Model> {
        let start = Instant::now();
        let key = devices::speed_key(&self, options.arithmetic);
        let picked = Gpu::pick(&options.adapter, |adapter| {
            devices::times_as_fast(&options.choices, &key, adapter)
        });
        let Picked { gpu, reason } = picked.await?;
        let mut times = LoadTimes { device: ms(start), ..LoadTimes::default() };
        let context = options.context.min(self.config.max_context());
        let (weights, arithmetic) = (self.weights, options.arithmetic);
        let (config, m) = (&self.config, options.image_tokens);
        let preflight = Preflight::new(config, weights, arithmetic, context, m, gpu.as_ref())?;
        on_loading(&Loading::Preflight(Box::new(preflight)));
        let mut on_progress = |progress: &Progress| on_loading(&Loading::Progress(*progress));
        let beside = match (&gpu, options.rehearsal) {
            (None, _) | (_, Rehearsal::Off) => None,
            #[cfg(feature = "native")]
            (Some(gpu), Rehearsal::Beside) => Some(Beside::start(gpu, &self, options)),
            (Some(gpu), _) => {
                let (start, cancel) = (Instant::now(), Cancel::new());
                let small = rehearsal::small(&self);
                rehearsal::rehearse(gpu, small, options, &cancel, &mut on_progress).await?;
                times.pipelines = ms(start);
                None
            }
        };
        let picked = Picked { gpu, reason };
        let meanwhile = Meanwhile::new(beside, &mut self);
        self.place(picked, times, options, meanwhile, &mut on_progress).await
    }

    /// Loads the weights to an opened device, or for the processor.
    #[cfg_attr(
        not(feature = "native"),
        expect(clippy::arc_with_non_send_sync, reason = "natively it is shared with a thread")
    )]
    pub(super) async fn place(
        self,
        Picked { gpu, reason }: Picked,
        mut times: LoadTimes,
        options: &LoadOptions,
        mut meanwhile: Meanwhile,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Result<Model> {
        let speed_key = devices::speed_key(&self, options.arithmetic);
        let Opened { config, tokenizer, template, name, weights, sha256, identity, supply, .. } =
            self.stoppable(&options.cancel);
        let start = Instant::now();
        let format = |role: Role| weights.format(role);
        if let Some(gpu) = &gpu {
            gpu.recall(&options.choices);
            if options.arithmetic == Arithmetic::Exact {
                gpu.fix_order();
            }
        }
        let adapter = gpu.as_ref().map_or_else(AdapterInfo::cpu, |g| g.info().clone());
        let keeps = pictures::keeps(identity.as_deref(), options.arithmetic);
        let network = match gpu {
            Some(gpu) => {
                let mut fetch = Fetch::new(&gpu, &*supply, &config, &format, on_progress);
                let encoder = fetch.encoder().await?;
                let encoder = on_gpu::Encoder::new(gpu.clone(), &config, encoder).await?;
                let encoder = Arc::new(encoder);
                meanwhile.start(Encoder::Gpu(encoder.clone()), &config, keeps);
                let language = fetch.language().await?;
                drop(fetch);
                let network = on_gpu::Network::new(&config, encoder, language).await?;
                network.gpu.idle().await?;
                Network::Gpu(Box::new(network))
            }
            None => {
                let mut fetch = Fetch::new(&Host, &*supply, &config, &format, on_progress);
                let encoder = cpu::Encoder::new(fetch.encoder().await?, options.arithmetic);
                let encoder = Arc::new(encoder);
                meanwhile.start(Encoder::Cpu(encoder.clone()), &config, keeps);
                let language = fetch.language().await?;
                Network::Cpu(Box::new(cpu::Network::new(encoder, language)))
            }
        };
        times.weights = ms(start);
        let start = Instant::now();
        let seen = meanwhile.finish(&options.cancel, on_progress);
        if let Network::Gpu(network) = &network
            && let Some(budget) = tune::budget(&network.gpu, options)
        {
            on_progress(&Progress { phase: "choosing kernels", done: 0, total: 0 });
            tune::tune(network, &config, budget).await?;
        }
        times.pipelines += ms(start);
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
            identity,
            arithmetic,
            adapter,
            reason,
            speed_key,
            times,
            seen: Mutex::new(seen),
            network,
        })
    }
}
