//! What is printed: results, and verdicts over whole runs.

use watchpost_agent::RunReport;
use watchpost_model::{Outcome, RunVerdict, TaskResult};

/// One thing to print.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// How one task ended.
    Result(&'a TaskResult),
    /// How a whole run ended.
    Verdict(&'a RunVerdict),
    /// One of the things that were asked for is over: this counts, and is not printed.
    Over {
        /// Whether it passed.
        passed: bool,
    },
}

impl Item<'_> {
    /// How it ended, if that is to be printed.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Result(result) => Some(result.outcome),
            Self::Verdict(verdict) => Some(verdict.outcome),
            Self::Over { .. } => None,
        }
    }

    /// As JSON, without a newline.
    pub fn json(self) -> serde_json::Result<String> {
        match self {
            Self::Result(result) => serde_json::to_string(result),
            Self::Verdict(verdict) => serde_json::to_string(verdict),
            Self::Over { .. } => Ok(String::new()),
        }
    }
}

impl<'a> From<&'a RunReport> for Item<'a> {
    fn from(report: &'a RunReport) -> Self {
        match report {
            RunReport::Result(result) => Self::Result(result),
            RunReport::Verdict(verdict) => Self::Verdict(verdict),
            RunReport::Over { passed, .. } => Self::Over { passed: *passed },
        }
    }
}

/// What comes from the bus.
#[derive(Debug)]
pub enum Heard {
    /// How one task ended.
    Result(Box<TaskResult>),
    /// How a whole run ended.
    Verdict(Box<RunVerdict>),
    /// One of the things that were asked for is over.
    Over {
        /// Whether it passed.
        passed: bool,
    },
}

impl<'a> From<&'a Heard> for Item<'a> {
    fn from(heard: &'a Heard) -> Self {
        match heard {
            Heard::Result(result) => Self::Result(result),
            Heard::Verdict(verdict) => Self::Verdict(verdict),
            Heard::Over { passed } => Self::Over { passed: *passed },
        }
    }
}
