//! How long Stop takes: from the request until the work has stopped, the longest of several tries.

use super::Bench;
use crate::error::Result;
use crate::model::Cache;
use serde::Serialize;

/// The longest wait after Stop in each stage; `None` where the work was over before it could be
/// stopped.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stop {
    /// Milliseconds, while a picture is encoded.
    pub picture_ms: Option<f64>,
    /// Milliseconds, while a prompt is read.
    pub prompt_ms: Option<f64>,
    /// Milliseconds, while tokens are generated.
    pub answer_ms: Option<f64>,
}

#[cfg(feature = "native")]
mod native {
    use super::super::facts::{sample_picture, slots};
    use super::*;
    use crate::cancel::Cancel;
    use crate::error::Error;
    use crate::model::Want;
    use crate::sample::Sampling;
    use std::time::{Duration, Instant};

    /// Tries in each stage, spread evenly over its first [`SPAN`].
    const TRIES: u32 = 12;
    const SPAN: Duration = Duration::from_millis(600);
    /// Tokens of the prompt, and of the answer.
    const LONG: usize = 200;

    /// A flag that is raised after `wait`, on a thread that then tells when.
    fn raised_after(wait: Duration) -> (Cancel, std::thread::JoinHandle<Instant>) {
        let cancel = Cancel::new();
        let flag = cancel.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(wait);
            flag.cancel();
            Instant::now()
        });
        (cancel, thread)
    }

    impl Bench<'_> {
        pub(in crate::bench) async fn stop(&mut self, cache: &mut Cache) -> Result<Option<Stop>> {
            let mut stop = Stop::default();
            if self.plan.vision {
                self.say("stopping while encoding")?;
                let (model, pixels) = (self.model, sample_picture(self.model));
                let work = async |cancel: &Cancel| model.look_once(&pixels, cancel).await.map(drop);
                stop.picture_ms = longest(work).await?;
            }
            self.say("stopping while reading")?;
            let (model, n) = (self.model, LONG.min(cache.capacity() / 2));
            let slots = slots(model, 0, n);
            let mut read = async |cancel: &Cancel| {
                cache.rewind(0);
                model.extend(cache, &slots, &[], Want::Nothing, cancel).await.map(drop)
            };
            stop.prompt_ms = longest(&mut read).await?;
            read(&Cancel::new()).await?;
            self.say("stopping while generating")?;
            let answer = async |cancel: &Cancel| {
                cache.rewind(n - 1);
                model.begin(cache, n, LONG, &Sampling::default(), &[], &[]);
                model.extend(cache, &slots[n - 1..], &[], Want::Pick, cancel).await?;
                let mut generation = model.generation(cache);
                let ended = loop {
                    match generation.next(cancel).await {
                        Ok(Some(_)) => {}
                        Ok(None) => break Ok(()),
                        Err(e) => break Err(e),
                    }
                };
                generation.finish(0);
                // What ran ahead is still under way.
                model.picked(cache).await?;
                ended
            };
            stop.answer_ms = longest(answer).await?;
            Ok(Some(stop))
        }
    }

    /// The longest that `work` takes to come back once its flag is raised.
    async fn longest(mut work: impl AsyncFnMut(&Cancel) -> Result<()>) -> Result<Option<f64>> {
        let (start, (cancel, _)) = (Instant::now(), raised_after(SPAN));
        match work(&cancel).await {
            Err(Error::Cancelled) => {}
            ended => ended?,
        }
        let span = start.elapsed().min(SPAN);
        let mut most: Option<f64> = None;
        for i in 0..TRIES {
            let (cancel, thread) = raised_after(span * (2 * i + 1) / (2 * TRIES));
            let ended = work(&cancel).await;
            let end = Instant::now();
            let Ok(asked) = thread.join() else { continue };
            match ended {
                Err(Error::Cancelled) => {
                    let ms = end.saturating_duration_since(asked).as_secs_f64() * 1e3;
                    most = Some(most.map_or(ms, |most| most.max(ms)));
                }
                // It was over before the flag was raised.
                ended => ended?,
            }
        }
        Ok(most)
    }
}

#[cfg(not(feature = "native"))]
impl Bench<'_> {
    /// One thread cannot ask while it works.
    #[expect(clippy::unused_async, reason = "as the native one")]
    pub(in crate::bench) async fn stop(&mut self, _: &mut Cache) -> Result<Option<Stop>> {
        Ok(None)
    }
}
