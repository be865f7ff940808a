//! What is printed: results, verdicts over whole runs, and what became of checks.

use watchpost_agent::RunReport;
use watchpost_model::{CheckEvent, Outcome, RunVerdict, TaskResult};

/// One thing to print.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// How one task ended.
    Result(&'a TaskResult),
    /// How a whole run ended.
    Verdict(&'a RunVerdict),
    /// What became of a check.
    Event(&'a CheckEvent),
    /// One of the things that were asked for is over: this counts, and is not printed.
    Over {
        /// Whether it passed.
        passed: bool,
    },
}

impl Item<'_> {
    /// Whether it is printed; with `quiet`, what passed is not.
    pub fn is_printed(self, quiet: bool) -> bool {
        let passed = |outcome| outcome == Outcome::Pass;
        match self {
            Self::Result(result) => !(quiet && passed(result.outcome)),
            Self::Verdict(verdict) => !(quiet && passed(verdict.outcome)),
            Self::Event(_) => true,
            Self::Over { .. } => false,
        }
    }

    /// As JSON, without a newline.
    pub fn json(self) -> serde_json::Result<String> {
        match self {
            Self::Result(result) => serde_json::to_string(result),
            Self::Verdict(verdict) => serde_json::to_string(verdict),
            Self::Event(event) => serde_json::to_string(event),
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
    /// What became of a check.
    Event(Box<CheckEvent>),
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
            Heard::Event(event) => Self::Event(event),
            Heard::Over { passed } => Self::Over { passed: *passed },
        }
    }
}
