//! Stopping without losing what was promised.

use std::time::Duration;

use crate::Tick;

/// How far a stop has come. Only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrainPhase {
    /// Not stopping.
    Accepting,
    /// Takes nothing new; what runs may finish.
    Draining,
    /// The time for finishing is over: what still runs is cancelled.
    Cancelling,
    /// Everything has its outcome; the last of it is on its way out.
    Flushing,
    /// Everything is out.
    Done,
    /// The grace is over, and something is left.
    Expired,
}

/// A stop with a grace period.
///
/// The last part of the grace is reserved for cancelling and sending, so that work which cannot
/// finish still gets its outcome reported within the grace.
///
/// **Invariant:** once begun, it is over at the latest when the grace is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Drain {
    phase: DrainPhase,
    cancel_at: Tick,
    expires_at: Tick,
}

/// The longest time that is kept back for cancelling and sending.
const RESERVE_MAX: Duration = Duration::from_millis(1000);

impl Default for Drain {
    fn default() -> Self {
        Self { phase: DrainPhase::Accepting, cancel_at: Tick::ZERO, expires_at: Tick::ZERO }
    }
}

impl Drain {
    /// Begins to stop. Further calls change nothing.
    pub fn begin(&mut self, now: Tick, grace: Duration) {
        if self.phase != DrainPhase::Accepting {
            return;
        }
        let reserve = (grace / 4).min(RESERVE_MAX);
        self.phase = DrainPhase::Draining;
        self.cancel_at = now.after(grace.saturating_sub(reserve));
        self.expires_at = now.after(grace);
    }

    /// Where it stands at `now`, given how many tasks have no outcome yet and whether everything
    /// has been sent.
    pub fn advance(&mut self, now: Tick, open: usize, sent: bool) -> DrainPhase {
        use DrainPhase::{Accepting, Cancelling, Done, Draining, Expired, Flushing};
        self.phase = match self.phase {
            Accepting | Done | Expired => self.phase,
            Draining | Cancelling | Flushing if open == 0 && sent => Done,
            Draining | Cancelling | Flushing if now >= self.expires_at => Expired,
            Draining | Cancelling if open == 0 => Flushing,
            Draining if now >= self.cancel_at => Cancelling,
            same => same,
        };
        self.phase
    }

    /// When to look again even if nothing happens.
    pub fn next_wake(&self) -> Option<Tick> {
        match self.phase {
            DrainPhase::Draining => Some(self.cancel_at),
            DrainPhase::Cancelling | DrainPhase::Flushing => Some(self.expires_at),
            DrainPhase::Accepting | DrainPhase::Done | DrainPhase::Expired => None,
        }
    }

    /// Where it stood last.
    pub fn phase(&self) -> DrainPhase {
        self.phase
    }
}
