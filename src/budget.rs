//! The one knob: m, how many of the M image tokens the language model reads.

use crate::defaults;
use crate::error::{Error, Result};
use crate::image::tiles::Level;
use std::collections::BTreeSet;

/// What the caller wants spent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub enum Mode {
    /// The budget, from measured speeds.
    Auto,
    /// The caller.
    Fixed,
}

/// A chosen m.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    /// Image tokens, of each picture at most.
    pub m: usize,
    /// Who chose.
    pub mode: Mode,
    /// Why, as a sentence to show.
    pub reason: String,
}

/// Speeds of this model on this device, as measured so far.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
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

    /// A square took so long while the device had other work too: better than nothing.
    pub(crate) fn encoded_beside(&mut self, ms: f64) {
        self.encode_ms = self.encode_ms.or(Some(ms));
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
    #[doc(hidden)]
    pub fn square(tokens: usize) -> Step {
        Step { tokens, level: Level::Square, squares: 1 }
    }
}

/// Which m a model offers, for one picture or for any.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// The most image tokens.
    pub max: usize,
    /// The values that exist, in ascending order; empty: all up to those of the first level, then
    /// one for each further level.
    pub exactly: Vec<usize>,
    /// Whole levels, in ascending order of tokens. A smaller m than the first level's is some of
    /// its tokens.
    pub levels: Vec<Step>,
    /// What an automatic budget chooses from, in ascending order.
    pub steps: Vec<Step>,
}

impl Offer {
    /// Every m from 1 to `max`.
    #[doc(hidden)]
    pub fn up_to(max: usize) -> Offer {
        let steps = ladder(max).into_iter().map(Step::square).collect();
        Offer { max, exactly: Vec::new(), levels: vec![Step::square(max)], steps }
    }

    /// Only these, rising. An automatic budget takes the last one unless the model is `elastic`.
    #[doc(hidden)]
    pub fn exactly(values: Vec<usize>, elastic: bool) -> Offer {
        let max = values.last().copied().unwrap_or(1);
        let steps = if elastic { values.clone() } else { vec![max] };
        let steps = steps.into_iter().map(Step::square).collect();
        Offer { max, exactly: values, levels: vec![Step::square(max)], steps }
    }

    /// Levels of tiling, and `thinned` numbers of tokens of the first one; an automatic budget
    /// takes no level before `least`.
    #[doc(hidden)]
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

    /// What pictures with these offers have in common: m counts for each of them, and means "at
    /// most" where the numbers that they offer differ.
    #[doc(hidden)]
    pub fn of_all(offers: impl IntoIterator<Item = Offer>) -> Option<Offer> {
        let mut offers = offers.into_iter();
        let mut all = offers.next()?;
        let first = |offer: &Offer| offer.steps.first().map_or(1, |step| step.tokens);
        let mut least = first(&all);
        for offer in offers {
            least = least.max(first(&offer));
            all.max = all.max.max(offer.max);
            all.levels.extend(offer.levels);
            all.steps.extend(offer.steps);
        }
        // A step that one of the pictures does not reach is none that all of them can take.
        all.steps.retain(|step| step.tokens >= least);
        for steps in [&mut all.levels, &mut all.steps] {
            steps.sort_by_key(|step| (step.tokens, step.squares));
            steps.dedup_by_key(|step| step.tokens);
        }
        Some(all)
    }

    /// The m worth comparing, in ascending order.
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

/// The step for a caller's m: the largest one that does not exceed it.
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

/// What a question costs with a given number of image tokens of each picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Squares that the tower has yet to encode.
    pub squares: usize,
    /// Tokens of the prompt that stand for the pictures, those around their squares included.
    pub pictures: usize,
    /// Tokens of the whole prompt.
    pub length: usize,
    /// Of those, how many are yet to be read.
    pub unread: usize,
}

