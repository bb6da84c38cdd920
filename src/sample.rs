//! Which token comes next: greedy, or drawn with temperature, top-k and top-p. A pure function of
//! logits, settings and a count.
//!
//! The same arithmetic as `shaders/pick.wgsl`, so that a seed means the same on every device:
//! thresholds on the logits' order, draws by Gumbel noise from a hash of (seed, count, token).
//! Tokens that tie with the last one kept are kept too.

use crate::defaults;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// Keep the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keep this many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Logits of tokens already seen are divided by this (multiplied where negative); 1 changes
    /// nothing.
    pub repetition_penalty: f32,
    /// The same seed gives the same answer.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: defaults::TEMPERATURE,
            top_p: defaults::TOP_P,
            top_k: defaults::TOP_K,
            repetition_penalty: defaults::REPETITION_PENALTY,
            seed: defaults::SEED,
        }
    }
}

impl Sampling {
    /// Whether the largest logit is all that counts.
    pub(crate) fn is_plain_greedy(&self) -> bool {
        self.temperature <= 0.0 && self.repetition_penalty == 1.0
    }
}

/// A token that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picked {
    /// Its id.
    pub token: u32,
    /// How likely the model considered it among all tokens, 0 to 1: after the penalty, before
    /// temperature, top-k and top-p.
    pub probability: f32,
}

impl Picked {
    /// A probability that is NaN, because the logits were, becomes 0.
    pub fn new(token: u32, probability: f32) -> Picked {
        Picked {
            token,
            probability: if probability.is_finite() { probability.clamp(0.0, 1.0) } else { 0.0 },
        }
    }
}

/// Memory that picking uses again and again.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    values: Vec<f32>,
    open: Vec<f32>,
    sorted: Vec<f32>,
}

/// Whether a set of tokens, one bit each, has this one.
fn has(set: &[u32], token: usize) -> bool {
    set.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
}

/// The `count`th token of a generation, from logits \[vocab\]; `seen` has one bit per token that
/// the penalty falls on, `mask` one per token that may be picked (`None`: all).
pub fn pick(
    logits: &[f32],
    seen: &[u32],
    mask: Option<&[u32]>,
    sampling: &Sampling,
    count: u32,
) -> Picked {
    pick_in(&mut Memory::default(), logits, (seen, mask), sampling, count)
}

/// [`pick`], which allocates nothing once `memory` was used.
pub(crate) fn pick_in(
    memory: &mut Memory,
    logits: &[f32],
    (seen, mask): (&[u32], Option<&[u32]>),
    sampling: &Sampling,
    count: u32,
) -> Picked {
    let value = |i: usize| {
        let (logit, penalty) = (logits[i], sampling.repetition_penalty);
        match has(seen, i) {
            true if logit < 0.0 => logit * penalty,
            true => logit / penalty,
            false => logit,
        }
    };
    let Memory { values, open, sorted } = memory;
    let values = if sampling.is_plain_greedy() {
        logits
    } else {
        values.clear();
        values.extend((0..logits.len()).map(value));
        values
    };
    let may = |i: usize| mask.is_none_or(|mask| has(mask, i));
    let best = largest(values.iter().copied().enumerate().filter(|(i, _)| may(*i)));
    let token = if sampling.temperature <= 0.0 {
        best
    } else if mask.is_none() {
        draw(values, sorted, best, sampling, count)
    } else {
        open.clear();
        open.extend((0..).zip(values).map(|(i, v)| if may(i) { *v } else { f32::NEG_INFINITY }));
        draw(open, sorted, best, sampling, count)
    };
    // Of all tokens, masked or not: how likely the model held it.
    let peak = if mask.is_none() { best } else { largest(values.iter().copied().enumerate()) };
    let value = |token: u32| values.get(token as usize).copied().unwrap_or(f32::NAN);
    // In f64: a sum of this many terms would lose its last digits in f32.
    let all: f64 = values.iter().map(|v| f64::from((v - value(peak)).exp())).sum();
    Picked::new(token, (f64::from((value(token) - value(peak)).exp()) / all) as f32)
}

/// A token and how likely the model considered it: the natural logarithm of its probability among
/// all tokens, before penalty, temperature, limits and mask.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Likely {
    /// Its id.
    pub token: u32,
    /// At most 0; −∞ where the logits are NaN.
    pub logprob: f32,
}

