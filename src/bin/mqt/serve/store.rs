//! Encoded pictures in memory, shared by all conversations. Never on disk, because they belong to
//! clients.

use half::f16;
use mqt::future::Boxed;
use mqt::model::{PictureKey, PictureStore};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// As many pictures as the limit allows; those used least recently go first.
pub(crate) struct Memory {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    pictures: HashMap<PictureKey, (Vec<f16>, u64)>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

impl Memory {
    /// One that holds so many bytes at most.
    pub(crate) fn new(limit: usize) -> Memory {
        Memory { limit, kept: Mutex::default() }
    }

    /// How many pictures there are, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.pictures.len(), kept.bytes)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|error| error.into_inner())
    }

    fn find(&self, key: &PictureKey, len: usize) -> Option<Vec<f16>> {
        let mut kept = self.kept();
        kept.clock += 1;
        let now = kept.clock;
        let (values, used) = kept.pictures.get_mut(key)?;
        *used = now;
        (values.len() == len).then(|| values.clone())
    }

    fn keep(&self, key: &PictureKey, values: &[f16]) {
        let bytes = size_of_val(values);
        if bytes > self.limit {
            return;
        }
        let mut kept = self.kept();
        kept.clock += 1;
        let now = kept.clock;
        if let Some((old, _)) = kept.pictures.insert(key.clone(), (values.to_vec(), now)) {
            kept.bytes -= size_of_val(old.as_slice());
        }
        kept.bytes += bytes;
        while kept.bytes > self.limit {
            let oldest = kept.pictures.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            if let Some((old, _)) = kept.pictures.remove(&oldest) {
                kept.bytes -= size_of_val(old.as_slice());
            }
        }
    }
}

impl PictureStore for Memory {
    fn get<'a>(&'a self, key: &'a PictureKey, len: usize) -> Boxed<'a, Option<Vec<f16>>> {
        Box::pin(async move { self.find(key, len) })
    }

    fn put<'a>(&'a self, key: &'a PictureKey, values: &'a [f16]) -> Boxed<'a, ()> {
        Box::pin(async move { self.keep(key, values) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_used_least_recently_go_first() {
        let key = |n: u8| PictureKey::new([n; 32], "model", 0);
        let store = Memory::new(40);
        let values = [f16::ONE; 10];
        store.keep(&key(1), &values);
        store.keep(&key(2), &values);
        assert_eq!(store.size(), (2, 40));
        assert_eq!(store.find(&key(1), 10).unwrap(), values);
        store.keep(&key(3), &values);
        assert_eq!(store.size(), (2, 40));
        assert!(store.find(&key(2), 10).is_none() && store.find(&key(1), 10).is_some());
        // Of another length, or too large for the store.
        assert!(store.find(&key(1), 9).is_none());
        store.keep(&key(4), &[f16::ONE; 21]);
        assert!(store.find(&key(4), 21).is_none());
        store.keep(&key(1), &values[..5]);
        assert_eq!(store.size(), (2, 30));
    }
}
