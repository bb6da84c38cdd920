//! Which variant of each kernel this device runs fastest, timed on the model's own matrices, the
//! most expensive products first.
//!
//! The layers take turns, so that no variant profits from a cache that holds one layer's weights.
//! What is not measured in time keeps its guess, and the next load continues from there.

use super::Network;
use super::connector::Connector;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Matrix, Recorder, Storage, Tensor};
use crate::kernels::attention::cache::{HeadShape, KvLayer};
use crate::kernels::attention::step::{self, Split, attention_step, part_values};
use crate::kernels::product::cut::{self, BATCHES, Cut, Product, Via};
use crate::kernels::product::step::{End, step_cut};
use crate::kernels::product::{How, product};
use crate::kernels::state::State;
use crate::model::open::{LoadOptions, Tuning};
use crate::model::parts::LanguageLayer;
use crate::model::slot::Arithmetic;
use crate::quant::{Format, PANEL};
use crate::sample::Sampling;
use std::time::Duration;
use web_time::Instant;

/// Target seconds of one timing: long beside the wait for the device.
const LONG: f64 = 0.003;
/// Most repetitions in one timing.
const MOST: usize = 64;
/// A challenger must take less than this share of the guess's time: noise must not change kernels.
const MARGIN: f64 = 0.97;
/// The context at which ways of splitting attention are compared, and the room of its cache.
const CONTEXT: (usize, usize) = (512, 2048);

/// What happens to a product in decoding; decides the kernel's variant.
#[derive(Clone, Copy)]
enum Role {
    Normed,
    Residual,
    Gated,
}

/// Matrices of one shape and role, one per layer.
struct Family<'a> {
    matrices: Vec<&'a Matrix>,
    role: Role,
}

impl<'a> Family<'a> {
    fn first(&self) -> &'a Matrix {
        self.matrices[0]
    }
}

/// How long to measure on this device; `None`: not at all.
pub(in crate::model) fn budget(gpu: &Gpu, options: &LoadOptions) -> Option<Duration> {
    match options.tuning {
        // There is one variant only.
        _ if options.arithmetic == Arithmetic::Exact => None,
        Tuning::Off => None,
        // Compiling the variants would take software adapters longer than most conversations.
        Tuning::Within(_) if gpu.is_software() => None,
        Tuning::Within(budget) => Some(budget),
        Tuning::Whole => Some(Duration::MAX),
    }
}

/// Measures what no choice exists for, until `budget` is spent. Where there is no memory left for
/// it, the guesses stay.
///
/// # Errors
/// [`Error::DeviceLost`].
pub(in crate::model) async fn tune(
    network: &Network,
    config: &Config,
    budget: Duration,
) -> Result<()> {
    let gpu = &network.gpu;
    let tuner = Tuner { gpu, deadline: Instant::now().checked_add(budget) };
    let measured = tuner.measure(config, network).await;
    gpu.forget_bind_groups();
    match measured {
        Err(Error::OutOfMemory { .. } | Error::LimitTooSmall { .. }) => Ok(()),
        other => other,
    }
}

/// The decoder's matrices, those that take longest first, the head last.
fn language_families(network: &Network) -> Vec<Family<'_>> {
    type Pick = fn(&LanguageLayer<Matrix, Tensor>) -> &Matrix;
    let l = &network.language.0;
    let picks: [(Pick, Role); 4] = [
        (|layer| &layer.gate_up, Role::Gated),
        (|layer| &layer.down, Role::Residual),
        (|layer| &layer.qkv.weight, Role::Normed),
        (|layer| &layer.o, Role::Residual),
    ];
    // The last layer may have a format of its own, and there are few of it.
    let (mut families, mut others) = (Vec::new(), Vec::new());
    for (pick, role) in picks {
        let Some(usual) = l.layers.first().map(|layer| pick(layer).format) else { continue };
        let (matrices, rest): (Vec<_>, Vec<_>) =
            l.layers.iter().map(pick).partition(|w| w.format == usual);
        families.push(Family { matrices, role });
        if !rest.is_empty() {
            others.push(Family { matrices: rest, role });
        }
    }
    families.extend(others);
    families
        .push(Family { matrices: vec![l.head.as_ref().unwrap_or(&l.embed)], role: Role::Normed });
    families
}

