//! From the tower's features to image tokens, on the processor.

use super::kernels::{Kernels, Memories, Weights};
use crate::config::Config;
use crate::cpu::{self, Isa, Matrix};
use crate::image::tiles::Plan;
use crate::kernels::gather::Taps;
use crate::kernels::product::Act;
use crate::kernels::{depthwise, gather, shuffle};
use crate::model::parts::{Projector, Way};
use crate::weights::fold;

/// features [patches, d] → the tokens of one square, as the GPU's `Connector::project`.
pub(super) fn project(
    config: &Config,
    w: &Projector<Matrix, Vec<f32>, Vec<f32>>,
    features: Vec<f32>,
    n: usize,
    kernels: Kernels,
    memory: &mut Memories,
) -> Vec<f32> {
    let Memories { products, normed, wide, .. } = memory;
    match w {
        Projector::Resampler(w) => {
            let d = config.vision.hidden;
            normed.resize(features.len(), 0.0);
            cpu::layer_norm(kernels.isa, &features, d, None, fold::EPS, normed);
            kernels.linear(normed, &w.value, Act::None, wide, products);
            let gathered = cpu::mix(kernels.isa, (&w.map, w.heads, w.tokens), wide, d, n);
            let mut tokens = Vec::new();
            let out = Weights(&w.out, Some(&w.bias));
            kernels.linear(&gathered, out, Act::None, &mut tokens, products);
            tokens
        }
        Projector::Gridded(w) => grid(config, &w.way, features, kernels, memory),
    }
}

/// features [patches, d] → the tokens of one square, as the GPU's `Steps::run`.
fn grid(
    config: &Config,
    way: &Way<Matrix, Vec<f32>>,
    features: Vec<f32>,
    kernels: Kernels,
    memory: &mut Memories,
) -> Vec<f32> {
    let Memories { products, wide, .. } = memory;
    let (patches, side) = (config.vision.grid(), config.square_side());
    let mut tokens = Vec::new();
    match way {
        Way::Mlp { linears, .. } => {
            tokens = features;
            for (i, linear) in linears.iter().enumerate() {
                let act = if i + 1 < linears.len() { Act::Gelu } else { Act::None };
                kernels.linear(&tokens, linear, act, wide, products);
                std::mem::swap(&mut tokens, wide);
            }
            tokens
        }
        Way::Shuffle(linear) => {
            let d = config.vision.hidden;
            let shuffled = shuffle::reference(&features, d, patches, patches / side);
            kernels.linear(&shuffled, linear, Act::None, &mut tokens, products);
            tokens
        }
        Way::Ldp2 { linears, weight, bias } => {
            kernels.linear(&features, &linears[0], Act::Gelu, wide, products);
            let means = gather::reference(&Taps::means(patches, side), wide, bias.len());
            kernels.linear(&means, &linears[1], Act::None, &mut tokens, products);
            depthwise::reference(&tokens, weight, bias, side)
        }
    }
}

/// The tokens of all squares in the order of the prompt, as the GPU's `Connector::finish`.
pub(super) fn put_together(
    config: &Config,
    w: &Projector<Matrix, Vec<f32>, Vec<f32>>,
    mut tokens: Vec<f32>,
    plan: &Plan,
    isa: Isa,
) -> Vec<f32> {
    let (Projector::Gridded(w), hidden) = (w, config.language.hidden) else { return tokens };
    if Config::is_assembled(plan) {
        if let Way::Mlp { newline: Some(newline), .. } = &w.way {
            tokens.extend(newline);
        }
        return gather::reference(&config.assembly(plan), &tokens, hidden);
    }
    if let (Some(map), 1) = (&w.pool, plan.squares()) {
        let n = config.visual_rows() - config.square_tokens();
        tokens.extend(cpu::mix(isa, (map, 1, n), &tokens, hidden, n));
    }
    tokens
}
