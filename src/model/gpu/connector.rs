//! What stands between tower and decoder on the GPU: features [patches, d] → image tokens
//! [M, hidden]. Upstream: MQT-LLaVA `query_abstractor`, LLaVA `mm_projector` and M3's average
//! pooling of its outputs, `Idefics3Connector`, MobileVLM `LDPNetV2Projector`, LLaVA-OneVision
//! `pack_image_features`.

use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Matrix, Paced, Recorder, Storage, Tensor};
use crate::image::tiles::Plan;
use crate::kernels::depthwise::depthwise;
use crate::kernels::gather::{Taps, gather};
use crate::kernels::layer_norm::layer_norm;
use crate::kernels::mix::{Map, mix};
use crate::kernels::product::{Act, Weights, linear, linear_act};
use crate::kernels::shuffle::shuffle;
use crate::model::parts::{Gridded, Projector, Resampler, Way};
use crate::weights::fold;

/// What stands between tower and decoder: its weights, and the activations of one square.
#[allow(clippy::large_enum_variant, reason = "a model has one")]
pub(super) enum Connector {
    Resampler {
        w: Resampler<Matrix, Tensor, Map>,
        /// [patches, d]: normalised features, then values
        features: Tensor,
        values: Tensor,
        /// [M, d]
        gathered: Tensor,
        /// [M, hidden]
        visual: Tensor,
    },
    Gridded {
        w: Gridded<Matrix, Tensor, Map>,
        steps: Steps,
        /// [pooled tokens, hidden]
        pooled: Tensor,
    },
}

/// Activations of a projector whose tokens lie in a grid.
pub(super) enum Steps {
    /// [patches, hidden] each: the Linears write them by turns
    Mlp([Tensor; 2]),
    Shuffle {
        /// [tokens, scale² · d]
        shuffled: Tensor,
        /// [tokens, hidden]
        projected: Tensor,
    },
    Ldp2 {
        means: Taps,
        uploaded: Storage,
        /// [patches, hidden]
        wide: Tensor,
        /// [tokens, hidden] each: means, then tokens; and what lies between them
        turns: [Tensor; 2],
    },
}

/// Where the image tokens of a picture's squares go.
pub(super) struct Visual {
    /// [rows, hidden]: every square's tokens in the order of the plan; a newline behind them where
    /// they are put together into others.
    tokens: Tensor,
    /// Averages of the one square's tokens follow them.
    is_pooled: bool,
    /// How they are put together.
    assembly: Option<Taps>,
}

impl Steps {
    async fn new(gpu: &Gpu, config: &Config, way: &Way<Matrix, Tensor>) -> Result<Steps> {
        let (patches, hidden) = (config.vision.patches(), config.language.hidden);
        let tokens = config.square_tokens();
        Ok(match way {
            Way::Mlp { .. } => Steps::Mlp([
                gpu.tensor("projected", patches, hidden).await?,
                gpu.tensor("projected too", patches, hidden).await?,
            ]),
            Way::Shuffle(linear) => Steps::Shuffle {
                shuffled: gpu.tensor("shuffled", tokens, linear.weight.cols).await?,
                projected: gpu.tensor("projected", tokens, hidden).await?,
            },
            Way::Ldp2 { .. } => {
                let means = Taps::means(config.vision.grid(), config.square_side());
                Steps::Ldp2 {
                    uploaded: means.upload(gpu).await?,
                    means,
                    wide: gpu.tensor("projected", patches, hidden).await?,
                    turns: [
                        gpu.tensor("means", tokens, hidden).await?,
                        gpu.tensor("means projected", tokens, hidden).await?,
                    ],
                }
            }
        })
    }
}

impl Connector {
    pub(super) async fn new(
        gpu: &Gpu,
        config: &Config,
        weights: Projector<Matrix, Tensor, Map>,
    ) -> Result<Connector> {
        let (patches, d, hidden) =
            (config.vision.patches(), config.vision.hidden, config.language.hidden);
        Ok(match weights {
            Projector::Resampler(w) => Connector::Resampler {
                features: gpu.tensor("features", patches, d).await?,
                values: gpu.tensor("values", patches, d).await?,
                gathered: gpu.tensor("gathered", w.tokens, d).await?,
                visual: gpu.tensor("visual", w.tokens, hidden).await?,
                w,
            },
            Projector::Gridded(w) => {
                let pooled = config.visual_rows() - config.square_tokens();
                Connector::Gridded {
                    steps: Steps::new(gpu, config, &w.way).await?,
                    pooled: gpu.tensor("pooled", pooled.max(1), hidden).await?,
                    w,
                }
            }
        })
    }

    /// Room for the image tokens of a picture: of a resampler the first `n`.
    pub(super) async fn room(
        &self,
        gpu: &Gpu,
        config: &Config,
        plan: &Plan,
        n: usize,
    ) -> Result<Visual> {
        let assembly = Config::is_assembled(plan).then(|| config.assembly(plan));
        let is_pooled = assembly.is_none() && plan.squares() == 1;
        let rows = match self {
            Connector::Resampler { .. } => n,
            Connector::Gridded { .. } if is_pooled => config.visual_rows(),
            Connector::Gridded { .. } => {
                plan.squares() * config.square_tokens() + usize::from(assembly.is_some())
            }
        };
        let tokens = gpu.tensor("image tokens", rows, config.language.hidden).await?;
        Ok(Visual { tokens, is_pooled, assembly })
    }

