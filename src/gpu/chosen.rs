//! What was learned about this device: which variant of each kernel it runs fastest, how many
//! pipelines a model takes, and how fast it answers.

use super::device::Gpu;
use crate::budget::Speed;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// What was learned, by adapter ([`super::AdapterInfo::key`], or `*` for any).
pub type Choices = BTreeMap<String, Learned>;

/// What was learned about one adapter, or the processor.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Learned {
    /// The variant that was fastest, by kernel and shape.
    pub variants: BTreeMap<String, String>,
    /// How many pipelines a model takes, by arithmetic and model.
    pub pipelines: BTreeMap<String, u32>,
    /// How fast models answer, by arithmetic, model, formats and threads.
    #[serde(default)]
    pub speeds: BTreeMap<String, Speed>,
}

impl Learned {
    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.variants.is_empty() && self.pipelines.is_empty() && self.speeds.is_empty()
    }

    /// Takes over what `newer` knows.
    pub fn extend(&mut self, newer: Learned) {
        self.variants.extend(newer.variants);
        self.pipelines.extend(newer.pipelines);
        self.speeds.extend(newer.speeds);
    }
}

/// What was learned about one device so far.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    learned: Mutex<Learned>,
    fixed_order: AtomicBool,
}

impl Chosen {
    fn lock(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Gpu {
    /// The variant chosen for `key`.
    pub fn chosen(&self, key: &str) -> Option<String> {
        self.0.chosen.lock().variants.get(key).cloned()
    }

    /// Notes a choice.
    pub fn choose(&self, key: String, variant: String) {
        self.0.chosen.lock().variants.insert(key, variant);
    }

    /// How many pipelines the model of this key took before.
    pub fn expected_pipelines(&self, key: &str) -> Option<u32> {
        self.0.chosen.lock().pipelines.get(key).copied()
    }

    /// Notes how many pipelines a model took.
    pub fn expect_pipelines(&self, key: String, count: u32) {
        self.0.chosen.lock().pipelines.insert(key, count);
    }

    /// Takes over what was learned before on adapters of this name; what is known already stays.
    pub fn recall(&self, choices: &Choices) {
        for adapter in [&*self.info().key(), "*"] {
            let mut learned = self.0.chosen.lock();
            let mut known = choices.get(adapter).cloned().unwrap_or_default();
            known.extend(std::mem::take(&mut *learned));
            *learned = known;
        }
    }

    /// What was learned so far.
    pub fn learned(&self) -> Learned {
        self.0.chosen.lock().clone()
    }

    /// From now on every sum runs in one order, whatever stands beside it: `--arithmetic exact`.
    pub fn fix_order(&self) {
        self.0.chosen.fixed_order.store(true, Ordering::Relaxed);
    }

    /// Whether [`Gpu::fix_order`] was called.
    pub fn order_is_fixed(&self) -> bool {
        self.0.chosen.fixed_order.load(Ordering::Relaxed)
    }
}
