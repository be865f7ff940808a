//! What can be asked for, outside of the schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use watchpost_core::GroupPolicy;
use watchpost_model::{Check, CheckId, RunVerdict, TaskResult};

/// The most tasks of one request. Each further one ends as `missed`/`overloaded`.
pub const RUN_TASKS_MAX: usize = 50_000;

/// One thing to check.
#[derive(Debug)]
pub enum RunItem {
    /// A check.
    Check(Box<Check>),
    /// A check of the configuration, as it is there: its results count as its last ones.
    Configured(Arc<Check>),
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

/// What whoever asked hears.
#[derive(Debug, Clone)]
pub enum RunReport {
    /// How one task ended.
    Result(Box<TaskResult>),
    /// How a run over several endpoints, or of a group, ended.
    Verdict(Box<RunVerdict>),
    /// One item is over: nothing more comes of it.
    Over {
        /// Which one, counted from 0.
        item: usize,
        /// Whether it passed, by the rule of its check.
        passed: bool,
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

/// How a request is run beyond what it asks for.
#[derive(Debug)]
pub(crate) struct RunOptions {
    /// The most endpoints that it may come to.
    pub(crate) endpoints_max: usize,
    /// Yields when whoever asked wants no more of it. One that is dropped says nothing.
    pub(crate) cancelled: Option<oneshot::Receiver<()>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { endpoints_max: RUN_TASKS_MAX, cancelled: None }
    }
}
