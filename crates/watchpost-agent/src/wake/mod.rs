//! A thread that sleeps until the next moment of interest.
//!
//! The runtime's own timers tick in whole milliseconds; a sleeping thread is woken within some
//! tens of µs (measured in docs/benchmarks.md), which is what a schedule wants.

mod sleeper;
mod sync;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use self::sleeper::Sleeper;
use crate::clock::Alarm;

/// The alarm of the system's clock: a thread, which dropping it ends.
pub(crate) struct WakeTimer {
    sleeper: Arc<Sleeper>,
    due: Arc<Notify>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WakeTimer {
    pub(crate) fn start() -> std::io::Result<Self> {
        let (sleeper, due) = (Arc::new(Sleeper::new()), Arc::new(Notify::new()));
        let (asleep, tell) = (Arc::clone(&sleeper), Arc::clone(&due));
        let thread = std::thread::Builder::new().name("wake".into()).spawn(move || asleep.run(|| tell.notify_one()))?;
        Ok(Self { sleeper, due, thread: Some(thread) })
    }
}

impl Alarm for WakeTimer {
    fn set(&self, after: Duration) {
        self.sleeper.set(Instant::now() + after);
    }

    fn due(&self) -> Arc<Notify> {
        Arc::clone(&self.due)
    }
}

impl Drop for WakeTimer {
    fn drop(&mut self) {
        self.sleeper.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the timer's thread had panicked");
        }
        // Whoever waits for the moment looks once more, and sees that its owner is gone.
        self.due.notify_one();
    }
}
