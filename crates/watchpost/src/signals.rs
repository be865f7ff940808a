//! Signals: stop, stop at once, reload.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// How soon after one signal another counts as the same: `timeout` and some supervisors signal
/// both the process and its group.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// The signals that ask a process to stop.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one that is a second wish, not an echo of the one just received.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next_again(&mut self) -> &'static str {
        let received = tokio::time::Instant::now();
        loop {
            let name = self.next().await;
            if received.elapsed() > SAME_SIGNAL {
                return name;
            }
        }
    }

    /// Waits for the next one, and names it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Notifies at each SIGHUP, from now on.
///
/// # Errors
/// When the handler cannot be installed.
pub fn reloads() -> std::io::Result<Arc<Notify>> {
    let mut hangups = signal(SignalKind::hangup())?;
    let reload = Arc::new(Notify::new());
    let notify = Arc::clone(&reload);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            notify.notify_one();
        }
    });
    Ok(reload)
}
