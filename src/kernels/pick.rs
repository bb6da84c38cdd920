//! The next token, chosen on the device: greedy, or temperature, top-k and top-p with a repetition
//! penalty, among all tokens or those of a mask. Its twin is `src/sample.rs`.

use super::check::{Case, EXACT, F32_LIMIT, random};
use super::state::{self, STATE, State};
use super::{Variant, kernel, params};
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, Recorder, Storage, Tensor};
use crate::sample::{self, Picked, Sampling};

params! { cols: u32 }

static KERNEL: Kernel = kernel!("pick", [Read, Write, Write, Read]);

/// How a token is picked, as the kernel's variants tell it apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Temperature 0 and no penalty, which needs two passes.
    pub greedy: bool,
    /// Only tokens of the mask.
    pub masked: bool,
}

fn constants(software: bool, way: Way) -> [(&'static str, u32); 3] {
    [
        ("WG", if software { 64 } else { 256 }),
        ("GREEDY", u32::from(way.greedy)),
        ("MASKED", u32::from(way.masked)),
    ]
}

pub(super) fn variants() -> Vec<Variant> {
    let variant = |i: u32| Variant {
        kernel: &KERNEL,
        preludes: vec![STATE],
        constants: constants(i & 1 == 0, Way { greedy: i & 2 == 0, masked: i & 4 == 4 }).into(),
    };
    (0..8).map(variant).collect()
}

/// Bytes of a set of tokens: those already seen, or those that may be picked.
pub fn set_bytes(vocab: usize) -> u64 {
    vocab.div_ceil(32) as u64 * 4
}

/// A set's words.
pub fn set_words(vocab: usize, tokens: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut words = vec![0; vocab.div_ceil(32)];
    for token in tokens {
        words[token as usize / 32] |= 1 << (token % 32);
    }
    words
}

/// What tokens are picked with.
pub struct Sets<'a> {
    /// [`State`]: moves on by one token each time.
    pub state: &'a Storage,
    /// One bit per token that the penalty falls on: gains each token picked.
    pub seen: &'a Storage,
    /// One bit per token that may be picked; read where the way is `masked`.
    pub mask: &'a Storage,
}

/// Records the choice from row 0 of `logits` [≥ 1, vocab].
pub fn pick(rec: &mut Recorder, logits: &Tensor, sets: &Sets, way: Way) {
    let constants = constants(rec.gpu().is_software(), way);
    rec.dispatch(
        &KERNEL,
        &[STATE],
        &constants,
        Params { cols: logits.cols as u32 },
        &[logits, sets.seen, sets.state, sets.mask],
        [1, 1, 1],
    );
}

pub(super) fn cases() -> Vec<Case> {
    let greedy = Sampling::default();
    let hot = Sampling { temperature: 0.8, top_k: 0, ..greedy };
    let samplings = [
        greedy,
        Sampling { repetition_penalty: 1.3, ..greedy },
        hot,
        Sampling { top_k: 7, seed: 3, ..hot },
        Sampling { top_p: 0.7, seed: 0x1234_5678_9abc, ..hot },
        Sampling { top_k: 40, top_p: 0.9, repetition_penalty: 1.2, seed: 9, ..hot },
    ];
    let mut cases = Vec::new();
    let shapes = [(1, 1, false), (63, 6, false), (700, 6, false), (32_000, 2, false)];
    let masked = [(1, 1, true), (700, 6, true), (32_000, 2, true)];
    for (cols, rounds, masked) in shapes.into_iter().chain(masked) {
        for sampling in samplings {
            let name = format!(
                "pick {cols}{} T {} k {} p {}",
                if masked { " masked" } else { "" },
                sampling.temperature,
                sampling.top_k,
                sampling.top_p
            );
            let tokens = |picked: &[Picked]| picked.iter().map(|p| p.token as f32).collect();
            let likely = |picked: &[Picked]| picked.iter().map(|p| p.probability).collect();
            cases.push(Case::new(name.clone(), EXACT, async move |gpu| {
                let (got, want) = rounds_of(gpu, (cols, rounds, masked), &sampling).await?;
                Ok((tokens(&got), tokens(&want)))
            }));
            cases.push(Case::new(format!("{name} probability"), F32_LIMIT, async move |gpu| {
                let (got, want) = rounds_of(gpu, (cols, rounds, masked), &sampling).await?;
                Ok((likely(&got), likely(&want)))
            }));
        }
    }
    cases
}

