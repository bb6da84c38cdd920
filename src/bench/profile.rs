//! Where the device's time goes, by its own clock: per kernel, and between submissions.

use super::{Bench, Cache, Result, sample_picture};
use crate::gpu::{Gpu, PASSES, Timed, Watch};
use serde::Serialize;
use std::collections::BTreeMap;

/// One stage of a request with every dispatch timed alone, which is slower than the undisturbed
/// run.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// What ran.
    pub stage: String,
    /// Milliseconds of all kernels together.
    pub ms: f64,
    /// The kernels, those that take longest first.
    pub kernels: Vec<KernelTime>,
}

/// All dispatches of one variant in a stage.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    /// The kernel and the constants that make the variant.
    pub kernel: String,
    /// Dispatches.
    pub count: usize,
    /// Milliseconds of all of them.
    pub ms: f64,
    /// Of the stage's time.
    pub share: f64,
}

/// Tokens of the profiled prompt.
const PROMPT: usize = 64;

impl Bench<'_> {
    /// Share of the time between the first and the last step of a generation that the device spent
    /// in none.
    pub(super) async fn idle(
        &mut self,
        cache: &mut Cache,
        context: usize,
        tokens: usize,
    ) -> Result<Option<f64>> {
        let Some(gpu) = self.model.gpu() else { return Ok(None) };
        self.begin(cache, context, tokens + 1).await?;
        gpu.idle().await?;
        if !gpu.watch(Watch::Passes) {
            return Ok(None);
        }
        self.finish(cache).await?;
        Ok(idle_of(&gpu.watched().await?))
    }

    /// Every stage with the clock around each dispatch.
    pub(super) async fn profile(&mut self, cache: &mut Cache) -> Result<Vec<Stage>> {
        let Some(gpu) = self.model.gpu().filter(|gpu| self.plan.profile && gpu.has_timestamps())
        else {
            return Ok(Vec::new());
        };
        let mut stages = Vec::new();
        if self.plan.vision {
            self.say("profile of the tower")?;
            gpu.watch(Watch::Dispatches);
            self.model.look_at_square(&sample_picture(self.model), &self.plan.cancel).await?;
            stages.push(stage("tower and projector", gpu).await?);
        }
        let prompt = PROMPT.min(cache.capacity());
        self.say("profile of a prompt")?;
        self.extend(cache, 0, prompt).await?;
        gpu.watch(Watch::Dispatches);
        self.extend(cache, 0, prompt).await?;
        stages.push(stage(&format!("prefill of {prompt}"), gpu).await?);
        for &context in &self.plan.contexts {
            // Steps whose dispatches all find room on the clock.
            let steps = (PASSES / (5 * self.model.config().language.layers + 4)).clamp(1, 8);
            if context + steps > cache.capacity() {
                continue;
            }
            self.say(&format!("profile of decoding at {context}"))?;
            self.fill(cache, context).await?;
            self.begin(cache, context, steps).await?;
            gpu.idle().await?;
            gpu.watch(Watch::Dispatches);
            self.finish(cache).await?;
            stages.push(stage(&format!("{} tokens at {context}", steps - 1), gpu).await?);
        }
        Ok(stages)
    }

    /// Generates to the end.
    pub(super) async fn finish(&mut self, cache: &mut Cache) -> Result<()> {
        let mut generation = self.model.generation(cache);
        while generation.next(&self.plan.cancel).await?.is_some() {}
        generation.finish(0);
        Ok(())
    }
}

async fn stage(name: &str, gpu: &Gpu) -> Result<Stage> {
    Ok(sum_up(name, &gpu.watched().await?))
}

fn sum_up(name: &str, passes: &[Timed]) -> Stage {
    let mut kernels: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for pass in passes {
        let (count, ms) = kernels.entry(&pass.kernel).or_default();
        (*count, *ms) = (*count + 1, *ms + (pass.end - pass.start) * 1e3);
    }
    let total: f64 = kernels.values().map(|(_, ms)| ms).sum();
    let share = |ms: f64| if total > 0.0 { ms / total } else { 0.0 };
    let mut kernels: Vec<KernelTime> = kernels
        .into_iter()
        .map(|(kernel, (count, ms))| KernelTime {
            kernel: kernel.to_owned(),
            count,
            ms,
            share: share(ms),
        })
        .collect();
    kernels.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    Stage { stage: name.to_owned(), ms: total, kernels }
}

/// Of the span from the first start to the last end.
fn idle_of(passes: &[Timed]) -> Option<f64> {
    let start = passes.iter().map(|p| p.start).reduce(f64::min)?;
    let end = passes.iter().map(|p| p.end).reduce(f64::max)?;
    let busy: f64 = passes.iter().map(|p| p.end - p.start).sum();
    (end > start).then(|| (1.0 - busy / (end - start)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(kernel: &str, start: f64, end: f64) -> Timed {
        Timed { kernel: kernel.into(), start, end }
    }

    #[test]
    fn idle_is_what_lies_between() {
        assert_eq!(idle_of(&[pass("a", 0.0, 1.0), pass("a", 2.0, 4.0)]), Some(0.25));
        assert_eq!(idle_of(&[]), None);
    }

    #[test]
    fn kernels_are_summed_and_sorted() {
        let stage = sum_up("s", &[pass("a", 0.0, 1.0), pass("b", 1.0, 4.0), pass("a", 4.0, 5.0)]);
        let rows: Vec<_> = stage.kernels.iter().map(|k| (&*k.kernel, k.count, k.share)).collect();
        assert_eq!((rows, stage.ms), (vec![("b", 1, 0.6), ("a", 2, 0.4)], 5000.0));
    }
}
