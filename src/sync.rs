//! The lock facade: the only file that names `Arc` and `Mutex` for modelled code. `model/sync.rs` has the same names on loom.

pub(crate) use std::sync::Arc;

/// A mutex without poisoning: what it guards is kept consistent by code that cannot panic half-way.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

/// Access to what a [`Mutex`] guards.
pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// Guards `value`.
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
