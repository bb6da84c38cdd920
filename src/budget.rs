//! The one knob: m, how many of the M image tokens the language model reads.

use crate::defaults;
use crate::error::{Error, Result};

/// What the caller wants spent.
#[derive(Clone, Debug, PartialEq)]
pub enum Budget {
    /// The largest step of the ladder whose first token is predicted within
    /// `target_ms`.
    Auto {
        /// Milliseconds from the question to the first token.
        target_ms: f64,
    },
    /// Exactly this many image tokens.
    Fixed(u64),
}

impl Default for Budget {
    fn default() -> Self {
        Budget::Auto { target_ms: defaults::TARGET_MS }
    }
}

/// Who chose m.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The budget, from measured speeds.
    Auto,
    /// The caller.
    Fixed,
}

/// A chosen m.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Image tokens.
    pub m: usize,
    /// Who chose.
    pub mode: Mode,
    /// Why, as a sentence to show.
    pub reason: String,
}

/// Speeds of this model on this device, as measured so far.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Speed {
    /// Milliseconds to encode a picture (tower and resampler).
    #[serde(alias = "encodeMs")]
    pub encode_ms: Option<f64>,
    /// Milliseconds per prompt token.
    #[serde(alias = "prefillMsPerToken")]
    pub prefill_ms_per_token: Option<f64>,
    /// Milliseconds that reading a prompt takes beside that, however short it is.
    #[serde(default, alias = "prefillMs")]
    pub prefill_ms: f64,
    /// Milliseconds per generated token.
    #[serde(alias = "decodeMsPerToken")]
    pub decode_ms_per_token: Option<f64>,
}

/// New measurements weigh this much against old ones: machines warm up and throttle.
const NEW: f64 = 0.5;
/// A wait up to 10 % longer counts as the same.
const HARDLY_MORE: f64 = 1.1;
/// Fewer prompt tokens than this say more about fixed costs than about the rate.
const MIN_PREFILL: usize = 16;
/// At least this share of a prompt's time is its tokens'.
const LEAST: f64 = 0.1;

impl Speed {
    pub(crate) fn encoded(&mut self, ms: f64) {
        blend(&mut self.encode_ms, ms);
    }

    pub(crate) fn prefilled(&mut self, tokens: usize, ms: f64) {
        if tokens >= MIN_PREFILL {
            let rest = (ms - self.prefill_ms).max(ms * LEAST);
            blend(&mut self.prefill_ms_per_token, rest / tokens as f64);
        }
    }

    /// Two prompts, (tokens, milliseconds) each, read one right after the other: tells what a token
    /// costs from what every prompt costs.
    pub(crate) fn prefilled_both(&mut self, short: (usize, f64), long: (usize, f64)) {
        if long.0 > short.0 {
            let rate = ((long.1 - short.1) / (long.0 - short.0) as f64).max(0.0);
            self.prefill_ms = (short.1 - rate * short.0 as f64).clamp(0.0, long.1 * (1.0 - LEAST));
        }
        self.prefilled(long.0, long.1);
    }

    pub(crate) fn decoded(&mut self, tokens: usize, ms: f64) {
        if tokens > 0 {
            blend(&mut self.decode_ms_per_token, ms / tokens as f64);
        }
    }

    /// Milliseconds until the first token with `tokens` prompt tokens to compute, if measured.
    pub fn first_token_ms(&self, tokens: usize) -> Option<f64> {
        self.prefill_ms_per_token.map(|rate| self.prefill_ms + rate * tokens as f64)
    }
}

fn blend(old: &mut Option<f64>, new: f64) {
    *old = Some(old.map_or(new, |old| old * (1.0 - NEW) + new * NEW));
}

/// Which m a model offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// M.
    pub max: usize,
    /// The values there are, rising; empty: every one from 1 to M.
    pub exactly: Vec<usize>,
    /// What an automatic budget chooses from, rising.
    pub steps: Vec<usize>,
}

impl Offer {
    /// Every m from 1 to `max`.
    pub fn up_to(max: usize) -> Offer {
        Offer { max, exactly: Vec::new(), steps: ladder(max) }
    }

