//! The time of day, a clock that never goes back, and being woken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use watchpost_core::Tick;
use watchpost_model::Timestamp;

use crate::wake::WakeTimer;

/// Where the agent takes its time from.
pub trait Clock: Send + Sync + 'static {
    /// The time of day, to the µs. It may be set forward and back.
    fn now(&self) -> Timestamp;

    /// A moment on a clock that never goes back. Waits and timeouts are measured on it.
    fn tick(&self) -> Tick;

    /// The moment on that clock at which it will be `at` by the time of day as it is set now.
    fn tick_at(&self, at: Timestamp) -> Tick {
        let ahead = at.as_microsecond().saturating_sub(self.now().as_microsecond());
        self.tick().after(Duration::from_micros(u64::try_from(ahead).unwrap_or(0)))
    }

    /// A new alarm of this clock.
    ///
    /// # Errors
    /// When the operating system has no thread for it.
    fn alarm(&self) -> std::io::Result<Box<dyn Alarm>>;
}

/// Wakes its owner at a moment that can be moved at any time. Dropping it ends it.
pub trait Alarm: Send {
    /// Moves the moment to so long from now.
    fn set(&self, after: Duration);

    /// Is notified each time that the moment comes, and when the alarm is dropped. A moment that comes
    /// unobserved is not lost.
    fn due(&self) -> Arc<Notify>;
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that owns the time of day")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        timestamp_us(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    fn tick(&self) -> Tick {
        Tick::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn alarm(&self) -> std::io::Result<Box<dyn Alarm>> {
        Ok(Box::new(WakeTimer::start()?))
    }
}

/// A time of day from µs since the Unix epoch; the last one that can be told where it is out of range.
pub(crate) fn timestamp_us(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or(Timestamp::MAX)
}

/// The time of day `earlier` before `at`.
pub(crate) fn earlier(at: Timestamp, earlier: Duration) -> Timestamp {
    timestamp_us(at.as_microsecond().saturating_sub(i64::try_from(earlier.as_micros()).unwrap_or(i64::MAX)))
}

/// The time of day `later` after `at`.
pub(crate) fn later(at: Timestamp, later: Duration) -> Timestamp {
    timestamp_us(at.as_microsecond().saturating_add(i64::try_from(later.as_micros()).unwrap_or(i64::MAX)))
}
