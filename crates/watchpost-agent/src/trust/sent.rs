//! The tasks that this process's own Checker sends, by which its Runner knows them again.
//!
//! Checks of the machine's own file need no signature, and a signature says nothing of the targets that a source found:
//! what the Checker of the same process has decided is known from it, and not from the bus.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use watchpost_core::Tick;
use watchpost_model::{CheckId, Endpoint, Expect, ProbeSettings, Task, TaskId, Timestamp};

/// How many are remembered. Beyond it the oldest are forgotten; they need a proof then, as those of others do.
const KEPT_MAX: usize = 131_072;

/// Tasks that were sent and whose time to be answered is not over.
#[derive(Default)]
pub(super) struct Sent {
    tasks: HashMap<TaskId, Said>,
    /// Invariant: has each id of `tasks`, in the order in which they were sent.
    oldest: VecDeque<(Tick, TaskId)>,
}

/// What a task does.
struct Said {
    check: CheckId,
    endpoint: Endpoint,
    probe: Arc<ProbeSettings>,
    expect: Arc<Expect>,
    deadline: Timestamp,
}

impl Sent {
    /// A task is sent, and nobody runs it after `until`.
    pub(super) fn note(&mut self, now: Tick, until: Tick, task: &Task) {
        self.forget(now);
        let said = Said {
            check: task.check.clone(),
            endpoint: task.endpoint.clone(),
            probe: Arc::clone(&task.probe),
            expect: Arc::clone(&task.expect),
            deadline: task.deadline,
        };
        self.tasks.insert(task.task, said);
        self.oldest.push_back((until, task.task));
        if self.oldest.len() > KEPT_MAX
            && let Some((_, task)) = self.oldest.pop_front()
        {
            self.tasks.remove(&task);
        }
    }

    /// Whether this very task was sent, and its time is not over.
    pub(super) fn has(&mut self, now: Tick, task: &Task) -> bool {
        self.forget(now);
        self.tasks.get(&task.task).is_some_and(|said| {
            said.check == task.check
                && said.endpoint == task.endpoint
                && said.probe == task.probe
                && said.expect == task.expect
                && task.deadline <= said.deadline
        })
    }

    fn forget(&mut self, now: Tick) {
        while let Some((until, task)) = self.oldest.front()
            && *until < now
        {
            self.tasks.remove(task);
            self.oldest.pop_front();
        }
    }
}
