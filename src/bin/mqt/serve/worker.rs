//! The one thread that computes: it takes a request from the queue, answers it, takes the next.

use super::engine::{Engine, Failed};
use super::log::{self, Level};
use super::logprobs;
use super::metrics::Metrics;
use super::problem::Problem;
use super::queue::{Answered, Event, Job, Queue};
use crate::failure;
use mqt::Error;
use mqt::session::FinishReason;
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Opens an engine: at the start, and again after a device was lost.
pub(crate) type Open = Box<dyn FnMut() -> failure::Result<Engine> + Send>;

pub(crate) struct Worker {
    pub(crate) engine: Option<Engine>,
    pub(crate) open: Open,
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Worker {
    /// Answers until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(job) = self.queue.next() {
            if job.cancel.is_cancelled() {
                self.metrics.left();
                continue;
            }
            let start = Instant::now();
            let events = job.events.clone();
            let event = match self.answer(job, start) {
                Ok(answered) => Event::Done(Box::new(answered)),
                Err(problem) => Event::Failed(problem),
            };
            // The client may have left.
            let _ = events.send(event);
            self.queue.took(start.elapsed().as_secs_f64());
        }
    }

    fn answer(&mut self, job: Job, start: Instant) -> Result<Answered, Problem> {
        let queue_ms = (start - job.since).as_secs_f64() * 1e3;
        let engine = self.engine()?;
        let Job { ask, cancel, events, .. } = &job;
        let watch = ask
            .logprobs
            .map(|top| logprobs::watch(top, engine.tokenizer().clone(), events.clone()));
        let mut first = None;
        let answered = catch_unwind(AssertUnwindSafe(|| {
            engine.answer(ask, watch, cancel, &mut |text| {
                first.get_or_insert_with(Instant::now);
                if events.send(Event::Text(text.to_owned())).is_err() {
                    cancel.cancel();
                }
            })
        }));
        let size = engine.size();
        self.metrics.kept(size);
        match answered {
            Ok(Ok(answer)) if answer.finish_reason == FinishReason::Cancelled => {
                self.metrics.left();
                Err(Problem::ending())
            }
            Ok(Ok(answer)) => {
                let first = first.map_or(start, |first| first);
                self.metrics.answered(&answer, queue_ms, first - job.since, job.since.elapsed());
                Ok(Answered { answer, queue_ms })
            }
            Ok(Err(Failed::Refused(problem))) => Err(problem),
            Ok(Err(Failed::Error(error))) => Err(self.failed(&error)),
            Err(_) => {
                // Whatever state it was in.
                self.engine = None;
                log::line(Level::Error, "failed", json!({"why": "a panic, above"}));
                Err(Problem::internal())
            }
        }
    }

    /// The engine, opened again if it was lost.
    fn engine(&mut self) -> Result<&mut Engine, Problem> {
        if self.engine.is_none() {
            self.engine = Some((self.open)().map_err(|failure| {
                let why = failure.message.unwrap_or_default();
                log::line(Level::Error, "failed", json!({"why": why}));
                Problem::internal()
            })?);
        }
        self.engine.as_mut().ok_or_else(Problem::internal)
    }

    fn failed(&mut self, error: &Error) -> Problem {
        let problem = Problem::from(error);
        if matches!(error, Error::Cancelled) {
            self.metrics.left();
        } else if !problem.is_theirs() {
            log::line(Level::Error, "failed", json!({"why": error.to_string()}));
        }
        if matches!(error, Error::DeviceLost { .. }) {
            self.engine = None;
        }
        problem
    }
}