fn vision_families(network: &Network) -> Vec<Vec<&Matrix>> {
    let layers = &network.encoder.vision.0.layers;
    let mut families: Vec<Vec<&Matrix>> = vec![
        layers.iter().map(|layer| &layer.fc1.weight).collect(),
        layers.iter().map(|layer| &layer.fc2.weight).collect(),
        layers.iter().map(|layer| &layer.qkv.weight).collect(),
        layers.iter().map(|layer| &layer.out.weight).collect(),
        vec![&network.encoder.vision.0.patch.weight],
    ];
    match &network.encoder.connector {
        Connector::Resampler { w, .. } => families.extend([vec![&w.value], vec![&w.out]]),
        Connector::Gridded { w, .. } => {
            families.extend(w.way.matrices().map(|matrix| vec![matrix]))
        }
    }
    families.retain(|family| !family.is_empty());
    families
}

struct Tuner<'a> {
    gpu: &'a Gpu,
    deadline: Option<Instant>,
}

impl Tuner<'_> {
    async fn measure(&self, config: &Config, network: &Network) -> Result<()> {
        let language = language_families(network);
        for family in &language {
            self.step(family).await?;
        }
        self.split(config.language.shape).await?;
        let vision = vision_families(network);
        for n in BATCHES.into_iter().rev() {
            // The tower's batch is the whole picture.
            let vision = if n >= 64 { &vision[..] } else { &[] };
            // The head sees the last token only.
            let language = if n == 1 { &language[..] } else { &language[..language.len() - 1] };
            for matrices in language.iter().map(|family| &family.matrices).chain(vision) {
                self.batch(matrices, n).await?;
            }
        }
        Ok(())
    }

    fn time_is_up(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Chooses among `variants`, the first of which is the guess. `margin`: the share of the best
    /// one's time that a challenger may take; `record(rec, variant, round)` records one run, and
    /// `round` counts up from 0.
    async fn choose<V: Copy + std::fmt::Display>(
        &self,
        key: String,
        variants: &[V],
        margin: impl Fn(V, V) -> f64,
        record: impl Fn(&mut Recorder, V, usize),
    ) -> Result<()> {
        // A remembered choice that is no longer a candidate is measured again.
        if self
            .gpu
            .chosen(&key)
            .is_some_and(|chosen| variants.iter().any(|v| v.to_string() == chosen))
        {
            return Ok(());
        }
        let Some(&guess) = variants.first() else { return Ok(()) };
        let (mut best, mut least) = (guess, f64::INFINITY);
        for (i, &variant) in variants.iter().enumerate() {
            if self.time_is_up() {
                return Ok(());
            }
            let margin = if i == 0 { 1.0 } else { margin(best, variant) };
            if let Some(seconds) =
                self.time(least * 2.0, |rec, round| record(rec, variant, round)).await?
                && seconds < least * margin
            {
                (best, least) = (variant, seconds);
            }
        }
        self.gpu.choose(key, best.to_string());
        Ok(())
    }

    /// Seconds of one run; `None` as soon as one takes longer than `hopeless`.
    async fn time(
        &self,
        hopeless: f64,
        record: impl Fn(&mut Recorder, usize),
    ) -> Result<Option<f64>> {
        let run = async |first: usize, count: usize| -> Result<f64> {
            let mut rec = self.gpu.recorder();
            (first..first + count).for_each(|round| record(&mut rec, round));
            let start = Instant::now();
            rec.finish().await?;
            Ok(start.elapsed().as_secs_f64())
        };
        // The first run compiles.
        run(0, 1).await?;
        let once = run(1, 1).await?;
        if once > hopeless + LONG {
            return Ok(None);
        }
        let count = ((LONG / once.max(1e-9)) as usize).clamp(1, MOST);
        let mut least = f64::INFINITY;
        for round in 0..3 {
            least = least.min(run(2 + round * count, count).await? / count as f64);
        }
        Ok(Some(least))
    }

    /// The fused product of decoding.
    async fn step(&self, family: &Family<'_>) -> Result<()> {
        let (gpu, w) = (self.gpu, family.first());
        let (rows, cols) = (w.rows, w.cols);
        let variants = with_guess(gpu, w, 1, true);
        let state = started(gpu, 0).await?;
        let (x, stream) =
            (gpu.tensor("tune x", 1, cols).await?, gpu.tensor("tune stream", 1, cols).await?);
        let (extra, next) =
            (gpu.tensor("tune extra", 1, rows).await?, gpu.tensor("tune next", 1, rows).await?);
        let out = gpu
            .tensor("tune out", 1, if matches!(family.role, Role::Gated) { rows / 2 } else { rows })
            .await?;
        let spare = gpu.storage("spare", 16).await?;
        self.choose(
            cut::key(w.format, rows, cols, 1, true, w.may_round),
            &variants,
            margin,
            |rec, cut, round| {
                let (end, norm) = match family.role {
                    Role::Normed => (End::Store(None), Some((&stream, 1e-5))),
                    Role::Residual => (End::Residual(&extra, &next), None),
                    Role::Gated => (End::Gated, Some((&stream, 1e-5))),
                };
                step_cut(
                    rec,
                    &state,
                    &x,
                    norm,
                    family.matrices[round % family.matrices.len()],
                    end,
                    &out,
                    &spare,
                    cut,
                );
            },
        )
        .await
    }

    /// The product of `n` tokens.
    async fn batch(&self, matrices: &[&Matrix], n: usize) -> Result<()> {
        let (gpu, w) = (self.gpu, matrices[0]);
        // Software takes as long per token from 64 on.
        if self.time_is_up() || n > 64 && gpu.is_software() {
            return Ok(());
        }
        let (x, out) =
            (gpu.tensor("tune x", n, w.cols).await?, gpu.tensor("tune out", n, w.rows).await?);
        self.choose(
            cut::key(w.format, w.rows, w.cols, n, false, w.may_round),
            &with_guess(gpu, w, n, false),
            margin,
            |rec, cut, round| {
                let w = matrices[round % matrices.len()];
                product(rec, x.slice(0..n), How::plain(w, cut), (&out, 0));
            },
        )
        .await
    }

    /// How decoding's attention is shared among workgroups.
    async fn split(&self, shape: HeadShape) -> Result<()> {
        let gpu = self.gpu;
        if !step::supports(shape) || self.time_is_up() {
            return Ok(());
        }
        let (context, capacity) = CONTEXT;
        let guess = Split::guess(gpu.is_software());
        let variants: Vec<Split> = [guess]
            .into_iter()
            .chain(Split::ALL.into_iter().filter(|split| *split != guess))
            .collect();
        let state = started(gpu, context - 1).await?;
        let kv = KvLayer::new(gpu, shape, capacity, Format::F16).await?;
        let rope = gpu.storage("tune rope", (capacity * shape.head_dim * 4) as u64).await?;
        let (qkv, out) = (
            gpu.tensor("tune qkv", 1, shape.sections().2).await?,
            gpu.tensor("tune out", 1, shape.heads * shape.head_dim).await?,
        );
        let most =
            variants.iter().map(|&split| part_values(shape, split, capacity)).max().unwrap_or(4);
        let part = gpu.storage("tune part", most as u64 * 4).await?;
        self.choose(
            step::key(shape),
            &variants,
            |_, _| MARGIN,
            |rec, split, _| {
                attention_step(rec, &state, &qkv, &rope, &kv, split, &part, &out);
            },
        )
        .await
    }
}

