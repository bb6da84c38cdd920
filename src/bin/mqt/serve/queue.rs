//! Requests that wait for the device: clients take turns, however many requests each one sends.

use super::engine::Ask;
use super::problem::Problem;
use mqt::cancel::Cancel;
use mqt::session::Answer;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// What a request's handler hears.
pub(crate) enum Event {
    /// A token, before the text that it makes certain: how likely it was. Only where that is asked
    /// for.
    Token(Value),
    /// A piece of the answer, as it is certain.
    Text(String),
    /// The whole answer.
    Done(Box<Answered>),
    /// There is none.
    Failed(Problem),
}

/// An answer, and how long its request has waited.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) queue_ms: f64,
}

/// A request that waits.
pub(crate) struct Job {
    pub(crate) ask: Ask,
    /// Its client has left.
    pub(crate) cancel: Cancel,
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) since: Instant,
    /// The memory that its pictures take.
    pub(crate) _memory: Option<OwnedSemaphorePermit>,
}

/// Who asks: a key and an address.
pub(crate) type Client = String;

/// Waiting requests, and the one that is answered.
pub(crate) struct Queue {
    most: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: HashMap<Client, VecDeque<Job>>,
    /// Clients with requests, the next one first.
    turns: VecDeque<Client>,
    /// Stops the answer that is being given.
    running: Option<Cancel>,
    closed: bool,
    /// Seconds that an answer takes, as measured.
    seconds: f64,
}

/// An answer's seconds before any was given, and how much a new one counts.
const GUESS: f64 = 1.0;
const NEW: f64 = 0.2;
/// What `Retry-After` may say.
const LONGEST_WAIT: f64 = 60.0;

impl Queue {
    /// One where so many requests may wait.
    pub(crate) fn new(most: usize) -> Queue {
        let waiting = Mutex::new(Waiting { seconds: GUESS, ..Waiting::default() });
        Queue { most, waiting, changed: Condvar::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|error| error.into_inner())
    }

