//! The thread that computes for the page: a session for each tab, one call after the other.

use super::super::log::{self, Level};
use super::super::problem::Problem;
use super::calls::{self, Tab};
use super::wire::Event;
use crate::failure;
use mqt::Error;
use mqt::cancel::Cancel;
use mqt::model::Model;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// Tabs that keep their sessions; those used least recently go first, and load anew when they ask.
const MOST_TABS: usize = 4;

/// Gives the model: the one that was loaded at the start, or after a device was lost another.
pub(crate) type Open = Box<dyn FnMut() -> failure::Result<Arc<Model>> + Send>;

/// One call of a tab.
pub(crate) struct Job {
    pub(crate) tab: String,
    pub(crate) call: String,
    pub(crate) work: u64,
    pub(crate) args: Vec<Value>,
    pub(crate) blobs: Vec<Vec<u8>>,
    pub(crate) cancel: Cancel,
    pub(crate) events: UnboundedSender<Event>,
    /// Room for the body that it came in.
    pub(crate) _memory: OwnedSemaphorePermit,
}

type Works = Arc<Mutex<HashMap<(String, u64), Cancel>>>;

/// The way to the thread.
pub(crate) struct Tabs {
    jobs: Mutex<Sender<Job>>,
    /// What can be stopped: calls under way or waiting.
    works: Works,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|error| error.into_inner())
}

impl Tabs {
    /// Starts the thread.
    pub(crate) fn start(open: Open) -> std::io::Result<Tabs> {
        let (jobs, waiting) = channel();
        let works = Works::default();
        let thread =
            Thread { open, model: None, tabs: HashMap::new(), clock: 0, works: works.clone() };
        thread::Builder::new().name("page".into()).spawn(move || thread.run(&waiting))?;
        Ok(Tabs { jobs: Mutex::new(jobs), works })
    }

    /// A handle on a call that begins; `work` 0 cannot be stopped by number.
    pub(crate) fn begin(&self, tab: &str, work: u64) -> Cancel {
        let cancel = Cancel::new();
        if work > 0 {
            held(&self.works).insert((tab.to_owned(), work), cancel.clone());
        }
        cancel
    }

    pub(crate) fn stop(&self, tab: &str, work: u64) {
        if let Some(cancel) = held(&self.works).get(&(tab.to_owned(), work)) {
            cancel.cancel();
        }
    }

    pub(crate) fn push(&self, job: Job) -> Result<(), Problem> {
        held(&self.jobs).send(job).map_err(|_| Problem::ending())
    }
}

struct Thread {
    open: Open,
    model: Option<Arc<Model>>,
    tabs: HashMap<String, Tab>,
    clock: u64,
    works: Works,
}

impl Thread {
    fn run(mut self, waiting: &Receiver<Job>) {
        while let Ok(job) = waiting.recv() {
            let (events, tab, work) = (job.events.clone(), job.tab.clone(), job.work);
            let event = match catch_unwind(AssertUnwindSafe(|| self.answer(job))) {
                Ok(Ok(value)) => Event::Done(value),
                Ok(Err(error)) => self.failed(&error),
                Err(_) => {
                    // Whatever state it was in.
                    self.tabs.remove(&tab);
                    log::line(Level::Error, "failed", json!({"why": "a panic, above"}));
                    let why = "the program broke off this work";
                    Event::Failed(json!({"code": "internal", "message": why, "facts": {}}))
                }
            };
            held(&self.works).remove(&(tab, work));
            // The tab may be closed.
            let _ = events.send(event);
        }
    }

    fn answer(&mut self, job: Job) -> Result<Value, Error> {
        self.clock += 1;
        if job.call == "dispose" {
            self.tabs.remove(&job.tab);
            return Ok(Value::Null);
        }
        if job.call == "load" {
            self.make_room();
            let model = self.model()?;
            let mut tab = calls::open(model, &job)?;
            tab.used = self.clock;
            let loaded = json!({"tab": job.tab, "loaded": tab.loaded()?});
            self.tabs.insert(job.tab, tab);
            return Ok(loaded);
        }
        let lost = || Error::DeviceLost { why: "its session was closed to make room".into() };
        let tab = self.tabs.get_mut(&job.tab).ok_or_else(lost)?;
        tab.used = self.clock;
        calls::answer(tab, job)
    }

    fn make_room(&mut self) {
        while self.tabs.len() >= MOST_TABS {
            let oldest = self.tabs.iter().min_by_key(|(_, tab)| tab.used);
            let Some((oldest, _)) = oldest.map(|(name, tab)| (name.clone(), tab.used)) else {
                return;
            };
            self.tabs.remove(&oldest);
        }
    }

    fn model(&mut self) -> Result<Arc<Model>, Error> {
        if let Some(model) = &self.model {
            return Ok(model.clone());
        }
        let model = (self.open)().map_err(|failure| {
            let why = failure.message.unwrap_or_default();
            log::line(Level::Error, "failed", json!({"why": why}));
            Error::DeviceLost { why: "the model cannot be loaded again".into() }
        })?;
        Ok(self.model.insert(model).clone())
    }

    fn failed(&mut self, error: &Error) -> Event {
        if matches!(error, Error::DeviceLost { .. }) {
            self.model = None;
            self.tabs.clear();
        }
        let facts =
            serde_json::to_value(mqt::internals::camel::Camel(&error.facts())).unwrap_or_default();
        let code = error.code().as_str();
        Event::Failed(json!({"code": code, "message": error.to_string(), "facts": facts}))
    }
}
