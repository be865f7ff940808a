//! A clock whose time of day can be set.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use watchpost_agent::{Alarm, Clock, SystemClock};
use watchpost_core::{Tick, phase};
use watchpost_model::Timestamp;

/// The system's clock, with a time of day of its own.
#[derive(Default)]
pub struct SetClock {
    system: SystemClock,
    ahead_us: AtomicI64,
    alarms: Mutex<Vec<Arc<Notify>>>,
}

impl SetClock {
    /// Sets the time of day. Whoever waits for an alarm looks at once.
    pub fn set(&self, at: Timestamp) {
        self.ahead_us.store(at.as_microsecond() - self.system.now().as_microsecond(), SeqCst);
        self.alarms.lock().unwrap().iter().for_each(|due| due.notify_one());
    }

    /// Sets the time of day forward, or back where `by_us` is less than 0.
    pub fn turn(&self, by_us: i64) {
        self.set(timestamp(self.now().as_microsecond() + by_us));
    }

    /// The first slot of a check that lies at least `after` from now.
    pub fn slot(&self, check: &str, interval: Duration, after: Duration) -> Timestamp {
        slot_after(check, interval, self.now(), after)
    }
}

/// The first slot of a check that lies at least `after` from `now`.
pub fn slot_after(check: &str, interval: Duration, now: Timestamp, after: Duration) -> Timestamp {
    let us = |duration: Duration| i64::try_from(duration.as_micros()).unwrap();
    let (interval_us, phase_us) = (us(interval), us(phase(check, interval)));
    let earliest = now.as_microsecond() + us(after) - phase_us;
    timestamp(phase_us + (earliest.div_euclid(interval_us) + 1) * interval_us)
}

/// The time of day `by` before `at`.
pub fn before(at: Timestamp, by: Duration) -> Timestamp {
    timestamp(at.as_microsecond() - i64::try_from(by.as_micros()).unwrap())
}

fn timestamp(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap()
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        timestamp(self.system.now().as_microsecond() + self.ahead_us.load(SeqCst))
    }

    fn tick(&self) -> Tick {
        self.system.tick()
    }

    fn alarm(&self) -> std::io::Result<Box<dyn Alarm>> {
        let alarm = self.system.alarm()?;
        self.alarms.lock().unwrap().push(alarm.due());
        Ok(alarm)
    }
}
