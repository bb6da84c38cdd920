//! The one knob: m, how many of the M image tokens the language model reads.

use crate::defaults;
use crate::error::{Error, Result};
use crate::image::tiles::Level;
use std::collections::BTreeSet;

/// What the caller wants spent.
#[derive(Clone, Debug, PartialEq)]
pub enum Budget {
    /// The largest step of the ladder whose first token is predicted within
    /// `target_ms`.
    Auto {
        /// Milliseconds from the question to the first token.
        target_ms: f64,
    },
    /// This many image tokens; where the picture decides which numbers there are, at most so many.
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
    /// How the picture is cut for them.
    pub level: Level,
    /// Who chose.
    pub mode: Mode,
    /// Why, as a sentence to show.
    pub reason: String,
}

/// Speeds of this model on this device, as measured so far.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Speed {
    /// Milliseconds to encode one square of a picture (tower and connector).
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

/// One choice of m: how many image tokens, and how the picture is cut for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// m.
    pub tokens: usize,
    /// How the picture is cut.
    pub level: Level,
    /// Squares of the picture at this level: runs of the tower.
    pub squares: usize,
}

impl Step {
    /// So many tokens of one square.
    pub fn square(tokens: usize) -> Step {
        Step { tokens, level: Level::Square, squares: 1 }
    }
}

/// Which m a model offers, for one picture or for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The most image tokens.
    pub max: usize,
    /// The values there are, rising; empty: every one up to the first level's, then the levels'.
    pub exactly: Vec<usize>,
    /// Whole levels, rising in tokens. Fewer than the first one's are some of its tokens.
    pub levels: Vec<Step>,
    /// What an automatic budget chooses from, rising.
    pub steps: Vec<Step>,
}

impl Offer {
    /// Every m from 1 to `max`.
    pub fn up_to(max: usize) -> Offer {
        let steps = ladder(max).into_iter().map(Step::square).collect();
        Offer { max, exactly: Vec::new(), levels: vec![Step::square(max)], steps }
    }

    /// Only these, rising. An automatic budget takes the last one unless the model is `elastic`.
    pub fn exactly(values: Vec<usize>, elastic: bool) -> Offer {
        let max = values.last().copied().unwrap_or(1);
        let steps = if elastic { values.clone() } else { vec![max] };
        let steps = steps.into_iter().map(Step::square).collect();
        Offer { max, exactly: values, levels: vec![Step::square(max)], steps }
    }

    /// Levels of tiling, and `thinned` numbers of tokens of the first one; an automatic budget
    /// takes no level before `least`.
    pub fn tiled(mut levels: Vec<Step>, thinned: &[usize], least: Level) -> Offer {
        levels.sort_by_key(|step| (step.tokens, step.squares));
        // A level that gives as many tokens for more squares is of no use.
        levels.dedup_by_key(|step| step.tokens);
        let first = levels.first().copied().unwrap_or(Step::square(1));
        let from = levels.iter().position(|step| step.level == least).unwrap_or(0);
        let thinned = thinned.iter().filter(|&&m| from == 0 && m < first.tokens);
        let thinned = thinned.map(|&tokens| Step { tokens, ..first });
        let steps = thinned.chain(levels[from..].iter().copied()).collect();
        let max = levels.last().unwrap_or(&first).tokens;
        Offer { max, exactly: Vec::new(), levels, steps }
    }

