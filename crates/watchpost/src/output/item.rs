//! What is printed: results, and verdicts over whole runs.

use watchpost_model::{Outcome, RunVerdict, TaskResult};

/// One thing to print.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// How one task ended.
    Result(&'a TaskResult),
    /// How a whole run ended.
    Verdict(&'a RunVerdict),
}

impl Item<'_> {
    /// How it ended.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Result(result) => result.outcome,
            Self::Verdict(verdict) => verdict.outcome,
        }
    }

    /// As JSON, without a newline.
    pub fn json(self) -> serde_json::Result<String> {
        match self {
            Self::Result(result) => serde_json::to_string(result),
            Self::Verdict(verdict) => serde_json::to_string(verdict),
        }
    }
}

impl<'a> From<&'a TaskResult> for Item<'a> {
    fn from(result: &'a TaskResult) -> Self {
        Self::Result(result)
    }
}

/// What comes from the bus.
#[derive(Debug)]
pub enum Heard {
    /// How one task ended.
    Result(Box<TaskResult>),
    /// How a whole run ended.
    Verdict(Box<RunVerdict>),
}

impl<'a> From<&'a Heard> for Item<'a> {
    fn from(heard: &'a Heard) -> Self {
        match heard {
            Heard::Result(result) => Self::Result(result),
            Heard::Verdict(verdict) => Self::Verdict(verdict),
        }
    }
}
