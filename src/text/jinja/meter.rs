//! What a template may use: work, the size of one value, and depth.

use std::cell::Cell;
use std::rc::Rc;

use super::Out;
use super::value::{Held, Value};

/// All work of one rendering: a step costs [`STEP`], so does a value; a byte costs 1.
const WORK: u64 = 4 << 20;
/// What a step costs, and what a value weighs beside its bytes.
pub(super) const STEP: usize = 16;
/// The heaviest value, all that it holds included, however often it holds the same.
pub(super) const HEAVIEST: usize = 64 << 10;
/// How deep values may hold values.
const DEEPEST_VALUE: usize = 32;
/// How deep steps may lie in steps: a few hundred bytes of stack each, of 1 MiB in a browser.
const DEEPEST_STEP: usize = 200;

/// What is left of it.
pub(super) struct Meter {
    work: Cell<u64>,
    depth: Cell<usize>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { work: Cell::new(WORK), depth: Cell::new(0) }
    }
}

impl Meter {
    /// Takes `cost` of the work that is left.
    pub(super) fn spend(&self, cost: usize) -> Out<()> {
        let left = self.work.get().checked_sub(cost as u64);
        self.work.set(left.unwrap_or(0));
        match left {
            Some(_) => Ok(()),
            None => Err("it needs more work than a template may".into()),
        }
    }

    /// One step, with the steps inside it.
    pub(super) fn step<T>(&self, inside: impl FnOnce() -> Out<T>) -> Out<T> {
        self.spend(STEP)?;
        let depth = self.depth.get() + 1;
        if depth > DEEPEST_STEP {
            return Err("its parts are nested too deeply".into());
        }
        self.depth.set(depth);
        let result = inside();
        self.depth.set(depth - 1);
        result
    }

    /// Whether a text of this size, not made yet, may be made.
    pub(super) fn fits(&self, bytes: usize) -> Out<()> {
        if bytes > HEAVIEST {
            return Err(format!("it makes a value of more than {HEAVIEST} bytes"));
        }
        self.spend(bytes)
    }

    /// A text as a value.
    pub(super) fn text(&self, text: &str) -> Out<Value> {
        self.fits(text.len() + STEP)?;
        Ok(Value::Text(Rc::from(text)))
    }

    /// A list of these values.
    pub(super) fn list(&self, values: Vec<Value>) -> Out<Value> {
        let (weight, depth) = self.holding(values.iter(), STEP)?;
        Ok(Value::List(Rc::new(Held { of: values, weight, depth })))
    }

    /// A map; of two entries with one key the later counts.
    pub(super) fn map(&self, entries: Vec<(Rc<str>, Value)>) -> Out<Value> {
        let keys = entries.iter().map(|(key, _)| key.len() + STEP).sum::<usize>();
        let mut kept: Vec<(Rc<str>, Value)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            self.spend(kept.len())?;
            match kept.iter_mut().find(|(other, _)| *other == key) {
                Some(entry) => entry.1 = value,
                None => kept.push((key, value)),
            }
        }
        let (weight, depth) = self.holding(kept.iter().map(|(_, value)| value), STEP + keys)?;
        Ok(Value::Map(Rc::new(Held { of: kept, weight, depth })))
    }

    /// Weight and depth of a value that holds these.
    fn holding<'a>(
        &self,
        values: impl ExactSizeIterator<Item = &'a Value>,
        own: usize,
    ) -> Out<(usize, usize)> {
        // What the value itself takes: its parts are shared.
        self.spend(own + STEP * values.len())?;
        let (mut weight, mut depth) = (own, 1);
        for value in values {
            if matches!(value, Value::Space(_)) {
                return Err("it puts a namespace into another value".into());
            }
            weight = weight.saturating_add(value.weight());
            depth = depth.max(value.depth() + 1);
        }
        if weight > HEAVIEST {
            return Err(format!("it makes a value of more than {HEAVIEST} bytes"));
        }
        if depth > DEEPEST_VALUE {
            return Err("its values are nested too deeply".into());
        }
        Ok((weight, depth))
    }
}