    /// Only these, rising. An automatic budget takes the last one unless the model is `elastic`.
    pub fn exactly(levels: Vec<usize>, elastic: bool) -> Offer {
        let max = levels.last().copied().unwrap_or(1);
        let steps = if elastic { levels.clone() } else { vec![max] };
        Offer { max, exactly: levels, steps }
    }

    /// The m worth comparing: the ladder, or all there are.
    pub fn ladder(&self) -> Vec<usize> {
        if self.exactly.is_empty() { ladder(self.max) } else { self.exactly.clone() }
    }
}

/// The steps a model with M = `max` offers: the ladder up to M, and M itself.
pub fn ladder(max: usize) -> Vec<usize> {
    let mut steps: Vec<usize> = defaults::LADDER.into_iter().filter(|&m| m < max).collect();
    steps.push(max);
    steps
}

/// Checks a caller's m.
///
/// # Errors
/// [`Error::BudgetOutOfRange`]; [`Error::BudgetNotOffered`] where only some values exist.
pub fn fixed(m: u64, offer: &Offer) -> Result<usize> {
    match usize::try_from(m) {
        Ok(m) if !(1..=offer.max).contains(&m) => {
            Err(Error::BudgetOutOfRange { m: m as u64, max: offer.max })
        }
        Ok(m) if !offer.exactly.is_empty() && !offer.exactly.contains(&m) => {
            Err(Error::BudgetNotOffered { m: m as u64, offered: offer.exactly.clone() })
        }
        Ok(m) => Ok(m),
        Err(_) => Err(Error::BudgetOutOfRange { m, max: offer.max }),
    }
}

