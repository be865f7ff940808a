//! What a sleeping thread and the one who sets its alarm have in common. This is the only hand-written
//! synchronisation outside of the actors, so every interleaving of it is explored: `tests/tests/interleavings`
//! compiles this very file against a `sync` of its own.

use super::sync::{Condvar, Instant, Mutex, lock, now, wait, wait_until};

/// A moment that can be moved, and a thread that waits for it.
pub struct Sleeper {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    at: Option<Instant>,
    stop: bool,
}

impl Sleeper {
    /// Without a moment yet.
    pub fn new() -> Self {
        Self { state: Mutex::new(State { at: None, stop: false }), changed: Condvar::new() }
    }

    /// Moves the moment.
    pub fn set(&self, at: Instant) {
        let mut state = lock(&self.state);
        let sooner = state.at.is_none_or(|old| at < old);
        state.at = Some(at);
        // A later moment needs no waking: the thread looks again when the old one has come.
        if sooner {
            self.changed.notify_one();
        }
    }

    /// Ends [`Sleeper::run`].
    pub fn stop(&self) {
        lock(&self.state).stop = true;
        self.changed.notify_one();
    }

    /// Sleeps, and calls `tell` each time that the moment has come, until it is stopped.
    pub fn run(&self, tell: impl Fn()) {
        let mut state = lock(&self.state);
        while !state.stop {
            state = match state.at {
                None => wait(&self.changed, state),
                Some(at) if at <= now() => {
                    state.at = None;
                    tell();
                    state
                }
                // Whether it timed out or was told is seen by looking again.
                Some(at) => wait_until(&self.changed, state, at),
            }
        }
    }
}