/// How likely a model considered `token`, and the `top` likeliest tokens with theirs, the likeliest
/// first and the lowest id first among equals; from logits \[vocab\].
pub fn likeliest(logits: &[f32], token: u32, top: usize) -> (Likely, Vec<Likely>) {
    let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // In f64, as in `pick`.
    let sum: f64 = logits.iter().map(|v| f64::from(v - peak).exp()).sum();
    let likely = |token: u32| {
        let logit = logits.get(token as usize).copied().unwrap_or(f32::NAN);
        let logprob = (f64::from(logit - peak) - sum.ln()) as f32;
        Likely { token, logprob: if logprob.is_nan() { f32::NEG_INFINITY } else { logprob } }
    };
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let order =
        |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let top = top.min(ids.len());
    if top > 0 && top < ids.len() {
        ids.select_nth_unstable_by(top - 1, order);
    }
    ids.truncate(top);
    ids.sort_unstable_by(order);
    (likely(token), ids.into_iter().map(likely).collect())
}

/// One of `values` by Gumbel noise, after the limits; `best` is the largest, `sorted` memory.
fn draw(values: &[f32], sorted: &mut Vec<f32>, best: u32, sampling: &Sampling, count: u32) -> u32 {
    let (top, heat) =
        (values.get(best as usize).copied().unwrap_or(0.0), sampling.temperature.max(1e-6));
    // The reference's order: temperature, top-k, top-p.
    sorted.clear();
    sorted.extend_from_slice(values);
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let k = if sampling.top_k == 0 { sorted.len() } else { sampling.top_k.min(sorted.len()) };
    let kth = sorted.get(k.saturating_sub(1)).copied().unwrap_or(0.0);
    // What top-p adds up: likelihood against the likeliest token's, in whole 1/16384.
    let weight = |v: f32| u64::from((((v - top) / heat).exp() * 16_384.0 + 0.5) as u32);
    let kept = sorted.iter().take_while(|v| v.total_cmp(&kth).is_ge());
    let all: u64 = kept.clone().map(|&v| weight(v)).sum();
    let goal = ((sampling.top_p * all as f32).ceil() as u64).max(1);
    let mut reached = 0;
    let least = kept
        .copied()
        .find(|&v| {
            reached += weight(v);
            reached >= goal
        })
        .unwrap_or(kth);
    let seed = hash(count ^ hash(sampling.seed as u32 ^ hash((sampling.seed >> 32) as u32)));
    let scores =
        values.iter().enumerate().filter(|(_, v)| v.total_cmp(&least).is_ge()).map(|(i, v)| {
            let uniform = ((hash(i as u32 ^ seed) >> 8) as f32 + 0.5) / 16_777_216.0;
            (i, (v - top) / heat - (-uniform.ln()).ln())
        });
    // Of logits that are no numbers nothing is drawn.
    scores
        .fold(
            None,
            |found: Option<(f32, u32)>, (i, v)| {
                if v > found.map_or(f32::MIN, |f| f.0) { Some((v, i as u32)) } else { found }
            },
        )
        .map_or(best, |f| f.1)
}

/// The place of the largest value, the lowest among equals; NaN is never the largest, and of
/// nothing it is 0.
fn largest(values: impl Iterator<Item = (usize, f32)>) -> u32 {
    let mut best = (f32::MIN, 0);
    for (i, v) in values {
        if v > best.0 {
            best = (v, i as u32);
        }
    }
    best.1
}

