//! The answer of `/metrics`, in Prometheus's text format.

use super::queue::Queue;
use super::store::Memory;
use crate::memory;
use mqt::session::Answer;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Upper bounds of the histograms, in seconds.
const BOUNDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By status.
    requests: BTreeMap<u16, u64>,
    answers: u64,
    left: u64,
    prompt_tokens: u64,
    cached_tokens: u64,
    image_tokens: u64,
    completion_tokens: u64,
    vision_runs: u64,
    sessions: (usize, u64),
    queue: Histogram,
    first_token: Histogram,
    answer: Histogram,
}

#[derive(Default)]
struct Histogram {
    /// One for each bound, and one for what lies above.
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    fn add(&mut self, seconds: f64) {
        let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[at] += 1;
        self.sum += seconds;
    }

    fn write(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, "histogram", help);
        let mut all = 0;
        for (bound, count) in BOUNDS.iter().zip(self.counts) {
            all += count;
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {all}");
        }
        all += self.counts[BOUNDS.len()];
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {all}");
        let _ = writeln!(out, "{name}_sum {}\n{name}_count {all}", self.sum);
    }
}

impl Metrics {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(|error| error.into_inner())
    }

    /// A request was answered with this status.
    pub(crate) fn request(&self, status: u16) {
        *self.counts().requests.entry(status).or_default() += 1;
    }

    /// A client left before its answer was complete.
    pub(crate) fn left(&self) {
        self.counts().left += 1;
    }

    /// What sessions take.
    pub(crate) fn kept(&self, sessions: (usize, u64)) {
        self.counts().sessions = sessions;
    }

    /// An answer was given.
    pub(crate) fn answered(&self, answer: &Answer, queue_ms: f64, first: Duration, all: Duration) {
        let mut counts = self.counts();
        counts.answers += 1;
        counts.prompt_tokens += answer.prompt_tokens as u64;
        counts.cached_tokens += answer.cached_tokens as u64;
        counts.image_tokens += answer.all_image_tokens() as u64;
        counts.completion_tokens += answer.completion_tokens as u64;
        counts.vision_runs += u64::from(answer.vision_runs);
        counts.queue.add(queue_ms / 1e3);
        counts.first_token.add(first.as_secs_f64());
        counts.answer.add(all.as_secs_f64());
    }

    /// All of it as text.
    pub(crate) fn text(&self, queue: &Queue, store: &Memory) -> String {
        let counts = self.counts();
        let mut out = String::new();
        head(&mut out, "mqt_requests_total", "counter", "Requests by the status of their response");
        for (status, count) in &counts.requests {
            let _ = writeln!(out, "mqt_requests_total{{status=\"{status}\"}} {count}");
        }
        for (name, help, count) in [
            ("mqt_answers_total", "Answers that were given", counts.answers),
            (
                "mqt_stopped_total",
                "Requests whose client left, or that the end stopped",
                counts.left,
            ),
            ("mqt_prompt_tokens_total", "Tokens of prompts", counts.prompt_tokens),
            ("mqt_cached_tokens_total", "Of these, tokens that were cached", counts.cached_tokens),
            ("mqt_image_tokens_total", "Image tokens of prompts", counts.image_tokens),
            ("mqt_completion_tokens_total", "Tokens of answers", counts.completion_tokens),
            ("mqt_vision_runs_total", "Runs of the vision tower", counts.vision_runs),
        ] {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {count}");
        }
        let (pictures, picture_bytes) = store.size();
        for (name, help, count) in [
            ("mqt_queue_length", "Requests that wait", queue.len() as u64),
            ("mqt_busy", "1 while a request is answered", u64::from(queue.is_busy())),
            ("mqt_sessions", "Conversations that are kept", counts.sessions.0 as u64),
            ("mqt_session_bytes", "Bytes that they take, about", counts.sessions.1),
            ("mqt_pictures", "Encoded pictures that are kept", pictures as u64),
            ("mqt_picture_bytes", "Bytes that they take", picture_bytes as u64),
        ] {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {count}");
        }
        if let Some(bytes) = memory::resident_bytes() {
            let name = "process_resident_memory_bytes";
            head(&mut out, name, "gauge", "Host memory of the process");
            let _ = writeln!(out, "{name} {bytes}");
        }
        counts.queue.write(&mut out, "mqt_queue_seconds", "From a request to its turn");
        let help = "From a request to its answer's first text";
        counts.first_token.write(&mut out, "mqt_first_token_seconds", help);
        counts.answer.write(&mut out, "mqt_answer_seconds", "From a request to its answer's end");
        out
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_everything_up_to_each_bound() {
        let mut histogram = Histogram::default();
        for seconds in [0.01, 0.02, 0.3, 100.0] {
            histogram.add(seconds);
        }
        let mut out = String::new();
        histogram.write(&mut out, "x", "help");
        for line in [
            "x_bucket{le=\"0.01\"} 1",
            "x_bucket{le=\"0.5\"} 3",
            "x_bucket{le=\"60\"} 3",
            "x_bucket{le=\"+Inf\"} 4",
            "x_count 4",
        ] {
            assert!(out.lines().any(|other| other == line), "{line} in {out}");
        }
    }
}
