//! What it costs to let the question choose the image tokens (SparseVLM), compared with the order
//! that is made once per picture.

use super::time::Samples;
use super::{Bench, Plan, QUESTION, facts};
use crate::error::{Error, Result};
use crate::model::{Cache, ImageTokens, Model, PictureTag, Slot, Want};
use crate::select::{Select, question};
use serde::Serialize;
use web_time::Instant;

/// The wait for the first token, once the picture is encoded, milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ChosenByQuestion {
    /// m.
    pub image_tokens: usize,
    /// The question chooses: every question reads the picture anew.
    pub question_ms: f64,
    /// The first m of the order, for the first question about a picture.
    pub spread_ms: f64,
    /// The same for a later question, which finds the picture read.
    pub spread_again_ms: f64,
    /// All image tokens, for the first question.
    pub all_ms: f64,
}

impl Bench<'_> {
    /// A row for each m there is a schedule for, if the plan asks for it.
    pub(super) async fn chosen(&mut self, cache: &mut Cache) -> Result<Vec<ChosenByQuestion>> {
        if !self.plan.question {
            return Ok(Vec::new());
        }
        let (all, need) = (self.model.config().offer().max, room(self.model));
        let system = need - all - QUESTION;
        if need > cache.capacity() {
            return Err(Error::ContextFull { need, have: cache.capacity() });
        }
        self.say("image tokens of a picture")?;
        let pixels = facts::sample_picture(self.model);
        let (tokens, _) = self.model.look_once(&pixels, &self.plan.cancel).await?;
        let mut rows = Vec::new();
        for m in question::BUDGETS {
            self.say(&format!("{m} image tokens chosen by the question"))?;
            self.fill(cache, system).await?;
            let mut times: [Samples; 4] = Default::default();
            // In turn, so that all see the same machine; the first round is not counted.
            for round in 0.. {
                let took = [
                    self.first(cache, system, all, Some(m), &tokens).await?,
                    self.first(cache, system, m, None, &tokens).await?,
                    self.extend(cache, system + m, QUESTION).await?,
                    self.first(cache, system, all, None, &tokens).await?,
                ];
                if round > 0 || took[0] >= SLOW {
                    times.iter_mut().zip(took).for_each(|(samples, s)| samples.push(s));
                }
                if times.iter().all(|samples| self.enough(samples)) {
                    break;
                }
            }
            let [question_ms, spread_ms, spread_again_ms, all_ms] =
                times.map(|samples| samples.median() * 1e3);
            rows.push(ChosenByQuestion {
                image_tokens: m,
                question_ms,
                spread_ms,
                spread_again_ms,
                all_ms,
            });
        }
        Ok(rows)
    }

    /// Seconds to the first token behind `n` image tokens and a question.
    async fn first(
        &mut self,
        cache: &mut Cache,
        system: usize,
        n: usize,
        chosen: Option<usize>,
        tokens: &ImageTokens,
    ) -> Result<f64> {
        const PICTURE: PictureTag = [0; 16];
        let visual = |index| Slot::Visual { picture: PICTURE, index };
        let mut slots: Vec<Slot> = (0..n as u32).map(visual).collect();
        slots.extend(facts::slots(self.model, system + n, QUESTION));
        let (visuals, cancel) = (&[(PICTURE, tokens)], &self.plan.cancel);
        cache.rewind(system);
        let start = Instant::now();
        self.model.begin(cache, system + slots.len(), 1, &Default::default(), &[], &[]);
        match chosen {
            Some(m) => {
                let want = (m, Want::Pick);
                self.model.extend_chosen(cache, &slots, visuals, want, cancel).await?;
            }
            None => drop(self.model.extend(cache, &slots, visuals, Want::Pick, cancel).await?),
        }
        self.model.picked(cache).await?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// Refuses a plan that asks for it where the model cannot.
pub(super) fn check(model: &Model, plan: &Plan) -> Result<()> {
    model.config().checked_select(plan.question.then_some(Select::Question)).map(drop)
}

/// Tokens of a prompt with all image tokens.
pub(super) fn room(model: &Model) -> usize {
    let system = model.template().prefix_ids(model.tokenizer()).len();
    system + model.config().offer().max + QUESTION
}

/// Seconds of a run that what comes first does not change any more.
const SLOW: f64 = 2.0;
