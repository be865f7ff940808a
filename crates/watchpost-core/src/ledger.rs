//! Every task that was sent, until its one outcome is known.

use std::collections::{BTreeMap, BTreeSet};

use crate::Tick;

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled<E> {
    /// It is the task's outcome.
    First(E),
    /// The task is not open: it was settled before, or was never ours. The answer is dropped.
    NotOpen,
}

/// A task that nobody answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Expired<K, E> {
    /// The task.
    pub key: K,
    /// What was noted of it.
    pub entry: E,
    /// Whether the bus had said that it could not route some open task of the same check.
    pub unroutable: bool,
}

/// The tasks of a Checker that have no outcome yet, each with an entry `E`.
///
/// Tasks belong to a check `C`. Where nobody listens to a task's subject, the bus says so for the
/// check, not for the task; see [`Ledger::unroutable`].
///
/// **Invariant:** each opened task is settled exactly once, by [`Ledger::settle`],
/// [`Ledger::expire`], [`Ledger::unroutable`] or [`Ledger::all_unroutable`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ledger<K, C, E> {
    open: BTreeMap<K, Open<C, E>>,
    expiries: BTreeSet<(Tick, K)>,
    checks: BTreeMap<C, PerCheck<K>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Open<C, E> {
    check: C,
    answer_by: Tick,
    entry: E,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PerCheck<K> {
    open: BTreeSet<K>,
    /// How many of the open ones the bus could not route.
    unroutable: usize,
}

impl<K: Copy + Ord, C: Clone + Ord, E> Default for Ledger<K, C, E> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), expiries: BTreeSet::new(), checks: BTreeMap::new() }
    }
}

impl<K: Copy + Ord, C: Clone + Ord, E> Ledger<K, C, E> {
    /// Notes a task before it is sent. Gives the entry back if the very task is open already.
    ///
    /// # Errors
    /// The entry, when the key is open.
    pub fn open(&mut self, key: K, check: C, answer_by: Tick, entry: E) -> Result<(), E> {
        if self.open.contains_key(&key) {
            return Err(entry);
        }
        let per_check =
            self.checks.entry(check.clone()).or_insert_with(|| PerCheck { open: BTreeSet::new(), unroutable: 0 });
        per_check.open.insert(key);
        self.expiries.insert((answer_by, key));
        self.open.insert(key, Open { check, answer_by, entry });
        Ok(())
    }

    /// An answer for a task: the first one settles it.
    pub fn settle(&mut self, key: K) -> Settled<E> {
        match self.close(key) {
            Some(entry) => Settled::First(entry),
            None => Settled::NotOpen,
        }
    }

    /// The next task that nobody answered until `now`, settled. Call until it gives `None`.
    pub fn expire(&mut self, now: Tick) -> Option<Expired<K, E>> {
        let (answer_by, key) = *self.expiries.first()?;
        if answer_by > now {
            return None;
        }
        let check = self.open.get(&key)?.check.clone();
        let mut unroutable = false;
        if let Some(per_check) = self.checks.get_mut(&check)
            && per_check.unroutable > 0
        {
            // It may have been this one that was not routed; counting it on could make a later
            // task seem unroutable that is not.
            per_check.unroutable -= 1;
            unroutable = true;
        }
        self.close(key).map(|entry| Expired { key, entry, unroutable })
    }

    /// The bus could not route one task of `check`, and cannot say which. Once it has said so for
    /// as many as are open, it is all of them: they are settled and handed out.
    ///
    /// While some of a check's tasks were routed and some not, all stay open until they are
    /// answered or expire.
    pub fn unroutable(&mut self, check: &C) -> Vec<(K, E)> {
        if let Some(per_check) = self.checks.get_mut(check) {
            per_check.unroutable += 1;
        }
        self.all_unroutable(check)
    }

    /// The tasks of `check`, settled, if by now it is all of them that the bus could not route. To be
    /// asked after an answer: the task that was answered is not among them, which may tell which are.
    pub fn all_unroutable(&mut self, check: &C) -> Vec<(K, E)> {
        let Some(per_check) = self.checks.get(check) else { return Vec::new() };
        if per_check.unroutable < per_check.open.len() {
            return Vec::new();
        }
        let keys: Vec<K> = per_check.open.iter().copied().collect();
        keys.into_iter().filter_map(|key| self.close(key).map(|entry| (key, entry))).collect()
    }

    /// When [`Ledger::expire`] is due next.
    pub fn next_expiry(&self) -> Option<Tick> {
        self.expiries.first().map(|(answer_by, _)| *answer_by)
    }

    /// How many tasks of this check are open.
    pub fn open_of(&self, check: &C) -> usize {
        self.checks.get(check).map_or(0, |per_check| per_check.open.len())
    }

    /// The tasks that are open, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &E)> {
        self.open.iter().map(|(key, open)| (*key, &open.entry))
    }

    /// How many tasks are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn close(&mut self, key: K) -> Option<E> {
        let Open { check, answer_by, entry } = self.open.remove(&key)?;
        self.expiries.remove(&(answer_by, key));
        if let Some(per_check) = self.checks.get_mut(&check) {
            per_check.open.remove(&key);
            if per_check.open.is_empty() {
                self.checks.remove(&check);
            }
        }
        Some(entry)
    }
}
