//! What can be asked for, outside of the schedule.

use std::time::Duration;

use watchpost_core::GroupPolicy;
use watchpost_model::{Check, CheckId};

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