    /// Requests that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.waiting().running.is_some()
    }

    /// Lets a request wait. Where there is no room, whoever has most requests waiting has one too
    /// many: the newest of these is refused.
    ///
    /// # Errors
    /// 429 if that is this one; 503 if the server is about to end.
    pub(crate) fn push(&self, client: &str, job: Job) -> Result<(), Problem> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(Problem::ending());
        }
        if waiting.len() >= self.most {
            waiting.forget_left();
        }
        if waiting.len() >= self.most {
            let busy = Problem::busy(waiting.wait());
            let own = waiting.jobs.get(client).map_or(0, VecDeque::len);
            let Some(victim) = waiting.longest().filter(|(_, most)| *most > own + 1) else {
                return Err(busy);
            };
            if let Some(job) = waiting.take_last(&victim.0) {
                // Its client may have left.
                let _ = job.events.send(Event::Failed(busy));
            }
        }
        waiting.add(client, job);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// The next request, once there is one; `None` once the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        waiting.running = None;
        loop {
            if let Some(job) = waiting.take_first() {
                waiting.running = Some(job.cancel.clone());
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(|error| error.into_inner());
        }
    }

    /// How long an answer took, for estimates.
    pub(crate) fn took(&self, seconds: f64) {
        let mut waiting = self.waiting();
        waiting.seconds = waiting.seconds * (1.0 - NEW) + seconds * NEW;
    }

    /// Takes no more requests; those that wait are still answered.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_all();
    }

    /// Refuses all that wait, and stops the answer that is being given.
    pub(crate) fn abort(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        while let Some(job) = waiting.take_first() {
            let _ = job.events.send(Event::Failed(Problem::ending()));
        }
        if let Some(running) = &waiting.running {
            running.cancel();
        }
        drop(waiting);
        self.changed.notify_all();
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.jobs.values().map(VecDeque::len).sum()
    }

    /// Seconds until the queue has room, about.
    fn wait(&self) -> u64 {
        self.seconds.ceil().clamp(1.0, LONGEST_WAIT) as u64
    }

    fn add(&mut self, client: &str, job: Job) {
        let jobs = self.jobs.entry(client.to_owned()).or_default();
        jobs.push_back(job);
        if jobs.len() == 1 {
            self.turns.push_back(client.to_owned());
        }
    }

    /// The oldest request of the client whose turn it is.
    fn take_first(&mut self) -> Option<Job> {
        let client = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&client)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.jobs.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        job
    }

    fn take_last(&mut self, client: &str) -> Option<Job> {
        let jobs = self.jobs.get_mut(client)?;
        let job = jobs.pop_back();
        if jobs.is_empty() {
            self.jobs.remove(client);
            self.turns.retain(|other| other != client);
        }
        job
    }

    /// The client with most requests, and how many.
    fn longest(&self) -> Option<(Client, usize)> {
        let longest = self.jobs.iter().max_by_key(|(_, jobs)| jobs.len())?;
        Some((longest.0.clone(), longest.1.len()))
    }

    /// Drops the requests of clients that have left.
    fn forget_left(&mut self) {
        for jobs in self.jobs.values_mut() {
            jobs.retain(|job| !job.cancel.is_cancelled());
        }
        self.jobs.retain(|_, jobs| !jobs.is_empty());
        let jobs = &self.jobs;
        self.turns.retain(|client| jobs.contains_key(client));
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::{Said, Spend};
    use super::*;
    use mqt::Sampling;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn job(text: &str) -> (Job, UnboundedReceiver<Event>) {
        let (events, heard) = unbounded_channel();
        let ask = Ask {
            system: None,
            earlier: Vec::new(),
            said: Said { text: text.into(), ..Said::default() },
            spend: Spend::Auto,
            sampling: Sampling::default(),
            max_new_tokens: None,
            stop: Vec::new(),
            grammar: None,
            logprobs: None,
        };
        let since = Instant::now();
        (Job { ask, cancel: Cancel::new(), events, since, _memory: None }, heard)
    }

    fn order(queue: &Queue) -> Vec<String> {
        queue.close();
        std::iter::from_fn(|| queue.next()).map(|job| job.ask.said.text).collect()
    }

    #[test]
    fn clients_take_turns() {
        let queue = Queue::new(9);
        for (client, text) in
            [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")]
        {
            queue.push(client, job(text).0).unwrap();
        }
        assert_eq!(order(&queue), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }

    #[test]
    fn who_has_most_waiting_loses_the_newest() {
        let queue = Queue::new(3);
        let (a3, mut heard) = job("a3");
        queue.push("a", job("a1").0).unwrap();
        queue.push("a", job("a2").0).unwrap();
        queue.push("a", a3).unwrap();
        let problem = queue.push("a", job("a4").0).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.retry_after), (429, Some(1)));
        queue.push("b", job("b1").0).unwrap();
        assert!(matches!(heard.try_recv(), Ok(Event::Failed(Problem { code: "queue_full", .. }))));
        assert_eq!(queue.push("b", job("b2").0).unwrap_err().code, "queue_full");
        assert_eq!(order(&queue), ["a1", "b1", "a2"]);
    }

    #[test]
    fn who_has_left_makes_room() {
        let queue = Queue::new(1);
        let (first, _heard) = job("first");
        let left = first.cancel.clone();
        queue.push("a", first).unwrap();
        left.cancel();
        queue.push("a", job("second").0).unwrap();
        assert_eq!(order(&queue), ["second"]);
        assert_eq!(queue.push("a", job("third").0).unwrap_err().code, "shutting_down");
    }

    #[test]
    fn an_abort_refuses_what_waits_and_stops_what_runs() {
        let queue = Queue::new(4);
        let (second, mut heard) = job("second");
        queue.push("a", job("first").0).unwrap();
        queue.push("a", second).unwrap();
        let running = queue.next().unwrap();
        queue.abort();
        assert!(running.cancel.is_cancelled());
        assert!(matches!(
            heard.try_recv(),
            Ok(Event::Failed(Problem { code: "shutting_down", .. }))
        ));
        assert!(queue.next().is_none());
    }
}