    /// Turns the features of the plan's square `square` (`x` as the tower gives it) into image
    /// tokens: as many of a resampler's as there is room for, or all of a grid and, of a single
    /// square, their averages.
    pub(super) async fn project(
        &self,
        gpu: &Gpu,
        config: &Config,
        x: &Tensor,
        (to, square): (&Visual, usize),
        cancel: &Cancel,
    ) -> Result<()> {
        let (patches, first) = (config.vision.patches(), config.vision.first_patch());
        let out = &to.tokens;
        match self {
            Connector::Resampler { w, features, values, gathered, visual } => {
                let n = out.rows;
                let fold = Weights { matrix: &w.out, bias: Some(&w.bias) };
                let mut rec = gpu.recorder();
                layer_norm(&mut rec, x, first, patches, None, fold::EPS, features);
                linear(&mut rec, features.slice(0..patches), &w.value, values);
                mix(&mut rec, &w.map, values, n, gathered);
                linear(&mut rec, gathered.slice(0..n), fold, visual);
                // Copied rather than written in place: what no kernel binds, no bind group keeps
                // alive.
                rec.copy_rows(visual, 0, out, 0, n);
                rec.finish().await?;
            }
            Connector::Gridded { w, steps, pooled } => {
                let each = config.square_tokens();
                let mut run = Paced::new(gpu, cancel, patches);
                let projected = steps.run(&mut run, config, &w.way, x).await?;
                run.rec.copy_rows(projected, 0, out, square * each, each);
                let n = config.visual_rows() - each;
                if let (Some(map), true) = (&w.pool, to.is_pooled) {
                    mix(&mut run.rec, map, projected, n, pooled);
                    run.rec.copy_rows(pooled, 0, out, each, n);
                }
                run.submit();
                gpu.idle().await?;
            }
        }
        Ok(())
    }

    /// The image tokens in the order of the prompt, once every square has its own.
    pub(super) async fn finish(&self, gpu: &Gpu, visual: Visual) -> Result<Tensor> {
        let Visual { tokens, assembly, .. } = visual;
        let (Connector::Gridded { w, .. }, Some(taps)) = (self, assembly) else {
            return Ok(tokens);
        };
        let out = gpu.tensor("image tokens", taps.rows(), tokens.cols).await?;
        let uploaded = taps.upload(gpu).await?;
        let mut rec = gpu.recorder();
        if let Way::Mlp { newline: Some(newline), .. } = &w.way {
            rec.copy_rows(newline, 0, &tokens, tokens.rows - 1, 1);
        }
        gather(&mut rec, &taps, &uploaded, &tokens, (&out, 0));
        rec.finish().await?;
        // Bind groups would keep these buffers alive, picture after picture.
        gpu.forget_bind_groups();
        Ok(out)
    }
}

impl Steps {
    /// Features (rows `first_patch`.. of `x`) → tokens [square tokens, hidden].
    async fn run<'s>(
        &'s self,
        run: &mut Paced<'_>,
        config: &Config,
        way: &Way<Matrix, Tensor>,
        x: &Tensor,
    ) -> Result<&'s Tensor> {
        let (patches, first) = (config.vision.patches(), config.vision.first_patch());
        let features = x.slice(first..first + patches);
        match (self, way) {
            (Steps::Mlp(turns), Way::Mlp { linears, .. }) => {
                for (i, layer) in linears.iter().enumerate() {
                    let from = if i == 0 { features } else { turns[(i + 1) % 2].slice(0..patches) };
                    let act = if i + 1 < linears.len() { Act::Gelu } else { Act::None };
                    linear_act(&mut run.rec, from, layer, act, &turns[i % 2]);
                    run.layer_done().await?;
                }
                Ok(&turns[(linears.len() + 1) % 2])
            }
            (Steps::Shuffle { shuffled, projected }, Way::Shuffle(layer)) => {
                let grid = config.vision.grid();
                let scale = grid / config.square_side();
                shuffle(&mut run.rec, x, first, grid, scale, shuffled);
                linear(&mut run.rec, shuffled.slice(0..shuffled.rows), layer, projected);
                run.layer_done().await?;
                Ok(projected)
            }
            (Steps::Ldp2 { means, uploaded, wide, turns }, Way::Ldp2 { linears, weight, bias }) => {
                linear_act(&mut run.rec, features, &linears[0], Act::Gelu, wide);
                run.layer_done().await?;
                // The second Linear and the means can change places, and means are fewer.
                let rec: &mut Recorder = &mut run.rec;
                gather(rec, means, uploaded, wide, (&turns[0], 0));
                linear(rec, turns[0].slice(0..turns[0].rows), &linears[1], &turns[1]);
                depthwise(rec, &turns[1], weight, bias, config.square_side(), &turns[0]);
                run.layer_done().await?;
                Ok(&turns[0])
            }
            _ => unreachable!("the steps were made for this projector"),
        }
    }
}
