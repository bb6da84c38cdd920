//! Generation: tokens one after another, on either back end.
//!
//! On the GPU two batches of steps are always under way, so that neither the device nor the host
//! waits for the other. A batch has as many steps as fit into half of [`AHEAD_MS`]; when an answer
//! ends, rewinding the cache discards the steps that ran ahead.
//!
//! Steps go one by one where a constraint needs the picked token to say what may follow, and where
//! logits are wanted.

use super::{Cache, Kv, Model, Slot, Want, Wanted};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::gpu::Letter;
use crate::grammar::Constraint;
use crate::kernels::state::State;
use crate::sample::Picked;
use std::collections::VecDeque;
use web_time::Instant;

/// Milliseconds of work that may be under way: what Stop has to wait for.
const AHEAD_MS: f64 = 50.0;
/// Steps of a batch at most: two batches and the ring's 64 tokens leave room.
const BATCH: usize = 16;

/// An answer being generated. Begin with [`Model::begin`], prefill with [`Want::Pick`], then take
/// tokens with [`Generation::next`].
pub struct Generation<'a> {
    model: &'a Model,
    cache: &'a mut Cache,
    /// Positions of the prompt.
    prompt: usize,
    limit: usize,
    /// Tokens handed out.
    taken: usize,
    ahead: Ahead,
    constraint: Option<Box<dyn Constraint>>,
    /// What the last token was picked from; `None` unless that is wanted.
    logits: Option<Vec<f32>>,
}

/// Steps under way; empty where tokens are computed one by one.
#[derive(Default)]
struct Ahead {
    letters: VecDeque<(Letter, usize)>,
    /// Steps submitted: each picks the token after the one it reads.
    submitted: usize,
    /// Tokens known.
    known: Vec<Picked>,
    ended: bool,
    /// Milliseconds per step, as measured on this answer.
    step_ms: f64,
    last: Option<Instant>,
}

