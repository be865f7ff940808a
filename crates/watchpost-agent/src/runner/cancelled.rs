//! What was cancelled a moment ago: tasks that are still to come, and tasks that may come again.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use watchpost_core::Tick;
use watchpost_model::{Reason, RunId, Task, TaskId};

/// How long it is remembered: far longer than a task can be on its way from bus to Dispatcher.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// How many ids of each kind are remembered. Beyond it the oldest are forgotten: what was to be cancelled ends by
/// its deadline then.
const KEPT_MAX: usize = 65_536;

/// What of the tasks that were cancelled matters to those that arrive.
#[derive(Debug, Default)]
pub(super) struct Cancelled {
    /// What was not here. Tasks and requests to cancel them come on different subjects, so that a request can
    /// overtake its tasks.
    ahead: Recent<Id, Arc<Reason>>,
    /// What was here, and has its one result.
    told: Recent<TaskId, ()>,
}

/// What a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Task(TaskId),
    Run(RunId),
}

/// Why a task that arrives is not to be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotRun {
    /// It was cancelled before it came, and nobody has said so yet.
    Cancelled(Reason),
    /// It was cancelled here and has its result: this is a duplicate.
    Told,
}

impl Cancelled {
    /// Remembers that `id`, which is not here, is to be cancelled.
    pub(super) fn note_ahead(&mut self, now: Tick, id: Id, reason: &Arc<Reason>) {
        self.ahead.note(now, id, Arc::clone(reason));
    }

    /// Remembers that the result of a cancelled task is told, or about to be.
    pub(super) fn note_told(&mut self, now: Tick, task: TaskId) {
        self.told.note(now, task, ());
    }

    /// Why a task that arrives is not to be run, if it is not.
    pub(super) fn why_not(&mut self, now: Tick, task: &Task) -> Option<NotRun> {
        self.ahead.forget(now);
        self.told.forget(now);
        if self.told.kept.contains_key(&task.task) {
            return Some(NotRun::Told);
        }
        let ahead = &self.ahead.kept;
        let reason = ahead.get(&Id::Task(task.task)).or_else(|| ahead.get(&Id::Run(task.run)));
        reason.map(|reason| NotRun::Cancelled(Reason::clone(reason)))
    }
}

/// Things by their names, for [`KEPT_FOR`], [`KEPT_MAX`] of them.
#[derive(Debug)]
struct Recent<K, V> {
    kept: HashMap<K, V>,
    /// Invariant: has each key of `kept` once, the oldest first.
    oldest: VecDeque<(Tick, K)>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { kept: HashMap::new(), oldest: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    fn note(&mut self, now: Tick, key: K, value: V) {
        self.forget(now);
        if self.kept.insert(key, value).is_none() {
            self.oldest.push_back((now, key));
        }
        if self.oldest.len() > KEPT_MAX
            && let Some((_, key)) = self.oldest.pop_front()
        {
            self.kept.remove(&key);
        }
    }

    fn forget(&mut self, now: Tick) {
        while let Some((noted, key)) = self.oldest.front()
            && now.since(*noted) > KEPT_FOR
        {
            self.kept.remove(key);
            self.oldest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use watchpost_model::{BastionId, CheckId, ReasonCode, Timestamp};

    use super::*;

    fn run(number: i64) -> RunId {
        let (bastion, check): (BastionId, CheckId) = ("b".parse().unwrap(), "c".parse().unwrap());
        RunId::derive(&bastion, &check, Timestamp::from_microsecond(number).unwrap())
    }

    #[test]
    fn requests_are_remembered_for_a_while_and_in_bounded_number() {
        let mut cancelled = Cancelled::default();
        let reason = Arc::new(Reason::new(ReasonCode::GroupFailed, "a sibling failed"));
        for second in 0..20 {
            cancelled.note_ahead(Tick::from_secs(second), Id::Run(run(0)), &reason);
            cancelled.note_ahead(Tick::from_secs(second), Id::Run(run(second.cast_signed())), &reason);
        }
        assert!(cancelled.ahead.oldest.len() <= 12, "{}", cancelled.ahead.oldest.len());
        assert_eq!(cancelled.ahead.oldest.len(), cancelled.ahead.kept.len());
        for number in 0..KEPT_MAX as i64 + 100 {
            cancelled.note_ahead(Tick::from_secs(20), Id::Run(run(1_000 + number)), &reason);
        }
        assert_eq!((cancelled.ahead.oldest.len(), cancelled.ahead.kept.len()), (KEPT_MAX, KEPT_MAX));
        cancelled.ahead.forget(Tick::from_secs(31));
        assert_eq!((cancelled.ahead.oldest.len(), cancelled.ahead.kept.len()), (0, 0));
    }
}
