//! loom's synchronisation, and a time that stands still.

use loom::sync::MutexGuard;
pub use loom::sync::{Condvar, Mutex};

/// A moment.
pub type Instant = u64;

/// One that has come.
pub const DUE: Instant = 0;
/// One that does not come while the test lasts.
pub const LATER: Instant = 1;

pub fn now() -> Instant {
    DUE
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

pub fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap()
}

/// That moment does not come, so the wait ends only when it is told.
pub fn wait_until<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>, _: Instant) -> MutexGuard<'a, T> {
    wait(changed, guard)
}