/// Chooses m: `encode` the milliseconds already spent on this picture, `read` how many of its
/// tokens were read before, `question` the tokens after it, `free` the room the context leaves.
///
/// # Errors
/// As [`fixed`]. A fixed m that exceeds `free` is left to the context check.
pub fn choose(
    budget: &Budget,
    offer: &Offer,
    speed: &Speed,
    encode: f64,
    read: usize,
    question: usize,
    free: usize,
) -> Result<Choice> {
    let target_ms = match *budget {
        Budget::Fixed(m) => {
            return Ok(Choice {
                m: fixed(m, offer)?,
                mode: Mode::Fixed,
                reason: "asked for".into(),
            });
        }
        Budget::Auto { target_ms } => target_ms,
    };
    let (steps, max) = (&offer.steps, offer.max);
    if let [only] = steps[..] {
        return Ok(Choice {
            m: only,
            mode: Mode::Auto,
            reason: "the number this model was trained with".into(),
        });
    }
    let fits = |m: &&usize| **m <= free.max(steps[0]);
    if speed.prefill_ms_per_token.is_none() {
        let m = *steps.iter().filter(fits).rfind(|&&m| m <= 16).unwrap_or(&steps[0]);
        return Ok(Choice { m, mode: Mode::Auto, reason: "nothing measured yet".into() });
    }
    let predicted =
        |m: usize| encode + speed.first_token_ms(m.saturating_sub(read) + question).unwrap_or(0.0);
    // If even the smallest m misses the target, take every m that costs at most 10 % more.
    let limit = target_ms.max(predicted(steps[0]) * HARDLY_MORE);
    let m = *steps.iter().filter(fits).rfind(|&&m| predicted(m) <= limit).unwrap_or(&steps[0]);
    let seconds = |ms: f64| format!("{:.1} s", ms / 1e3);
    let reason = if predicted(m) > target_ms {
        let what =
            if m == steps[0] { "the least there is" } else { "fewer would hardly be faster" };
        format!("{what}: this device needs about {} to the first token", seconds(predicted(m)))
    } else if m == max {
        format!("all of them: the first token still comes within {}", seconds(target_ms))
    } else if m == *steps.iter().rfind(fits).unwrap_or(&steps[0]) {
        "as many as the context has room for".into()
    } else {
        format!("keeps the first token under {} here", seconds(target_ms))
    };
    Ok(Choice { m, mode: Mode::Auto, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(rate: f64, free: usize) -> usize {
        let speed = Speed { prefill_ms_per_token: Some(rate), ..Default::default() };
        choose(&Budget::default(), &Offer::up_to(256), &speed, 0.0, 0, 20, free).unwrap().m
    }

    #[test]
    fn faster_devices_get_more_tokens() {
        assert_eq!(
            [0.1, 7.0, 10.0, 30.0, 50.0, 1000.0].map(|rate| auto(rate, 2000)),
            [256, 256, 144, 36, 16, 4]
        );
        assert_eq!(auto(0.1, 100), 64);
        // Time spent on the tower counts: 1.5 of the 2 seconds are gone.
        let speed = Speed { prefill_ms_per_token: Some(10.0), ..Default::default() };
        assert_eq!(
            choose(&Budget::default(), &Offer::up_to(256), &speed, 1500.0, 0, 20, 2000).unwrap().m,
            16
        );
        // All of them are gone: fewer tokens would hardly be faster.
        let choice = choose(
            &Budget::default(),
            &Offer::up_to(256),
            &Speed { prefill_ms_per_token: Some(1.0), ..speed },
            3000.0,
            0,
            20,
            2000,
        )
        .unwrap();
        assert_eq!(
            (choice.m, choice.reason.starts_with("fewer would hardly be faster")),
            (256, true)
        );
    }

    #[test]
    fn what_was_read_before_does_not_count() {
        let speed = Speed { prefill_ms_per_token: Some(50.0), ..Default::default() };
        let m = |read| {
            choose(&Budget::default(), &Offer::up_to(256), &speed, 0.0, read, 20, 2000).unwrap().m
        };
        assert_eq!([0, 16, 64, 250].map(m), [16, 36, 64, 256]);
    }

    #[test]
    fn what_every_prompt_costs_is_told_from_what_a_token_costs() {
        let mut speed = Speed::default();
        speed.prefilled_both((4, 14.0), (34, 44.0));
        assert_eq!((speed.prefill_ms, speed.prefill_ms_per_token), (10.0, Some(1.0)));
        assert_eq!(speed.first_token_ms(100), Some(110.0));
        // Another prompt, half as fast: the new rate weighs as much as the old one.
        speed.prefilled(20, 50.0);
        assert_eq!(speed.prefill_ms_per_token, Some(1.5));
        // Nonsense of a busy machine, and prompts of the same length.
        for (short, long) in
            [((4, 90.0), (34, 44.0)), ((20, 5.0), (20, 5.0)), ((4, 0.0), (34, 0.0))]
        {
            let mut speed = Speed::default();
            speed.prefilled_both(short, long);
            let ms = speed.first_token_ms(long.0).unwrap();
            assert!((ms - long.1).abs() < 1e-9, "{speed:?}");
        }
    }

    #[test]
    fn the_ladder_ends_at_m() {
        assert_eq!(ladder(64), [2, 4, 8, 16, 36, 64]);
        assert_eq!(ladder(49), [2, 4, 8, 16, 36, 49]);
        assert_eq!(ladder(1), [1]);
    }

    #[test]
    fn a_fixed_budget_is_checked() {
        for m in [0, 257, u64::MAX] {
            assert!(fixed(m, &Offer::up_to(256)).is_err());
        }
        assert_eq!(fixed(1, &Offer::up_to(256)).unwrap(), 1);
    }

    #[test]
    fn some_models_offer_some_values() {
        let levels = vec![1, 9, 36, 144, 576];
        let (fixed_size, elastic) =
            (Offer::exactly(levels.clone(), false), Offer::exactly(levels, true));
        assert_eq!(fixed(36, &fixed_size).unwrap(), 36);
        assert!(fixed(37, &fixed_size).unwrap_err().to_string().contains("1, 9, 36, 144 or 576"));
        let speed = Speed { prefill_ms_per_token: Some(10.0), ..Default::default() };
        let auto = |offer| choose(&Budget::default(), offer, &speed, 0.0, 0, 20, 2000).unwrap().m;
        assert_eq!([auto(&fixed_size), auto(&elastic)], [576, 144]);
    }
}
