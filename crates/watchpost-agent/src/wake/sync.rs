//! What [`sleeper`](super::sleeper) synchronises and tells the time by.

pub(super) use std::time::Instant;

use parking_lot::MutexGuard;
pub(super) use parking_lot::{Condvar, Mutex};

pub(super) fn now() -> Instant {
    Instant::now()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

pub(super) fn wait<'a, T>(changed: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(&mut guard);
    guard
}

/// Waits until it is told, or `at` has come, or for no reason.
pub(super) fn wait_until<'a, T>(changed: &Condvar, mut guard: MutexGuard<'a, T>, at: Instant) -> MutexGuard<'a, T> {
    changed.wait_until(&mut guard, at);
    guard
}
