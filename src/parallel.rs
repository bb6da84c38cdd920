//! Work shared among cores where there are several: rayon natively, a plain loop elsewhere.

/// Calls `f` on every item, in any order.
#[cfg(feature = "native")]
pub(crate) fn for_each<T: Send>(items: Vec<T>, f: impl Fn(T) + Send + Sync) {
    use rayon::prelude::*;
    items.into_par_iter().for_each(f);
}

/// Calls `f` on every item, in order.
#[cfg(not(feature = "native"))]
pub(crate) fn for_each<T>(items: Vec<T>, f: impl Fn(T)) {
    items.into_iter().for_each(f);
}

/// `f` of every index below `n`, in order of the index.
#[cfg(feature = "native")]
pub(crate) fn map<R: Send>(n: usize, f: impl Fn(usize) -> R + Send + Sync) -> Vec<R> {
    use rayon::prelude::*;
    (0..n).into_par_iter().map(f).collect()
}

/// `f` of every index below `n`, in order of the index.
#[cfg(not(feature = "native"))]
pub(crate) fn map<R>(n: usize, f: impl Fn(usize) -> R) -> Vec<R> {
    (0..n).map(f).collect()
}

/// Calls `f` on every stretch of `size` values, the last may be shorter, in any order; allocates
/// nothing.
#[cfg(feature = "native")]
pub(crate) fn chunks<T: Send>(
    all: &mut [T],
    size: usize,
    f: impl Fn(usize, &mut [T]) + Send + Sync,
) {
    use rayon::prelude::*;
    if all.len() <= size && !all.is_empty() {
        return f(0, all);
    }
    all.par_chunks_mut(size).enumerate().for_each(|(i, part)| f(i, part));
}

/// Calls `f` on every stretch of `size` values, the last may be shorter, in order.
#[cfg(not(feature = "native"))]
pub(crate) fn chunks<T>(all: &mut [T], size: usize, f: impl Fn(usize, &mut [T])) {
    all.chunks_mut(size).enumerate().for_each(|(i, part)| f(i, part));
}

/// Runs `f` on one of the threads, so that sharing work from there wakes nobody who is awake.
#[cfg(feature = "native")]
pub(crate) fn inside<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

/// Runs `f`.
#[cfg(not(feature = "native"))]
pub(crate) fn inside<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// How many threads share work.
#[cfg(feature = "native")]
pub(crate) fn threads() -> usize {
    rayon::current_num_threads()
}

/// Shares work among so many threads; `false` once some was shared already.
#[cfg(feature = "native")]
pub(crate) fn use_threads(n: usize) -> bool {
    rayon::ThreadPoolBuilder::new().num_threads(n.max(1)).build_global().is_ok()
}

/// How many threads share work.
#[cfg(not(feature = "native"))]
pub(crate) fn threads() -> usize {
    1
}

/// Calls both, at once where there are cores for it.
#[cfg(feature = "native")]
pub(crate) fn both<A: Send, B: Send>(
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    rayon::join(a, b)
}

/// Calls both, one after the other.
#[cfg(not(feature = "native"))]
pub(crate) fn both<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
    (a(), b())
}

/// A mutex that stays usable after a panic elsewhere: what it guards is replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct Guarded<T>(std::sync::Mutex<T>);

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Guarded<T> {
        Guarded(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn replace(&self, value: T) -> T {
        std::mem::replace(&mut self.lock(), value)
    }
}

/// Things to use again, as many as were in use at once.
#[derive(Debug)]
pub(crate) struct Pool<T>(Guarded<Vec<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool(Guarded::new(Vec::new()))
    }
}

impl<T: Default> Pool<T> {
    /// One that is free, or a new one.
    pub(crate) fn take(&self) -> T {
        self.0.lock().pop().unwrap_or_default()
    }

    /// Gives it back.
    pub(crate) fn give(&self, one: T) {
        self.0.lock().push(one);
    }
}
