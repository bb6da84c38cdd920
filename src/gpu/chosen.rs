//! Which variant of a kernel this device runs fastest, by whatever key the kernels use.

use super::device::Gpu;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Choices by adapter ([`super::AdapterInfo::key`], or `*` for any), then by kernel and shape.
pub type Choices = BTreeMap<String, BTreeMap<String, String>>;

/// The choices of one device.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    choices: Mutex<BTreeMap<String, String>>,
    fixed_order: AtomicBool,
}

impl Chosen {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.choices.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Gpu {
    /// The variant chosen for `key`.
    pub fn chosen(&self, key: &str) -> Option<String> {
        self.0.chosen.lock().get(key).cloned()
    }

    /// Notes a choice.
    pub fn choose(&self, key: String, variant: String) {
        self.0.chosen.lock().insert(key, variant);
    }

    /// Takes over what was chosen before on adapters of this name; what is chosen already stays.
    pub fn recall(&self, choices: &Choices) {
        for adapter in [&*self.info().key(), "*"] {
            let mut chosen = self.0.chosen.lock();
            for (key, variant) in choices.get(adapter).into_iter().flatten() {
                chosen.entry(key.clone()).or_insert_with(|| variant.clone());
            }
        }
    }

    /// All choices so far.
    pub fn choices(&self) -> BTreeMap<String, String> {
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
