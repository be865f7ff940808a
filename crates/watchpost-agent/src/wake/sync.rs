//! What [`sleeper`](super::sleeper) synchronises and tells the time by.

use std::sync::PoisonError;
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::time::Instant;

pub(super) fn now() -> Instant {
    Instant::now()
}

/// A lock that is poisoned is taken all the same: nothing that holds it can panic half way.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until it is told, or `at` has come, or for no reason.
pub(super) fn wait_until<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>, at: Instant) -> MutexGuard<'a, T> {
    let left = at.saturating_duration_since(now());
    changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
}
