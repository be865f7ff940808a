//! A time of day that is set, which the schedule follows.

use std::time::Duration;

use super::Checker;
use crate::clock::Clock;

/// How far the time of day may drift from the monotonic clock before it counts as set. NTP slews
/// by at most 500 ppm, which is far less in [`SLEEP_MAX`](super::SLEEP_MAX).
const CLOCK_STEP_MIN_US: i64 = 250_000;

impl Checker {
    /// Whether the clock was set back or forward, or the machine slept: the schedule moves with it.
    pub(super) fn notice_set_clock(&mut self) {
        let offset_us = clock_offset_us(&*self.cx.clock);
        let step_us = offset_us - self.clock_offset_us;
        self.clock_offset_us = offset_us;
        if step_us.abs() < CLOCK_STEP_MIN_US {
            return;
        }
        tracing::warn!(step_ms = step_us / 1000, "the time of day was set; the schedule follows it");
        self.schedule.realign(self.cx.clock.now().as_microsecond());
    }
}

/// Time of day less monotonic clock, in µs. A thread that is held up between the two readings would
/// see a step where there is none, so it looks again until it was not.
pub(super) fn clock_offset_us(clock: &dyn Clock) -> i64 {
    const TRIES: usize = 5;
    const HELD_UP: Duration = Duration::from_millis(10);
    let mut offset_us = 0;
    for _ in 0..TRIES {
        let before = clock.tick();
        let now = clock.now();
        offset_us = now.as_microsecond().saturating_sub(i64::try_from(before.as_micros()).unwrap_or(i64::MAX));
        if clock.tick().since(before) < HELD_UP {
            break;
        }
    }
    offset_us
}
