//! The tasks that wait for a worker of one pool, and who of them goes next.

use std::collections::{BTreeMap, BTreeSet};

use super::{Arrival, Class};
use crate::Tick;

/// The waiting tasks in the order in which they are served, by key, by the end of their wait and by
/// check, so that whichever way one leaves takes O(log n).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Queue<K, C, J> {
    per_check_max: usize,
    waiting: BTreeMap<Rank, Waiting<K, C, J>>,
    ranks: BTreeMap<K, Rank>,
    expiries: BTreeSet<(Tick, Rank)>,
    /// The checks that wait or hold workers.
    checks: BTreeMap<C, Share>,
    /// The first task of each check that may have one more worker.
    startable: BTreeSet<Rank>,
    /// The checks that wait, by how many tasks they wait with.
    lengths: BTreeSet<(usize, C)>,
    arrivals: u64,
}

/// Where a task stands in the queue: the order of the fields is the order of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rank {
    class: Class,
    deadline: Tick,
    arrival: u64,
}

/// A task that waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Waiting<K, C, J> {
    pub(super) key: K,
    pub(super) check: C,
    pub(super) job: J,
    pub(super) since: Tick,
    until: Tick,
}

/// What one check has of the pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Share {
    waiting: BTreeSet<Rank>,
    busy: usize,
}

impl Share {
    fn startable(&self, per_check_max: usize) -> Option<Rank> {
        self.waiting.first().copied().filter(|_| self.busy < per_check_max)
    }
}

impl<K: Copy + Ord, C: Clone + Ord, J> Queue<K, C, J> {
    pub(super) fn new(per_check_max: usize) -> Self {
        Self {
            per_check_max: per_check_max.max(1),
            waiting: BTreeMap::new(),
            ranks: BTreeMap::new(),
            expiries: BTreeSet::new(),
            checks: BTreeMap::new(),
            startable: BTreeSet::new(),
            lengths: BTreeSet::new(),
            arrivals: 0,
        }
    }

    /// Bounds the workers of each check anew, in O(m log m) for m checks.
    pub(super) fn set_per_check_max(&mut self, per_check_max: usize) {
        self.per_check_max = per_check_max.max(1);
        self.startable = self.checks.values().filter_map(|share| share.startable(self.per_check_max)).collect();
    }

    /// A task that waits from `since` until `until`.
    pub(super) fn push(&mut self, arrival: Arrival<K, C>, job: J, since: Tick, until: Tick) {
        let Arrival { key, check, class, deadline } = arrival;
        let rank = Rank { class, deadline, arrival: self.arrivals };
        self.arrivals += 1;
        self.change(&check, |share| {
            share.waiting.insert(rank);
        });
        self.expiries.insert((until, rank));
        self.ranks.insert(key, rank);
        self.waiting.insert(rank, Waiting { key, check, job, since, until });
    }

    /// The first task in the order of service.
    pub(super) fn take_first(&mut self) -> Option<Waiting<K, C, J>> {
        let rank = *self.waiting.first_key_value()?.0;
        self.take(rank)
    }

    /// The first task of those whose check may have one more worker.
    pub(super) fn take_next(&mut self) -> Option<Waiting<K, C, J>> {
        let rank = *self.startable.first()?;
        self.take(rank)
    }

    /// A task whose wait is over at `now`.
    pub(super) fn take_expired(&mut self, now: Tick) -> Option<Waiting<K, C, J>> {
        let (until, rank) = *self.expiries.first()?;
        if until > now {
            return None;
        }
        self.take(rank)
    }

    pub(super) fn take_key(&mut self, key: K) -> Option<Waiting<K, C, J>> {
        let rank = *self.ranks.get(&key)?;
        self.take(rank)
    }

    /// The task that has to give way to a newcomer of `check`, as [`Pool`](super::Pool) tells; `None`
    /// if the newcomer has to.
    pub(super) fn take_for(&mut self, check: &C, class: Class) -> Option<Waiting<K, C, J>> {
        let length = self.checks.get(check).map_or(0, |share| share.waiting.len());
        let (longest, greedy) = self.lengths.last()?;
        let rank = if *longest >= length + 2 {
            *self.checks.get(greedy)?.waiting.last()?
        } else {
            // Invariant: scheduled tasks rank behind all ad-hoc ones.
            let last = *self.waiting.last_key_value()?.0;
            if last.class <= class {
                return None;
            }
            last
        };
        self.take(rank)
    }

    pub(super) fn worker_taken(&mut self, check: &C) {
        self.change(check, |share| share.busy += 1);
    }

    pub(super) fn worker_home(&mut self, check: &C) {
        self.change(check, |share| share.busy -= 1);
    }

    /// Whether the check may have one more worker.
    pub(super) fn may_start(&self, check: &C) -> bool {
        self.checks.get(check).is_none_or(|share| share.busy < self.per_check_max)
    }

    pub(super) fn contains(&self, key: K) -> bool {
        self.ranks.contains_key(&key)
    }

    /// When [`Queue::take_expired`] gives one next.
    pub(super) fn next_expiry(&self) -> Option<Tick> {
        self.expiries.first().map(|(until, _)| *until)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &J)> {
        self.waiting.values().map(|waiting| (waiting.key, &waiting.job))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn take(&mut self, rank: Rank) -> Option<Waiting<K, C, J>> {
        let waiting = self.waiting.remove(&rank)?;
        self.expiries.remove(&(waiting.until, rank));
        self.ranks.remove(&waiting.key);
        self.change(&waiting.check, |share| {
            share.waiting.remove(&rank);
        });
        Some(waiting)
    }

    /// Changes what a check has, and keeps `startable` and `lengths` in step: nobody else writes them.
    fn change(&mut self, check: &C, change: impl FnOnce(&mut Share)) {
        let share = self.checks.entry(check.clone()).or_default();
        let before = (share.startable(self.per_check_max), share.waiting.len());
        change(share);
        let after = (share.startable(self.per_check_max), share.waiting.len());
        if share.waiting.is_empty() && share.busy == 0 {
            self.checks.remove(check);
        }
        if before.0 != after.0 {
            before.0.map(|rank| self.startable.remove(&rank));
            self.startable.extend(after.0);
        }
        if before.1 != after.1 {
            self.lengths.remove(&(before.1, check.clone()));
            if after.1 > 0 {
                self.lengths.insert((after.1, check.clone()));
            }
        }
    }
}
