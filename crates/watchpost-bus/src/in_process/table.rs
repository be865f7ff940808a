//! Who listens to what, and how a message gets to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::counters::{Counters, Losses};
use crate::subject::has_wildcards;
use crate::{Message, subject_matches};

/// One subscription, as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeatId(u64);

/// The sending end of one subscription.
#[derive(Debug)]
pub(super) struct Seat {
    id: SeatId,
    filter: Box<str>,
    has_wildcards: bool,
    sender: mpsc::Sender<Message>,
    losses: Losses,
    /// The turn at which its queue group last chose it.
    chosen_at: AtomicU64,
}

impl Seat {
    pub(super) fn new(filter: &str, sender: mpsc::Sender<Message>) -> Self {
        Self {
            id: SeatId(0),
            filter: filter.into(),
            has_wildcards: has_wildcards(filter),
            sender,
            losses: Losses::default(),
            chosen_at: AtomicU64::new(0),
        }
    }

    fn matches(&self, subject: &str) -> bool {
        if self.has_wildcards { subject_matches(&self.filter, subject) } else { *self.filter == *subject }
    }
}

/// The members of a queue group. As in NATS, the name alone makes the group: members may have different filters.
#[derive(Debug)]
struct Group {
    name: Box<str>,
    members: Vec<Seat>,
    turn: AtomicU64,
}

/// All subscriptions of a bus.
#[derive(Debug, Default)]
pub(super) struct Table {
    is_closed: bool,
    numbers: AtomicU64,
    // Most subscriptions are to one subject, among them every inbox: these are found without a search.
    literal: HashMap<Box<str>, Vec<Seat>>,
    wildcard: Vec<Seat>,
    groups: Vec<Group>,
}

impl Table {
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Ends all subscriptions and gives them back to be dropped; `None` where that was done before.
    pub(super) fn close(&mut self) -> Option<impl Sized + use<>> {
        if self.is_closed {
            return None;
        }
        let numbers = AtomicU64::new(self.next_number());
        Some(std::mem::replace(self, Self { is_closed: true, numbers, ..Self::default() }))
    }

    /// A number that no subscription and no inbox of this bus has had.
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn join(&mut self, mut seat: Seat, queue: Option<&str>) -> SeatId {
        let id = SeatId(self.next_number());
        seat.id = id;
        match queue {
            None if seat.has_wildcards => self.wildcard.push(seat),
            None => self.literal.entry(seat.filter.clone()).or_default().push(seat),
            Some(name) => match self.groups.iter_mut().find(|group| *group.name == *name) {
                Some(group) => group.members.push(seat),
                None => self.groups.push(Group { name: name.into(), members: vec![seat], turn: AtomicU64::new(0) }),
            },
        }
        id
    }

    /// Takes a subscription out, with whatever existed for it alone.
    pub(super) fn leave(&mut self, filter: &str, id: SeatId) -> Option<Seat> {
        // `remove` and not `swap_remove`: subscriptions of one filter keep hearing in the order they came.
        let take = |seats: &mut Vec<Seat>| seats.iter().position(|s| s.id == id).map(|at| seats.remove(at));
        if let Some(seats) = self.literal.get_mut(filter)
            && let Some(seat) = take(seats)
        {
            if seats.is_empty() {
                self.literal.remove(filter);
            }
            return Some(seat);
        }
        if let Some(seat) = take(&mut self.wildcard) {
            return Some(seat);
        }
        let seat = self.groups.iter_mut().find_map(|group| take(&mut group.members));
        self.groups.retain(|group| !group.members.is_empty());
        seat
    }

