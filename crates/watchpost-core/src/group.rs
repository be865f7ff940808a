//! Tasks that live and die together.

use std::collections::BTreeSet;

/// What the failure of one task means for the others of its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupPolicy {
    /// Nothing: each reports its own outcome.
    #[default]
    CollectAll,
    /// The first failure cancels the others, which report it as the cause.
    FailFast,
}

/// The tasks of one request, until each has its outcome.
///
/// **Invariant:** a group asks for its siblings to be cancelled at most once.
#[derive(Debug)]
pub struct TaskGroup<K> {
    policy: GroupPolicy,
    open: BTreeSet<K>,
    failed: bool,
}

impl<K: Copy + Ord> TaskGroup<K> {
    /// A group of no tasks yet.
    pub fn new(policy: GroupPolicy) -> Self {
        Self { policy, open: BTreeSet::new(), failed: false }
    }

    /// Adds a task. A group that has failed fast already tells the caller not to start it.
    #[must_use]
    pub fn add(&mut self, key: K) -> bool {
        self.open.insert(key);
        !self.is_failing_fast()
    }

    /// A task of the group ended. Gives the siblings to cancel: on the first failure of a group
    /// that fails fast, those that are open.
    pub fn settled(&mut self, key: K, passed: bool) -> Vec<K> {
        self.open.remove(&key);
        let first_failure = !passed && !self.failed;
        self.failed |= !passed;
        if first_failure && self.policy == GroupPolicy::FailFast {
            return self.open.iter().copied().collect();
        }
        Vec::new()
    }

    /// Whether a failure has ended the group before its tasks did.
    pub fn is_failing_fast(&self) -> bool {
        self.failed && self.policy == GroupPolicy::FailFast
    }

    /// The tasks that have no outcome yet.
    pub fn open(&self) -> impl Iterator<Item = K> {
        self.open.iter().copied()
    }

    /// Whether every task has its outcome.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(policy: GroupPolicy) -> TaskGroup<u8> {
        let mut group = TaskGroup::new(policy);
        for key in 1..=3 {
            assert!(group.add(key));
        }
        group
    }

    #[test]
    fn o5_collect_all_never_cancels() {
        let mut group = group(GroupPolicy::CollectAll);
        assert!(group.settled(1, false).is_empty());
        assert!(group.settled(2, true).is_empty());
        assert!(group.settled(3, false).is_empty());
        assert!(group.is_done());
    }

    #[test]
    fn o5_fail_fast_cancels_the_open_siblings_once() {
        let mut group = group(GroupPolicy::FailFast);
        assert!(group.settled(2, true).is_empty());
        assert_eq!(group.settled(1, false), [3]);
        assert!(!group.add(4), "a task that comes after the failure must not start");
        assert!(group.settled(3, false).is_empty(), "the cancelled sibling is not a second cause");
        assert!(group.settled(4, false).is_empty());
        assert!(group.is_done());
    }
}
