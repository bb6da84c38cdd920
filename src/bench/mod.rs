//! `mqt bench` and the page's benchmark panel: ceilings of the device, then every stage of the
//! model, in one run.
//!
//! The report is `mqt.bench/1`: figures are medians; what a device cannot measure is `None`.

mod ceilings;
mod chosen;
mod facts;
mod order;
mod pictures;
mod predicted;
mod profile;
mod report;
mod stop;
mod time;

pub use ceilings::Ceilings;
#[cfg(test)]
pub(crate) use ceilings::variants;
pub use chosen::ChosenByQuestion;
pub use pictures::Pictures;
pub use profile::{KernelTime, Stage};
pub use report::{
    Decode, FirstToken, ModelFacts, Prediction, Prefill, Processor, Report, SmallBatch, Startup,
    Vision,
};
pub use stop::Stop;

use crate::budget;
use crate::cancel::Cancel;
use crate::cpu;
use crate::defaults;
use crate::error::Result;
use crate::future::Callback;
use crate::gpu::Counters;
use crate::model::{Cache, Model, Want};
use crate::sample::Sampling;
use facts::{cache_bytes, difference, facts, sample_picture, slots, vision_gflop};
use std::sync::Arc;
use time::Samples;
use web_time::Instant;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Image tokens to measure the first token for; empty: the ladder.
    pub tokens: Vec<usize>,
    /// Prompt lengths.
    pub prefill: Vec<usize>,
    /// Tokens computed together, beside a context of 128.
    pub small_batch: Vec<usize>,
    /// Contexts to generate at.
    pub contexts: Vec<usize>,
    /// Whether to run the tower and the resampler.
    pub vision: bool,
    /// Whether to let the question choose image tokens, where the model can.
    pub question: bool,
    /// Whether to take the time of every kernel at the end.
    pub profile: bool,
    /// Seconds to spend on one figure before its median is taken.
    pub patience: f64,
    /// Stops it.
    pub cancel: Cancel,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            tokens: Vec::new(),
            prefill: defaults::BENCH_PREFILL.into(),
            small_batch: (1..=16).chain([20, 24, 28, 32, 48, 64]).collect(),
            contexts: defaults::BENCH_CONTEXTS.into(),
            vision: true,
            question: false,
            profile: false,
            patience: defaults::BENCH_PATIENCE,
            cancel: Cancel::new(),
        }
    }
}

/// Tokens of a typical question after the picture.
const QUESTION: usize = 25;
/// Tokens generated per measurement: as many as take [`LONG`] seconds, within these bounds. Fewer
/// would be under way before the clock starts, on a fast device.
const GENERATED: (usize, usize) = (16, 128);
const LONG: f64 = 0.5;
/// The context beside which small batches are measured.
const BESIDE: usize = 128;

/// Runs the plan; `on_progress` is told what is being measured.
///
/// # Errors
/// A number of image tokens that the model does not give, [`crate::Error::Cancelled`], or the
/// device's failures.
pub async fn run(
    model: &Arc<Model>,
    plan: &Plan,
    on_progress: &mut Callback<'_, str>,
) -> Result<Report> {
    let offer = model.config().offer();
    plan.tokens.iter().try_for_each(|&m| budget::fixed(m as u64, &offer).map(drop))?;
    chosen::check(model, plan)?;
    let mut bench = Bench { model, plan, on_progress };
    let startup = bench.startup().await?;
    bench.say("ceilings")?;
    let ceilings = match model.gpu() {
        Some(gpu) => ceilings::measure(gpu).await?,
        None => model.processor().map(ceilings::of_processor).unwrap_or_default(),
    };
    let (vision, resample_ms, encode) = bench.vision(&ceilings).await?;
    let longest = plan
        .contexts
        .iter()
        .map(|c| c + GENERATED.1 + 1)
        .chain(plan.prefill.iter().copied())
        .chain(plan.small_batch.iter().map(|n| BESIDE + n))
        .chain(plan.question.then(|| chosen::room(model)))
        .max()
        .unwrap_or(256);
    let mut cache = model.new_cache(longest.min(model.config().max_context())).await?;
    let prefill = bench.prefill(&mut cache).await?;
    let small_batch = bench.small_batch(&mut cache).await?;
    let decode = bench.decode(&mut cache, &ceilings).await?;
    let first_token = bench.first_token(&mut cache, encode).await?;
    let pictures = bench.pictures(&mut cache, encode.0).await?;
    let chosen = bench.chosen(&mut cache).await?;
    let stop = bench.stop(&mut cache).await?;
    let profile = bench.profile(&mut cache).await?;
    Ok(Report {
        schema: "mqt.bench/1",
        version: env!("CARGO_PKG_VERSION"),
        adapter: model.adapter().clone(),
        processor: model
            .processor()
            .map(|instruction_set| Processor { instruction_set, threads: cpu::threads() }),
        model: facts(model),
        arithmetic: model.arithmetic(),
        ceilings,
        vision,
        resample_ms,
        prefill,
        small_batch,
        decode,
        prediction: predicted::errors(&first_token),
        first_token,
        pictures,
        chosen,
        stop,
        startup_ms: startup,
        pipelines: model.gpu().map_or(0, crate::gpu::Gpu::pipeline_count),
        gpu_bytes_peak: model.counters().bytes_peak,
        variants: model.learned().variants,
        profile,
    })
}