/// What a choice depends on besides what the caller wants.
pub(crate) struct Situation<'a> {
    /// Which m there are.
    pub offer: &'a Offer,
    /// What was measured.
    pub speed: &'a Speed,
    /// Milliseconds already spent on the pictures.
    pub spent: f64,
    /// Tokens that there can be room for.
    pub room: usize,
    /// Pictures that m applies to.
    pub pictures: usize,
    /// What an m costs.
    pub cost: &'a dyn Fn(usize) -> Cost,
}

impl Situation<'_> {
    /// Milliseconds to the first token; `None` where a speed was not measured.
    pub(crate) fn first_token_ms(&self, cost: &Cost) -> Option<f64> {
        let tower = match cost.squares {
            0 => 0.0,
            n => self.speed.encode_ms? * n as f64,
        };
        Some(self.spent + tower + self.speed.first_token_ms(cost.unread)?)
    }
}

/// Chooses m.
///
/// # Errors
/// As [`fixed`]. A fixed m that exceeds the room is left to the context check.
pub(crate) fn choose(budget: &Budget, situation: &Situation) -> Result<Choice> {
    match *budget {
        Budget::Fixed(m) => {
            let tokens = fixed(m, situation.offer)?.tokens;
            let what =
                if situation.pictures > 1 { "these pictures give" } else { "this picture gives" };
            let reason = if tokens as u64 == m {
                "asked for".into()
            } else {
                format!("the most {what} up to the {m} asked for")
            };
            Ok(Choice { m: tokens, mode: Mode::Fixed, reason })
        }
        Budget::Auto { target_ms } => {
            let (m, reason) = automatic(target_ms, situation);
            let reason = match situation.pictures {
                0 | 1 => reason,
                n => format!("{reason}; the same for each of {n} pictures"),
            };
            Ok(Choice { m, mode: Mode::Auto, reason })
        }
    }
}

/// The automatic m, and why.
fn automatic(target_ms: f64, situation: &Situation) -> (usize, String) {
    let steps: Vec<(usize, Cost)> = situation
        .offer
        .steps
        .iter()
        .map(|step| (step.tokens, (situation.cost)(step.tokens)))
        .collect();
    let [(least, cheapest), .., (most, _)] = steps[..] else {
        let only = steps.first().map_or(situation.offer.max, |(m, _)| *m);
        return (only, "the number this model was trained with".into());
    };
    // One token at least is answered.
    let fits = |(m, cost): &&(usize, Cost)| *m == least || cost.length < situation.room;
    let Some(soonest) = situation.first_token_ms(&cheapest) else {
        let cautious = |(m, cost): &&(usize, Cost)| *m <= 16 && cost.squares == cheapest.squares;
        let m = steps.iter().filter(fits).rfind(cautious).map_or(least, |(m, _)| *m);
        return (m, "nothing measured yet".into());
    };
    let predicted = |cost: &Cost| situation.first_token_ms(cost).unwrap_or(f64::INFINITY);
    // If even the smallest m misses the target, take every m that costs at most 10 % more.
    let limit = target_ms.max(soonest * HARDLY_MORE);
    let within = steps.iter().filter(fits).rfind(|(_, cost)| predicted(cost) <= limit);
    let (m, cost) = *within.unwrap_or(&steps[0]);
    let seconds = |ms: f64| match ms {
        ..99.5 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1e3),
    };
    let reason = if predicted(&cost) > target_ms {
        let what = if m == least { "the least there is" } else { "fewer would hardly be faster" };
        format!("{what}: this device needs about {} to the first token", seconds(predicted(&cost)))
    } else if m == most && m < situation.offer.max {
        // Of the frames of a clip, automatic budgets take few.
        let target = seconds(target_ms);
        format!("as many as are taken here: the first token comes within the target of {target}")
    } else if m == most {
        format!(
            "all of them: the first token still comes within the target of {}",
            seconds(target_ms)
        )
    } else if Some(m) == steps.iter().rfind(fits).map(|(m, _)| *m) {
        "as many as the context has room for".into()
    } else {
        format!("keeps the first token within the target of {} here", seconds(target_ms))
    };
    (m, reason)
}

#[cfg(test)]
mod tests;
