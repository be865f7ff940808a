//! Runs that somebody asked for, outside of the schedule.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchpost_core::{GroupPolicy, TaskGroup};
use watchpost_model::{Check, CheckId, RunId, TaskId, TaskResult};

/// The most tasks of one request. Each further one ends as `missed`/`overloaded`.
pub const RUN_TASKS_MAX: usize = 50_000;

/// One thing to check.
#[derive(Debug)]
pub enum RunItem {
    /// A check.
    Check(Box<Check>),
    /// Something of which no check could be made. It gets its outcome like the others.
    Invalid {
        /// What to call it.
        id: CheckId,
        /// What was given.
        given: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Asks for checks to be run once, now, all at the same time.
#[derive(Debug)]
pub struct RunRequest {
    /// What to check.
    pub items: Vec<RunItem>,
    /// How long until every outcome must be there.
    pub limit: Duration,
    /// What one failure means for the others.
    pub policy: GroupPolicy,
}

/// A request whose tasks do not all have their outcome yet.
#[derive(Debug)]
pub(crate) struct Adhoc {
    /// Dropped with the request, which tells whoever watches for a requester that goes away.
    pub(crate) _ended: oneshot::Sender<()>,
    pub(crate) group: TaskGroup<TaskId>,
    /// Runs whose names are still being resolved: their tasks are yet to come.
    pub(crate) unresolved: usize,
    pub(crate) runs: Vec<RunId>,
    /// Invariant: its capacity is [`RUN_TASKS_MAX`] plus the number of items, and each task and
    /// each item sends at most one result, so there is always room.
    pub(crate) results: mpsc::Sender<TaskResult>,
    pub(crate) tasks: usize,
    /// Whether items are still being added, so that a group that looks done is not.
    pub(crate) filling: bool,
}

impl Adhoc {
    pub(crate) fn is_done(&self) -> bool {
        !self.filling && self.unresolved == 0 && self.group.is_done()
    }
}