/// What kernel and twin pick, one after the other, from the same logits.
async fn rounds_of(
    gpu: &Gpu,
    (cols, rounds, masked): (usize, u32, bool),
    sampling: &Sampling,
) -> Result<(Vec<Picked>, Vec<Picked>)> {
    // The same largest value in several places: the first must win.
    let mut logits: Vec<f32> = random(1, cols).iter().map(|v| v * 8.0).collect();
    for i in [cols / 3, cols / 2, cols - 1] {
        logits[i] = 9.0;
    }
    let mut seen = set_words(cols, [cols as u32 / 3].into_iter());
    // Some tokens in a row, and neither of the first two that are the largest.
    let mask =
        set_words(cols, (0..cols as u32).filter(|i| i / 5 % 7 == 2 || *i == cols as u32 - 1));
    let mask = masked.then_some(mask.as_slice());
    let logits_gpu = gpu.upload("logits", &logits, 1, cols).await?;
    let (seen_gpu, mask_gpu) =
        (gpu.storage("seen", set_bytes(cols)).await?, gpu.storage("mask", set_bytes(cols)).await?);
    gpu.write(&seen_gpu, 0, bytemuck::cast_slice(&seen));
    if let Some(mask) = mask {
        gpu.write(&mask_gpu, 0, bytemuck::cast_slice(mask));
    }
    let state_gpu =
        state::upload(gpu, |state| *state = State::start(6, 1000, sampling, &[])).await?;
    let sets = Sets { state: &state_gpu, seen: &seen_gpu, mask: &mask_gpu };
    let way = Way { greedy: sampling.is_plain_greedy(), masked };
    let mut rec = gpu.recorder();
    for _ in 0..rounds {
        pick(&mut rec, &logits_gpu, &sets, way);
    }
    rec.submit();
    let after = State::read(&gpu.read(&state_gpu, 0, State::BYTES).await?);
    let got = (0..after.count as usize).map(|i| after.picked(i)).collect();
    let want = (0..rounds).map(|count| {
        let picked = sample::pick(&logits, &seen, mask, sampling, count);
        seen[picked.token as usize / 32] |= 1 << (picked.token % 32);
        picked
    });
    let want = want.collect();
    Ok((got, want))
}

#[cfg(all(test, feature = "native"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// Whatever comes of a broken model: a token that exists, a probability that is one.
    #[test]
    fn logits_that_are_no_numbers_pick_a_token_all_the_same() {
        let Some(gpu) = crate::kernels::check::gpu_or_skip() else { return };
        for logits in [[f32::NAN; 70], [f32::NEG_INFINITY; 70], [f32::INFINITY; 70]] {
            for sampling in [
                Sampling::default(),
                Sampling { temperature: 1.0, top_k: 5, top_p: 0.5, ..Sampling::default() },
            ] {
                let state = pollster::block_on(async {
                    let logits = gpu.upload("logits", &logits, 1, 70).await.unwrap();
                    let seen = gpu.storage("seen", set_bytes(70)).await.unwrap();
                    let mask = gpu.storage("mask", set_bytes(70)).await.unwrap();
                    let state_gpu =
                        state::upload(&gpu, |state| *state = State::start(0, 9, &sampling, &[]))
                            .await
                            .unwrap();
                    let mut rec = gpu.recorder();
                    let way = Way { greedy: sampling.is_plain_greedy(), masked: false };
                    pick(
                        &mut rec,
                        &logits,
                        &Sets { state: &state_gpu, seen: &seen, mask: &mask },
                        way,
                    );
                    rec.submit();
                    State::read(&gpu.read(&state_gpu, 0, State::BYTES).await.unwrap())
                });
                let Picked { token, probability } = state.picked(0);
                assert!(
                    state.count == 1 && token < 70 && (0.0..=1.0).contains(&probability),
                    "{token} {probability} of {}",
                    logits[0]
                );
            }
        }
    }
}