    /// The m worth comparing, rising.
    pub fn ladder(&self) -> Vec<usize> {
        if !self.exactly.is_empty() {
            return self.exactly.clone();
        }
        let steps = self.steps.iter().chain(&self.levels);
        steps.map(|step| step.tokens).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The steps a model with M = `max` offers: the ladder up to M, and M itself.
pub fn ladder(max: usize) -> Vec<usize> {
    let mut steps: Vec<usize> = defaults::LADDER.into_iter().filter(|&m| m < max).collect();
    steps.push(max);
    steps
}

/// The step of a caller's m: the largest there is up to m.
///
/// # Errors
/// [`Error::BudgetOutOfRange`]; [`Error::BudgetNotOffered`] where only some values exist.
pub fn fixed(m: u64, offer: &Offer) -> Result<Step> {
    let out = Error::BudgetOutOfRange { m, max: offer.max };
    let Some(m) = usize::try_from(m).ok().filter(|m| (1..=offer.max).contains(m)) else {
        return Err(out);
    };
    if !offer.exactly.is_empty() && !offer.exactly.contains(&m) {
        return Err(Error::BudgetNotOffered { m: m as u64, offered: offer.exactly.clone() });
    }
    Ok(at_most(m, offer))
}

/// The largest step of up to `m` tokens.
pub fn at_most(m: usize, offer: &Offer) -> Step {
    let first = offer.levels.first().copied().unwrap_or(Step::square(1));
    let whole = offer.levels.iter().rfind(|step| step.tokens <= m);
    whole.copied().unwrap_or(Step { tokens: m.max(1), ..first })
}

/// What a choice depends on besides what the caller wants.
pub struct Situation<'a> {
    /// Which m there are.
    pub offer: &'a Offer,
    /// What was measured.
    pub speed: &'a Speed,
    /// Milliseconds already spent on this picture.
    pub spent: f64,
    /// Tokens of the prompt to compute besides the image tokens.
    pub question: usize,
    /// Tokens that the context has room for.
    pub free: usize,
    /// Levels that are encoded already.
    pub encoded: &'a [Level],
    /// How many of a step's image tokens were read before.
    pub read: &'a dyn Fn(&Step) -> usize,
}

impl Situation<'_> {
    /// Squares that the tower has yet to encode for this step.
    fn squares(&self, step: &Step) -> usize {
        if self.encoded.contains(&step.level) { 0 } else { step.squares }
    }

    /// Milliseconds to the first token; `None` where a speed was not measured.
    pub fn first_token_ms(&self, step: &Step) -> Option<f64> {
        let tower = match self.squares(step) {
            0 => 0.0,
            n => self.speed.encode_ms? * n as f64,
        };
        let unread = step.tokens.saturating_sub((self.read)(step)) + self.question;
        Some(self.spent + tower + self.speed.first_token_ms(unread)?)
    }
}

/// Chooses m.
///
/// # Errors
/// As [`fixed`]. A fixed m that exceeds the room is left to the context check.
pub fn choose(budget: &Budget, situation: &Situation) -> Result<Choice> {
    let Situation { offer, free, .. } = *situation;
    let target_ms = match *budget {
        Budget::Fixed(m) => {
            let Step { tokens, level, .. } = fixed(m, offer)?;
            let reason = if tokens as u64 == m {
                "asked for".into()
            } else {
                format!("the most this picture gives up to the {m} asked for")
            };
            return Ok(Choice { m: tokens, level, mode: Mode::Fixed, reason });
        }
        Budget::Auto { target_ms } => target_ms,
    };
    let chosen = |step: &Step, reason: String| {
        let Step { tokens, level, .. } = *step;
        Ok(Choice { m: tokens, level, mode: Mode::Auto, reason })
    };
    let steps = &offer.steps;
    if let [only] = &steps[..] {
        return chosen(only, "the number this model was trained with".into());
    }
    let (least, most) = (&steps[0], &steps[steps.len() - 1]);
    let fits = |step: &&Step| step.tokens <= free.max(least.tokens);
    let Some(soonest) = situation.first_token_ms(least) else {
        let cautious = |step: &&Step| step.tokens <= 16 && step.squares == least.squares;
        let step = steps.iter().filter(fits).rfind(cautious).unwrap_or(least);
        return chosen(step, "nothing measured yet".into());
    };
    let predicted = |step: &Step| situation.first_token_ms(step).unwrap_or(f64::INFINITY);
    // If even the smallest m misses the target, take every m that costs at most 10 % more.
    let limit = target_ms.max(soonest * HARDLY_MORE);
    let step = steps.iter().filter(fits).rfind(|step| predicted(step) <= limit).unwrap_or(least);
    let seconds = |ms: f64| format!("{:.1} s", ms / 1e3);
    let reason = if predicted(step) > target_ms {
        let what =
            if step == least { "the least there is" } else { "fewer would hardly be faster" };
        format!("{what}: this device needs about {} to the first token", seconds(predicted(step)))
    } else if step == most {
        format!("all of them: the first token still comes within {}", seconds(target_ms))
    } else if Some(step) == steps.iter().rfind(fits) {
        "as many as the context has room for".into()
    } else {
        format!("keeps the first token under {} here", seconds(target_ms))
    };
    chosen(step, reason)
}

#[cfg(test)]
mod tests;