/// Bytes cost accuracy, so they have to be worth it; beyond that, see [`MARGIN`].
fn margin(best: Cut, challenger: Cut) -> f64 {
    if challenger.via == Via::Bytes && best.via != Via::Bytes { 0.85 } else { MARGIN }
}

/// The guess for `n` tokens, then everything worth comparing with it.
fn with_guess(gpu: &Gpu, w: &Matrix, n: usize, step: bool) -> Vec<Cut> {
    let guess = cut::guess(gpu.is_software(), w.rows, w.cols, n);
    let bytes = w.may_round && gpu.has_packed_dot();
    let product = Product {
        software: gpu.is_software(),
        bytes,
        format: w.format,
        panels: w.rows.div_ceil(PANEL),
        cols: w.cols,
    };
    let others = cut::candidates(product, n, step);
    [guess].into_iter().chain(others.into_iter().filter(|cut| *cut != guess)).collect()
}

/// A state buffer in the midst of decoding at `position`.
async fn started(gpu: &Gpu, position: usize) -> Result<Storage> {
    let state = gpu.storage("tune state", State::BYTES).await?;
    gpu.write(&state, 0, bytemuck::bytes_of(&State::start(position, 1, &Sampling::default(), &[])));
    Ok(state)
}

#[cfg(all(test, feature = "native"))]
mod tests;