impl<'a> Generation<'a> {
    pub(super) fn new(model: &'a Model, cache: &'a mut Cache) -> Generation<'a> {
        let (prompt, limit) = (cache.len, cache.limit);
        let ahead = Ahead { known: Vec::with_capacity(limit), ..Ahead::default() };
        let (constraint, logits) = (None, None);
        Generation { model, cache, prompt, limit, taken: 0, ahead, constraint, logits }
    }

    /// The same within a constraint, which [`Model::restrict`] has had before the prompt was
    /// computed.
    #[must_use]
    pub fn within(self, constraint: Option<Box<dyn Constraint>>) -> Generation<'a> {
        Generation { constraint, ..self }
    }

    /// The same, with the logits of each token: those of the first, as [`Model::extend`] has handed
    /// them back after [`Model::show_logits`].
    #[must_use]
    pub fn showing(self, first: Wanted) -> Generation<'a> {
        let logits = if let Wanted::Logits(logits) = first { Some(logits) } else { None };
        Generation { logits, ..self }
    }

    /// What the last token was picked from, \[vocab\], if [`Generation::showing`] asked for it.
    pub fn logits(&self) -> Option<&[f32]> {
        self.logits.as_deref()
    }

    /// The next token, an end token included; `None` at the context limit or after `limit` tokens.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`], the constraint's, or the device's failures. What was handed out
    /// stays good.
    pub async fn next(&mut self, cancel: &Cancel) -> Result<Option<Picked>> {
        cancel.check()?;
        if let (Some(constraint), Some(last)) = (&mut self.constraint, self.ahead.known.last()) {
            constraint.take(last.token)?;
            if constraint.is_complete() {
                // Nothing else can follow: no need to ask the model.
                let end = self.model.config.end_ids.first().copied();
                return Ok(end.map(|token| Picked::new(token, 1.0)));
            }
        }
        if self.taken >= self.limit {
            return Ok(None);
        }
        if let (Some(constraint), true) = (&mut self.constraint, self.taken > 0) {
            self.model.restrict(self.cache, &mut **constraint)?;
        }
        let picked = if self.cache.runs_ahead() {
            if self.constraint.is_some() || self.logits.is_some() {
                Some(self.next_step().await?)
            } else {
                self.next_ahead().await?
            }
        } else {
            Some(self.next_alone(cancel).await?)
        };
        self.taken += usize::from(picked.is_some());
        Ok(picked)
    }

    /// Computes the keys of the last token, picks the next, and waits for it.
    async fn next_alone(&mut self, cancel: &Cancel) -> Result<Picked> {
        if self.taken > 0 {
            let last = self.ahead.known[self.taken - 1].token;
            let slot = [Slot::Token(last)];
            let wanted = self.model.extend(self.cache, &slot, &[], Want::Pick, cancel).await?;
            if let (Some(logits), Wanted::Logits(new)) = (&mut self.logits, wanted) {
                *logits = new;
            }
        }
        let picked = self.model.picked(self.cache).await?;
        self.ahead.known.push(picked);
        Ok(picked)
    }

    /// One step, and its result.
    async fn next_step(&mut self) -> Result<Picked> {
        let steps = usize::from(self.taken > 0);
        let letter = self.model.run_steps(self.cache, steps).expect("only a GPU runs ahead");
        let gpu = self.model.gpu().expect("only a GPU runs ahead");
        let state = State::read(&gpu.open_letter(letter).await?);
        self.ahead.submitted += steps;
        if self.taken > 0
            && let Some(logits) = &mut self.logits
        {
            *logits = self.model.step_logits(self.cache).await?;
        }
        let picked = state.picked(self.taken);
        self.ahead.known.push(picked);
        Ok(picked)
    }

    async fn next_ahead(&mut self) -> Result<Option<Picked>> {
        while self.taken == self.ahead.known.len() && !self.ahead.ended {
            self.run_ahead();
            let Some((letter, steps)) = self.ahead.letters.pop_front() else { break };
            let gpu = self.model.gpu().expect("only a GPU runs ahead");
            let state = State::read(&gpu.open_letter(letter).await?);
            let now = Instant::now();
            if let Some(last) = self.ahead.last.replace(now).filter(|_| steps > 0) {
                let ms = (now - last).as_secs_f64() * 1e3 / steps as f64;
                self.ahead.step_ms = if self.ahead.step_ms == 0.0 {
                    ms
                } else {
                    f64::midpoint(self.ahead.step_ms, ms)
                };
            }
            let known = self.ahead.known.len();
            self.ahead.known.extend((known..state.count as usize).map(|i| state.picked(i)));
            self.ahead.ended = state.done != 0;
        }
        Ok(self.ahead.known.get(self.taken).copied())
    }

    /// Submits until two batches are under way. The first letter only brings the token that the
    /// prefill picked.
    fn run_ahead(&mut self) {
        while self.ahead.letters.len() < 2 {
            let first = self.ahead.submitted == 0
                && self.ahead.known.is_empty()
                && self.ahead.letters.is_empty();
            let left = self.limit.saturating_sub(1 + self.ahead.submitted);
            let fits = if self.ahead.step_ms > 0.0 {
                (AHEAD_MS / 2.0 / self.ahead.step_ms) as usize
            } else {
                1
            };
            let steps = if first { 0 } else { fits.clamp(1, BATCH).min(left) };
            if !first && steps == 0 {
                return;
            }
            let Some(letter) = self.model.run_steps(self.cache, steps) else { return };
            self.ahead.letters.push_back((letter, steps));
            self.ahead.submitted += steps;
        }
    }

    /// Ends the generation: the cache keeps the prompt and, of the first `kept` tokens, those whose
    /// keys are computed; how many.
    pub fn finish(self, kept: usize) -> usize {
        if !self.cache.runs_ahead() {
            return self.cache.len() - self.prompt;
        }
        let computed = kept.min(self.ahead.submitted);
        self.cache.len = self.prompt + computed;
        computed
    }
}

impl Cache {
    /// Whether steps run ahead of their results.
    fn runs_ahead(&self) -> bool {
        // A tape knows one position for all layers.
        self.removed.is_empty() && matches!(&self.kv, Kv::Gpu(kv) if kv.decoder.is_some())
    }
}
