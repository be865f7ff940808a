//! Requests to cancel that came before their tasks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use watchpost_core::Tick;
use watchpost_model::{Reason, RunId, Task, TaskId};

/// How long a request is remembered: far longer than a task can be on its way from bus to Dispatcher.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// How many ids are remembered. Beyond it the oldest are forgotten, and their tasks end by their deadline.
const KEPT_MAX: usize = 65_536;

/// What was to be cancelled and was not here. Tasks and requests to cancel them come on different
/// subjects, so that a request can overtake its tasks.
#[derive(Debug, Default)]
pub(super) struct CancelledAhead {
    reasons: HashMap<Id, Arc<Reason>>,
    /// Invariant: has each key of `reasons` once, the oldest first.
    oldest: VecDeque<(Tick, Id)>,
}

/// What a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Task(TaskId),
    Run(RunId),
}

impl CancelledAhead {
    /// Remembers that `id` is to be cancelled.
    pub(super) fn note(&mut self, now: Tick, id: Id, reason: &Arc<Reason>) {
        self.forget(now);
        if self.reasons.insert(id, Arc::clone(reason)).is_none() {
            self.oldest.push_back((now, id));
        }
        if self.oldest.len() > KEPT_MAX
            && let Some((_, id)) = self.oldest.pop_front()
        {
            self.reasons.remove(&id);
        }
    }

    /// Why a task that arrives is not to be run, if it is not.
    pub(super) fn reason(&mut self, now: Tick, task: &Task) -> Option<Reason> {
        self.forget(now);
        let reason = self.reasons.get(&Id::Task(task.task)).or_else(|| self.reasons.get(&Id::Run(task.run)));
        reason.map(|reason| Reason::clone(reason))
    }

    fn forget(&mut self, now: Tick) {
        while let Some((noted, id)) = self.oldest.front()
            && now.since(*noted) > KEPT_FOR
        {
            self.reasons.remove(id);
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
        let mut ahead = CancelledAhead::default();
        let reason = Arc::new(Reason::new(ReasonCode::GroupFailed, "a sibling failed"));
        for second in 0..20 {
            ahead.note(Tick::from_secs(second), Id::Run(run(0)), &reason);
            ahead.note(Tick::from_secs(second), Id::Run(run(second.cast_signed())), &reason);
        }
        assert!(ahead.oldest.len() <= 12, "{}", ahead.oldest.len());
        assert_eq!(ahead.oldest.len(), ahead.reasons.len());
        for number in 0..KEPT_MAX as i64 + 100 {
            ahead.note(Tick::from_secs(20), Id::Run(run(1_000 + number)), &reason);
        }
        assert_eq!((ahead.oldest.len(), ahead.reasons.len()), (KEPT_MAX, KEPT_MAX));
        ahead.forget(Tick::from_secs(31));
        assert_eq!((ahead.oldest.len(), ahead.reasons.len()), (0, 0));
    }
}
