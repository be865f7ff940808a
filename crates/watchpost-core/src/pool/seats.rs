//! The places of a pool's workers, and the back-off of those that are being built anew.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Tick;

/// The back-off after a first loss.
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
/// The longest back-off.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// After this many doublings the longest back-off is reached: 10 ms × 2⁷ > 1 s.
const DOUBLINGS_MAX: u32 = 7;

/// The place of a worker that is to be built, as given out by [`Step::Build`](crate::Step::Build).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(u64);

/// A seat with its worker, and what the next back-off depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    seat: Seat,
    /// Workers lost here in a row.
    pub(super) losses: u32,
}

/// The seats that have no worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Seats {
    /// Those that wait for the end of their back-off, with their losses.
    resting: BTreeMap<(Tick, Seat), u32>,
    /// Those whose worker is being made.
    building: BTreeMap<Seat, u32>,
    next: u64,
}

impl Seats {
    /// A new seat that has its worker.
    pub(super) fn furnish(&mut self) -> Place {
        let seat = Seat(self.next);
        self.next += 1;
        Place { seat, losses: 0 }
    }

    /// A new seat, for which a worker is to be made at once.
    pub(super) fn add(&mut self) -> Seat {
        let Place { seat, losses } = self.furnish();
        self.building.insert(seat, losses);
        seat
    }

    /// The worker of this place is gone: the seat rests.
    pub(super) fn lose(&mut self, now: Tick, Place { seat, losses }: Place) {
        let back_off = (BACK_OFF_MIN * (1 << losses.min(DOUBLINGS_MAX))).min(BACK_OFF_MAX);
        self.resting.insert((now.after(back_off), seat), losses.saturating_add(1));
    }

    /// The seats whose worker is being made.
    pub(super) fn building(&self) -> impl Iterator<Item = Seat> {
        self.building.keys().copied()
    }

    /// A seat whose back-off is over, for which a worker is to be made.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<Seat> {
        let entry = self.resting.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let ((_, seat), losses) = entry.remove_entry();
        self.building.insert(seat, losses);
        Some(seat)
    }

    /// When [`Seats::take_due`] gives one next.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.resting.first_key_value().map(|((due, _), _)| *due)
    }

    /// The making of a worker for this seat is over.
    pub(super) fn built(&mut self, seat: Seat) -> Option<Place> {
        self.building.remove(&seat).map(|losses| Place { seat, losses })
    }

    /// Gives up the seat whose back-off is the last to be over; `false` if none rests.
    pub(super) fn give_up_one(&mut self) -> bool {
        self.resting.pop_last().is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.resting.len() + self.building.len()
    }
}