struct Bench<'a> {
    model: &'a Arc<Model>,
    plan: &'a Plan,
    on_progress: &'a mut Callback<'a, str>,
}

impl Bench<'_> {
    fn say(&mut self, what: &str) -> Result<()> {
        (self.on_progress)(what);
        self.plan.cancel.check()
    }

    /// What loading took, and then the first run of everything.
    async fn startup(&mut self) -> Result<Startup> {
        self.say("warm-up")?;
        let start = Instant::now();
        let mut cache = self.model.new_cache(64).await?;
        self.extend(&mut cache, 0, 40).await?;
        self.extend(&mut cache, 40, 1).await?;
        let times = self.model.load_times();
        Ok(Startup {
            device: times.device,
            pipelines: times.pipelines,
            weights: times.weights,
            warm_up: start.elapsed().as_secs_f64() * 1e3,
        })
    }

    /// Repeats until the patience is spent: three runs to fifty, or fewer where three would take
    /// ten times as long.
    fn enough(&self, samples: &Samples) -> bool {
        let (n, spent) = (samples.len(), samples.total() / self.plan.patience);
        n >= 50 || n >= 3 && spent >= 1.0 || n >= 1 && spent >= 10.0
    }

    /// The tower, the resampler, and what both take: measured, and as a conversation predicts it
    /// a moment later.
    async fn vision(
        &mut self,
        ceilings: &Ceilings,
    ) -> Result<(Option<Vision>, Option<f64>, (f64, f64))> {
        if !self.plan.vision {
            return Ok((None, None, (0.0, 0.0)));
        }
        self.say("vision tower")?;
        let pixels = sample_picture(self.model);
        let (mut tower, mut resampler) = (Samples::default(), Samples::default());
        let (visual, _) = self.model.look_once(&pixels, &self.plan.cancel).await?;
        while !self.enough(&tower) {
            let (_, looked) = self.model.look_once(&pixels, &self.plan.cancel).await?;
            tower.push(looked.vision_ms / 1e3);
            resampler.push(looked.resample_ms / 1e3);
        }
        let (ms, gflop) = (tower.median() * 1e3, vision_gflop(self.model));
        let fraction_of_peak = ceilings.fma_f32_gflop_s.map(|peak| gflop / ms * 1e3 / peak);
        let resample_ms = resampler.median() * 1e3;
        let (ordered, order_ms) = self.order(&visual, pixels.size).await?;
        let vision = Vision { ms, gflop, fraction_of_peak, ordered, order_ms };
        let speed = predicted::speed(self.model, true, &self.plan.cancel).await?;
        let encode = (ms + resample_ms, speed.encode_ms.unwrap_or(0.0));
        Ok((Some(vision), Some(resample_ms), encode))
    }

    /// Seconds to compute `n` tokens after the first `kept` of the cache.
    async fn extend(&mut self, cache: &mut Cache, kept: usize, n: usize) -> Result<f64> {
        let slots = slots(self.model, kept, n);
        cache.rewind(kept);
        let start = Instant::now();
        self.model.begin(cache, kept + n, 1, &Sampling::default(), &[], &[]);
        self.model.extend(cache, &slots, &[], Want::Pick, &self.plan.cancel).await?;
        self.model.picked(cache).await?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Fills the cache up to `length`.
    async fn fill(&mut self, cache: &mut Cache, length: usize) -> Result<()> {
        cache.rewind(0);
        let slots = slots(self.model, 0, length);
        self.model.extend(cache, &slots, &[], Want::Nothing, &self.plan.cancel).await?;
        Ok(())
    }

    async fn median(&mut self, cache: &mut Cache, kept: usize, n: usize) -> Result<f64> {
        let mut samples = Samples::default();
        self.extend(cache, kept, n).await?;
        while !self.enough(&samples) {
            samples.push(self.extend(cache, kept, n).await?);
        }
        Ok(samples.median())
    }

    async fn prefill(&mut self, cache: &mut Cache) -> Result<Vec<Prefill>> {
        let mut rows = Vec::new();
        for &tokens in &self.plan.prefill {
            if tokens > cache.capacity() {
                continue;
            }
            self.say(&format!("prefill of {tokens}"))?;
            let seconds = self.median(cache, 0, tokens).await?;
            rows.push(Prefill {
                tokens,
                ms: seconds * 1e3,
                tokens_per_second: tokens as f64 / seconds,
            });
        }
        Ok(rows)
    }

    async fn small_batch(&mut self, cache: &mut Cache) -> Result<Vec<SmallBatch>> {
        let kept = BESIDE.min(cache.capacity() / 2);
        self.fill(cache, kept).await?;
        let sizes: Vec<usize> = self
            .plan
            .small_batch
            .iter()
            .copied()
            .filter(|n| kept + n <= cache.capacity())
            .collect();
        // All sizes in turn, so that a machine that slows down meanwhile slows all of them.
        let mut samples = vec![Samples::default(); sizes.len()];
        for round in 0..50 {
            self.say("small batches")?;
            for (samples, &n) in samples.iter_mut().zip(&sizes) {
                let seconds = self.extend(cache, kept, n).await?;
                if round > 0 {
                    samples.push(seconds);
                }
            }
            let spent: f64 = samples.iter().map(Samples::total).sum();
            if samples.iter().all(|s| self.enough(s))
                || round >= 2 && spent > 2.0 * self.plan.patience * sizes.len() as f64
            {
                break;
            }
        }
        Ok(sizes
            .into_iter()
            .zip(samples)
            .map(|(n, s)| SmallBatch { n, ms: s.median() * 1e3 })
            .collect())
    }

    async fn decode(&mut self, cache: &mut Cache, ceilings: &Ceilings) -> Result<Vec<Decode>> {
        let mut rows = Vec::new();
        for &context in &self.plan.contexts {
            if context + GENERATED.1 > cache.capacity() {
                continue;
            }
            self.say(&format!("decode at {context}"))?;
            self.fill(cache, context).await?;
            let mut samples = Samples::default();
            // The first run finds the pace.
            self.generate(cache, context, GENERATED.0 / 2).await?;
            let (seconds, _) = self.generate(cache, context, GENERATED.0).await?;
            let tokens = ((LONG / seconds) as usize).clamp(GENERATED.0, GENERATED.1);
            let mut counters = Counters::default();
            while !self.enough(&samples) {
                let (seconds, counted) = self.generate(cache, context, tokens).await?;
                samples.push(seconds);
                counters = counted;
            }
            let gpu_idle_fraction = self.idle(cache, context, tokens).await?;
            let (seconds, bytes) = (
                samples.median(),
                facts(self.model).bytes_per_token + cache_bytes(self.model, context),
            );
            let per_token = |count: u64| count as f64 / tokens as f64;
            let dispatches = per_token(counters.dispatches);
            let expected = |read: f64| {
                bytes as f64 / read / 1e9
                    + dispatches * ceilings.dispatch_gap_us.unwrap_or(0.0) / 1e6
            };
            rows.push(Decode {
                context,
                tokens_per_second: 1.0 / seconds,
                ms_per_token: seconds * 1e3,
                bytes_per_token: bytes,
                fraction_of_read_bandwidth: ceilings
                    .read_gb_s
                    .map(|read| bytes as f64 / seconds / 1e9 / read),
                ratio_to_model: ceilings.read_gb_s.map(|read| seconds / expected(read)),
                dispatches_per_token: dispatches,
                readbacks_per_token: per_token(counters.readbacks),
                objects_created_per_token: per_token(counters.objects),
                gpu_idle_fraction,
            });
        }
        Ok(rows)
    }

    /// Seconds per token to generate `tokens` tokens after the first `context` positions, from a
    /// device that does nothing to the last of them, and what the device did for it.
    async fn generate(
        &mut self,
        cache: &mut Cache,
        context: usize,
        tokens: usize,
    ) -> Result<(f64, Counters)> {
        // The first one comes from the prompt.
        self.begin(cache, context, tokens + 1).await?;
        self.model.picked(cache).await?;
        let (start, before) = (Instant::now(), self.model.counters());
        self.finish(cache).await?;
        Ok((
            start.elapsed().as_secs_f64() / tokens as f64,
            difference(before, self.model.counters()),
        ))
    }

    /// Computes the last position before `context`, so that `limit` tokens can be generated.
    async fn begin(&mut self, cache: &mut Cache, context: usize, limit: usize) -> Result<()> {
        cache.rewind(context - 1);
        self.model.begin(cache, context, limit, &Sampling::default(), &[], &[]);
        self.model
            .extend(cache, &slots(self.model, context - 1, 1), &[], Want::Pick, &self.plan.cancel)
            .await?;
        Ok(())
    }

    async fn first_token(
        &mut self,
        cache: &mut Cache,
        (encode_ms, predicted_ms): (f64, f64),
    ) -> Result<Vec<FirstToken>> {
        let ladder = self.model.config().offer().ladder();
        let tokens = if self.plan.tokens.is_empty() { ladder } else { self.plan.tokens.clone() };
        let system = self.model.template().prefix_ids(self.model.tokenizer()).len();
        let mut rows = Vec::new();
        for m in tokens {
            if system + m + QUESTION > cache.capacity() {
                continue;
            }
            self.say(&format!("first token at m = {m}"))?;
            self.fill(cache, system).await?;
            // In turn, so that both see the same machine.
            let speed = predicted::speed(self.model, false, &self.plan.cancel).await?;
            let ms = self.median(cache, system, m + QUESTION).await? * 1e3;
            let predicted_ms = speed.first_token_ms(m + QUESTION).map(|ms| predicted_ms + ms);
            rows.push(FirstToken { image_tokens: m, ms: encode_ms + ms, predicted_ms });
        }
        Ok(rows)
    }
}