/// A 32-bit mixer; multiply-xorshift with constants found by search to leave little bias (Wellons'
/// `lowbias32`).
fn hash(seed: u32) -> u32 {
    let mut h = seed;
    h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 2.0, 3.0, 2.5, -1.0];

    fn picks(sampling: Sampling, n: u32) -> Vec<u32> {
        let mut seen = [1u32];
        (0..n)
            .map(|count| {
                let id = pick(&LOGITS, &seen, None, &sampling, count).token;
                seen[0] |= 1 << id;
                id
            })
            .collect()
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let hot = Sampling { temperature: 1.5, seed: 7, ..Default::default() };
        assert_eq!(picks(hot, 50), picks(hot, 50));
        assert_ne!(picks(hot, 50), picks(Sampling { seed: 8, ..hot }, 50));
        assert_ne!(picks(hot, 50), picks(Sampling { seed: 7 << 32, ..hot }, 50));
    }

    #[test]
    fn limits_keep_only_the_likely() {
        let hot = Sampling { temperature: 1.0, ..Default::default() };
        assert!(picks(Sampling { top_k: 1, ..hot }, 50).iter().all(|&id| id == 2));
        assert!(picks(Sampling { top_k: 2, ..hot }, 50).iter().all(|&id| id == 2 || id == 3));
        assert!(picks(Sampling { top_p: 0.01, ..hot }, 50).iter().all(|&id| id == 2));
        assert!((0..4).all(|id| picks(hot, 400).contains(&id)));
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let counts = picks(Sampling { temperature: 1.0, ..Default::default() }, 20_000);
        let weights = LOGITS.map(|l| f64::from(l).exp());
        for id in 0..5u32 {
            let share = counts.iter().filter(|&&c| c == id).count() as f64 / 20_000.0;
            // Four standard deviations of a share of 20,000 draws.
            assert!(
                (share - weights[id as usize] / weights.iter().sum::<f64>()).abs()
                    < 4.0 * (0.25f64 / 20_000.0).sqrt(),
                "{id}: {share}"
            );
        }
    }

    #[test]
    fn the_probability_is_the_models_whatever_was_drawn() {
        let sum: f32 = LOGITS.iter().map(|l| l.exp()).sum();
        let hot = Sampling { temperature: 1.5, top_k: 3, ..Default::default() };
        for sampling in [Sampling::default(), hot, Sampling { seed: 5, ..hot }] {
            let Picked { token, probability } = pick(&LOGITS, &[0], None, &sampling, 0);
            assert!((probability - LOGITS[token as usize].exp() / sum).abs() < 1e-6);
        }
    }

    #[test]
    fn a_mask_is_all_that_is_picked_from_and_probabilities_stay_the_models() {
        let sum: f32 = LOGITS.iter().map(|l| l.exp()).sum();
        let hot = Sampling { temperature: 2.0, ..Default::default() };
        let limited = Sampling { top_k: 2, ..hot };
        for sampling in [Sampling::default(), hot, limited, Sampling { top_p: 0.5, ..hot }] {
            let mut found = [false; 5];
            for count in 0..300 {
                let picked = pick(&LOGITS, &[0], Some(&[0b10011]), &sampling, count);
                found[picked.token as usize] = true;
                let likely = LOGITS[picked.token as usize].exp() / sum;
                assert!((picked.probability - likely).abs() < 1e-6, "{picked:?}");
            }
            let wanted = match sampling {
                s if s.temperature == 0.0 || s.top_p < 1.0 => [false, true, false, false, false],
                s if s.top_k == 2 => [true, true, false, false, false],
                _ => [true, true, false, false, true],
            };
            assert_eq!(found, wanted, "{sampling:?}");
        }
        // A mask of everything is none.
        for count in 0..50 {
            let all = pick(&LOGITS, &[1], Some(&[u32::MAX]), &hot, count);
            assert_eq!(all, pick(&LOGITS, &[1], None, &hot, count));
        }
    }

    #[test]
    fn the_likeliest_are_the_logarithms_of_the_softmax() {
        let sum: f64 = LOGITS.iter().map(|l| f64::from(*l).exp()).sum();
        let (own, top) = likeliest(&LOGITS, 4, 3);
        assert_eq!(top.iter().map(|l| l.token).collect::<Vec<_>>(), [2, 3, 1]);
        for Likely { token, logprob } in top.into_iter().chain([own]) {
            let wanted = (f64::from(LOGITS[token as usize]).exp() / sum).ln();
            assert!((f64::from(logprob) - wanted).abs() < 1e-6, "{token}");
        }
        assert_eq!(likeliest(&[1.0, 2.0, 2.0], 0, 9).1.len(), 3);
        assert_eq!(likeliest(&[1.0, 2.0, 2.0], 0, 1).1[0].token, 1);
        for logits in [&[][..], &[f32::NAN, 1.0], &[f32::NEG_INFINITY; 3]] {
            let (own, top) = likeliest(logits, 7, 2);
            assert!(own.logprob == f32::NEG_INFINITY && top.len() <= 2);
        }
    }

    #[test]
    fn a_penalty_moves_greedy_on() {
        let greedy = Sampling { repetition_penalty: 2.0, ..Default::default() };
        assert_eq!(picks(greedy, 3), [2, 3, 1]);
    }

    #[test]
    fn nothing_and_nan_do_not_panic() {
        let hot = Sampling { temperature: 1.0, top_p: 0.5, ..Default::default() };
        for logits in
            [&[][..], &[f32::NAN, f32::NAN], &[f32::INFINITY, 1.0], &[f32::NEG_INFINITY; 3]]
        {
            for sampling in [hot, Sampling::default()] {
                let Picked { token, probability } = pick(logits, &[0], None, &sampling, 0);
                assert!(token < 3 && (0.0..=1.0).contains(&probability));
            }
        }
    }
}
