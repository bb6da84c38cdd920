//! Which token comes next: greedy, or drawn with temperature, top-k and top-p. A pure function of logits and a seed.

use crate::model::{Want, Wanted};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// Keep the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keep so many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Logits of tokens already seen are divided by this (multiplied where negative); 1 changes nothing.
    pub repetition_penalty: f32,
    /// The same seed gives the same answer.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        // 50 is what the reference's library keeps active whenever it samples; it has no effect on greedy decoding.
        Sampling { temperature: 0.0, top_p: 1.0, top_k: 50, repetition_penalty: 1.0, seed: 0 }
    }
}

/// Picks tokens one after another.
pub struct Sampler {
    sampling: Sampling,
    seen: Vec<u32>,
    state: u64,
}

impl Sampler {
    /// `seen` are the tokens of the prompt, for the repetition penalty.
    pub fn new(sampling: Sampling, seen: impl Iterator<Item = u32>) -> Sampler {
        let seen = if sampling.repetition_penalty == 1.0 { Vec::new() } else { seen.collect() };
        Sampler { sampling, seen, state: sampling.seed }
    }

    /// What the network has to hand over: for plain greedy decoding one id is enough.
    pub fn want(&self) -> Want {
        if self.sampling.temperature <= 0.0 && self.sampling.repetition_penalty == 1.0 { Want::Id } else { Want::Logits }
    }

    /// The next token.
    pub fn pick(&mut self, wanted: &Wanted) -> u32 {
        let id = match wanted {
            Wanted::Id(id) => *id,
            Wanted::Logits(logits) => self.pick_from(logits.clone()),
            Wanted::Nothing => unreachable!("the sampler asked for something"),
        };
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.push(id);
        }
        id
    }

    fn pick_from(&mut self, mut logits: Vec<f32>) -> u32 {
        let Sampling { temperature, top_p, top_k, repetition_penalty, .. } = self.sampling;
        self.seen.sort_unstable();
        self.seen.dedup();
        for &id in &self.seen {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit < 0.0 { *logit * repetition_penalty } else { *logit / repetition_penalty };
            }
        }
        if temperature <= 0.0 {
            return crate::kernels::argmax::reference(&logits);
        }
        // The reference's order: temperature, top-k, top-p. Ties go to the lower id, so a seed means the same everywhere.
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
        if top_k > 0 {
            order.truncate(top_k);
        }
        let top = logits[order[0] as usize];
        let mut weights: Vec<f64> = order.iter().map(|&id| f64::from((logits[id as usize] - top) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut reached = 0.0;
        let kept = weights
            .iter()
            .take_while(|&&w| {
                let keep = reached < f64::from(top_p) * total;
                reached += w;
                keep
            })
            .count()
            .max(1);
        weights.truncate(kept);
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (weight, &id) in weights.iter().zip(&order) {
            left -= weight;
            if left < 0.0 {
                return id;
            }
        }
        order[kept - 1]
    }

    /// SplitMix64, in [0, 1).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(sampling: Sampling, n: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, [0u32].into_iter());
        let logits = Wanted::Logits(vec![1.0, 2.0, 3.0, 2.5, -1.0]);
        (0..n).map(|_| sampler.pick(&logits)).collect()
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let hot = Sampling { temperature: 1.5, seed: 7, ..Default::default() };
        assert_eq!(picks(hot, 50), picks(hot, 50));
        assert_ne!(picks(hot, 50), picks(Sampling { seed: 8, ..hot }, 50));
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
        let share = counts.iter().filter(|&&id| id == 2).count() as f64 / 20_000.0;
        let weights = [1.0f64, 2.0, 3.0, 2.5, -1.0].map(f64::exp);
        // Four standard deviations of a share of 20,000 draws.
        assert!((share - weights[2] / weights.iter().sum::<f64>()).abs() < 4.0 * (0.25f64 / 20_000.0).sqrt());
    }

    #[test]
    fn a_penalty_moves_greedy_on() {
        let greedy = Sampling { repetition_penalty: 2.0, ..Default::default() };
        assert_eq!(picks(greedy, 3), [2, 3, 1]);
    }
}