    /// Puts a message into the queue of every plain subscription and of one member of every group,
    /// and says whether anyone listens at all. A full queue counts as listening.
    pub(super) fn deliver(&self, message: Message, counters: &Counters) -> bool {
        let mut heard = false;
        // One place is kept back, so that the last listener gets the message itself and only the others a copy.
        let mut place: Option<mpsc::Permit<'_, Message>> = None;
        let mut give = |next| {
            if let Some(permit) = place.replace(next) {
                permit.send(message.clone());
            }
        };

        let literal = self.literal.get(&*message.subject).into_iter().flatten();
        let wildcard = self.wildcard.iter().filter(|seat| seat.matches(&message.subject));
        for seat in literal.chain(wildcard) {
            match seat.sender.try_reserve() {
                Ok(permit) => {
                    counters.received();
                    give(permit);
                }
                Err(mpsc::error::TrySendError::Full(())) => seat.losses.count(counters, &seat.filter),
                Err(mpsc::error::TrySendError::Closed(())) => continue,
            }
            heard = true;
        }
        for group in &self.groups {
            match group.choose(&message.subject) {
                Choice::Place(permit) => {
                    counters.received();
                    give(permit);
                }
                Choice::AllFull(seat) => seat.losses.count(counters, &seat.filter),
                Choice::Nobody => continue,
            }
            heard = true;
        }

        if let Some(permit) = place {
            permit.send(message);
        }
        heard
    }
}

enum Choice<'a> {
    Place(mpsc::Permit<'a, Message>),
    AllFull(&'a Seat),
    Nobody,
}

impl Group {
    /// The member with room that was not chosen for longest. A counter over all members would be
    /// uneven where only some of them match.
    fn choose(&self, subject: &str) -> Choice<'_> {
        let listening = || self.members.iter().filter(|seat| seat.matches(subject) && !seat.sender.is_closed());
        let longest_idle = |seat: &&Seat| seat.chosen_at.load(Ordering::Relaxed);
        // A member that had room a moment ago may have been filled by another thread: look again,
        // as many times as there are members.
        for _ in 0..self.members.len() {
            let Some(seat) = listening().filter(|seat| seat.sender.capacity() > 0).min_by_key(longest_idle) else {
                break;
            };
            seat.chosen_at.store(self.turn.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            if let Ok(permit) = seat.sender.try_reserve() {
                return Choice::Place(permit);
            }
        }
        listening().min_by_key(longest_idle).map_or(Choice::Nobody, Choice::AllFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outgoing;

    fn seat(filter: &str) -> (Seat, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(4);
        (Seat::new(filter, sender), receiver)
    }

    fn send(table: &Table, subject: &str) -> bool {
        table.deliver(Outgoing::new(subject, "x").into(), &Counters::default())
    }

    #[test]
    fn leaving_leaves_nothing_behind() {
        let mut table = Table::default();
        let seats = [("a", None), ("a", None), ("a.*", None), ("a", Some("q")), ("b.>", Some("q")), ("a", Some("r"))];
        let taken = seats.map(|(filter, queue)| {
            let (seat, receiver) = seat(filter);
            (filter, table.join(seat, queue), receiver)
        });
        for (filter, id, _) in &taken {
            assert_eq!(table.leave(filter, *id).map(|s| s.id), Some(*id));
            assert!(table.leave(filter, *id).is_none());
        }
        assert!(table.literal.is_empty() && table.wildcard.is_empty() && table.groups.is_empty());
        assert!(!send(&table, "a"));
    }

    #[test]
    fn a_group_passes_over_full_members_and_shares_evenly_among_those_that_match() {
        let mut table = Table::default();
        let (first, mut one) = seat("t.a");
        let (other, mut elsewhere) = seat("t.b");
        let (second, mut two) = seat("t.*");
        for seat in [first, other, second] {
            table.join(seat, Some("q"));
        }
        for _ in 0..6 {
            assert!(send(&table, "t.a"));
        }
        assert_eq!((one.len(), two.len(), elsewhere.len()), (3, 3, 0));
        assert!(one.try_recv().is_ok() && two.try_recv().is_ok() && elsewhere.try_recv().is_err());

        let counters = Counters::default();
        for _ in 0..5 {
            table.deliver(Outgoing::new("t.a", "x").into(), &counters);
        }
        let stats = counters.snapshot(0);
        assert_eq!((stats.received, stats.dropped_slow_consumer), (4, 1));
    }

    #[test]
    fn whoever_has_no_room_still_listens() {
        for queue in [None, Some("q")] {
            let mut table = Table::default();
            let (seat, receiver) = seat("a");
            table.join(seat, queue);
            for _ in 0..10 {
                assert!(send(&table, "a"), "{queue:?}");
            }
            assert_eq!(receiver.len(), 4);
        }
    }
}
