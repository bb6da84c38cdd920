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
    pub fn is_plain_greedy(&self) -> bool {
        self.temperature <= 0.0 && self.repetition_penalty == 1.0
    }
}

/// A token that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picked {
    /// Its id.
    pub token: u32,
    /// How likely the model held it among all tokens, 0 to 1: after the penalty, before
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

/// The `count`th token of a generation, from logits \[vocab\]; `seen` has one bit per token that
/// the penalty falls on.
pub fn pick(logits: &[f32], seen: &[u32], sampling: &Sampling, count: u32) -> Picked {
    let value = |i: usize| {
        let (logit, penalty) = (logits[i], sampling.repetition_penalty);
        match seen.get(i / 32).is_some_and(|word| word >> (i % 32) & 1 == 1) {
            true if logit < 0.0 => logit * penalty,
            true => logit / penalty,
            false => logit,
        }
    };
    let values: Vec<f32> = if sampling.is_plain_greedy() {
        logits.to_vec()
    } else {
        (0..logits.len()).map(value).collect()
    };
    let best = largest(values.iter().copied().enumerate());
    let token =
        if sampling.temperature <= 0.0 { best } else { draw(&values, best, sampling, count) };
    let value = |token: u32| values.get(token as usize).copied().unwrap_or(f32::NAN);
    // In f64: a sum of this many terms would lose its last digits in f32.
    let all: f64 = values.iter().map(|v| f64::from((v - value(best)).exp())).sum();
    Picked::new(token, (f64::from((value(token) - value(best)).exp()) / all) as f32)
}

/// One of `values` by Gumbel noise, after the limits; `best` is the largest.
fn draw(values: &[f32], best: u32, sampling: &Sampling, count: u32) -> u32 {
    let (top, heat) =
        (values.get(best as usize).copied().unwrap_or(0.0), sampling.temperature.max(1e-6));
    // The reference's order: temperature, top-k, top-p.
    let mut sorted = values.to_vec();
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
                let id = pick(&LOGITS, &seen, &sampling, count).token;
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
            let Picked { token, probability } = pick(&LOGITS, &[0], &sampling, 0);
            assert!((probability - LOGITS[token as usize].exp() / sum).abs() < 1e-6);
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
                let Picked { token, probability } = pick(logits, &[0], &sampling, 0);
                assert!(token < 3 && (0.0..=1.0).contains(&probability));
            }
        }
    }
}
