//! A thread that sleeps until the next moment of interest.
//!
//! The runtime's own timers tick in whole milliseconds; a sleeping thread is woken within some
//! tens of µs (measured in docs/benchmarks.md), which is what a schedule wants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::clock::Alarm;

/// The alarm of the system's clock: a thread, which dropping it ends.
pub(crate) struct WakeTimer {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    due: Arc<Notify>,
}

#[derive(Default)]
struct State {
    at: Option<Instant>,
    stop: bool,
}

impl WakeTimer {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), due: Arc::default() });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("wake".into()).spawn(move || sleep_and_tell(&for_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Alarm for WakeTimer {
    fn set(&self, after: Duration) {
        let at = Instant::now() + after;
        let mut state = self.shared.state.lock();
        let sooner = state.at.is_none_or(|old| at < old);
        state.at = Some(at);
        // A later moment needs no waking: the thread looks again when the old one has come.
        if sooner {
            self.shared.changed.notify_one();
        }
    }

    fn due(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.due)
    }
}

fn sleep_and_tell(shared: &Shared) {
    let mut state = shared.state.lock();
    while !state.stop {
        match state.at {
            None => shared.changed.wait(&mut state),
            Some(at) if at <= Instant::now() => {
                state.at = None;
                shared.due.notify_one();
            }
            Some(at) => {
                // Whether it timed out or was told is seen by looking again.
                shared.changed.wait_until(&mut state, at);
            }
        }
    }
}

impl Drop for WakeTimer {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the timer's thread had panicked");
        }
        // Whoever waits for the moment looks once more, and sees that its owner is gone.
        self.shared.due.notify_one();
    }
}
