//! What a stop could not bring to an end.

use std::fmt;

use watchpost_model::{CheckId, TaskId};

use crate::AgentError;

/// A task that had no reported outcome when the grace was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// The task.
    pub task: TaskId,
    /// Its check.
    pub check: CheckId,
    /// The endpoint that it was for.
    pub endpoint: String,
    /// Who gave it up, and in which state it was.
    pub state: &'static str,
}

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} of check {} against {}: {}", self.task, self.check, self.endpoint, self.state)
    }
}

/// How the stop of one role ended.
#[derive(Debug, Default)]
pub(crate) struct RoleStop {
    /// Tasks whose outcome it did not see or send.
    pub(crate) abandoned: Vec<Abandoned>,
    /// Whether everything that it published has left the process.
    pub(crate) flushed: bool,
    /// Which part of it was not there any more.
    pub(crate) gone: Option<AgentError>,
}
