//! Before the first question: kernels compile, and how fast the device reads is measured.

use super::{Session, ms};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::model::{Slot, Want};
use crate::sample::Sampling;
use web_time::Instant;

/// Tokens of the short prompt: enough for the kernels that long ones use.
const SHORT: usize = 6;
/// Tokens of the long prompt at least, where there is room.
const LONG: usize = 32;
/// Runs of one prompt at most, and milliseconds after which there is no further one.
const RUNS: usize = 5;
const QUICK_MS: f64 = 20.0;

impl Session {
    /// Runs every kernel once on the system prompt, so that the first question waits for no
    /// compiler; then measures how long a short and a long prompt take.
    pub(super) async fn warm_up(&mut self, cancel: &Cancel) -> Result<()> {
        let opening = self.prefix.len();
        // Some templates open with a word or two, which tell nothing about speed.
        let long = LONG.max(opening).min(self.cache.capacity().saturating_sub(2)).max(opening);
        // A template may even open with the picture.
        let words = if opening == 0 { &[0][..] } else { &self.prefix };
        let slots: Vec<Slot> = words.iter().cycle().take(long).map(|&id| Slot::Token(id)).collect();
        let short = &slots[..SHORT.min(slots.len())];
        if self.model.gpu().is_some() {
            self.compile(&slots, cancel).await?;
        }
        // The first run may compile, or start threads.
        self.timed(short, cancel).await?;
        let short_ms = self.usual(short, cancel).await?;
        let long_ms = self.usual(&slots, cancel).await?;
        self.speed.prefilled_both((short.len(), short_ms), (slots.len(), long_ms));
        self.cache.rewind(opening);
        self.cached = slots[..opening].to_vec();
        Ok(())
    }

    /// Reads a prompt and generates two tokens, which every kernel has its part in.
    async fn compile(&mut self, slots: &[Slot], cancel: &Cancel) -> Result<()> {
        self.model.begin(&mut self.cache, slots.len(), 2, &Sampling::default(), &[], &[]);
        self.model.extend(&mut self.cache, slots, &[], Want::Pick, cancel).await?;
        let mut generation = self.model.generation(&mut self.cache);
        for _ in 0..2 {
            generation.next(cancel).await?;
        }
        generation.finish(0);
        Ok(())
    }

    /// The median of some runs, where they are quick: what a question will meet, and not the best
    /// that a machine with other programs is capable of.
    async fn usual(&mut self, slots: &[Slot], cancel: &Cancel) -> Result<f64> {
        let start = Instant::now();
        let mut runs = Vec::with_capacity(RUNS);
        while runs.len() < RUNS && ms(start) <= QUICK_MS {
            runs.push(self.timed(slots, cancel).await?);
        }
        runs.sort_by(f64::total_cmp);
        Ok(runs[runs.len() / 2])
    }

    /// Milliseconds to read these slots from the start and pick a token; they are then all that
    /// the cache holds.
    async fn timed(&mut self, slots: &[Slot], cancel: &Cancel) -> Result<f64> {
        self.cache.rewind(0);
        let start = Instant::now();
        self.model.begin(&mut self.cache, slots.len(), 1, &Sampling::default(), &[], &[]);
        self.model.extend(&mut self.cache, slots, &[], Want::Pick, cancel).await?;
        self.model.picked(&mut self.cache).await?;
        Ok(ms(start))
    }
}
