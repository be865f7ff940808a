//! What happened in a simulation, in the order of its time. The oracle reads nothing else.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use watchpost_agent::{AgentStatus, Roles};
use watchpost_model::{
    BeatStatus, BeatTaken, CancelTasks, CheckId, ErrorCode, Outcome, RunId, RunVerdict, Task, TaskClass, TaskId,
    TaskResult, Timestamp,
};

/// A moment of simulated time, in µs since the simulation's start.
pub type Us = u64;

/// A process from its start to its end; one that is started again is another one.
pub type ProcessId = usize;

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Us,
    pub process: ProcessId,
    pub event: Event,
}

#[derive(Debug, Clone)]
#[allow(dead_code, reason = "some of it is there to be printed and to be compared")]
pub enum Event {
    Started(Roles),
    /// Everything of the process was dropped.
    Killed,
    /// It does nothing until then, and does not notice that time passes.
    Stalled(Us),
    /// Its connection to the bus is away until then.
    CutOff(Us, super::network::Line),
    /// The time of day less the simulated time, in µs, from now on.
    DaySet(i64),
    /// The set of checks with this number in the plan is in force.
    Configured {
        set: usize,
        generation: u64,
    },
    Resized {
        largest: usize,
    },
    /// A Checker tried to send a task.
    TaskSent {
        task: TaskNote,
        sent: bool,
    },
    /// A task came to a Runner.
    TaskHeard(TaskNote),
    /// A result that its Runner, or its Checker, tried to publish.
    Reported {
        result: ResultNote,
        sent: bool,
    },
    /// A Runner's result came to a Checker.
    Answered(ResultNote),
    Verdict(Box<RunVerdict>),
    CancelHeard(CancelTasks),
    /// A Checker's answer to a beat, which took no time.
    Beat {
        check: CheckId,
        status: BeatStatus,
        answer: Result<BeatTaken, ErrorCode>,
    },
    ProbeBegan {
        worker: u64,
        task: TaskId,
        run: RunId,
        until: Timestamp,
    },
    ProbeEnded {
        worker: u64,
        task: TaskId,
    },
    RequestMade {
        request: usize,
        items: usize,
        limit_us: Us,
    },
    RequestTold {
        request: usize,
        result: ResultNote,
    },
    /// Nothing more comes of one of its items.
    RequestOver {
        request: usize,
        item: usize,
    },
    /// The last result was told.
    RequestEnded {
        request: usize,
    },
    RequestDropped {
        request: usize,
    },
    Looked(Box<AgentStatus>),
    StopBegan {
        grace_us: Us,
    },
    Stopped {
        abandoned: Vec<TaskId>,
        flushed: bool,
    },
    /// The agent said that one of its actors is gone, or something that cannot be read.
    Broken(String),
}

/// What the log keeps of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNote {
    pub task: TaskId,
    pub run: RunId,
    pub check: CheckId,
    pub endpoint: String,
    pub deadline: Timestamp,
    pub answer_by: Timestamp,
    /// Whether somebody asked for it.
    pub adhoc: bool,
}

/// What the log keeps of a result: nothing that was measured, since that is never the same twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultNote {
    pub task: TaskId,
    pub run: RunId,
    pub check: CheckId,
    pub endpoint: String,
    pub outcome: Outcome,
    pub code: String,
    pub attempt: u32,
    pub by_runner: bool,
    pub decided_at: Timestamp,
    pub config_generation: u64,
}

impl From<&Task> for TaskNote {
    fn from(task: &Task) -> Self {
        Self {
            task: task.task,
            run: task.run,
            check: task.check.clone(),
            endpoint: task.endpoint.name.clone(),
            deadline: task.deadline,
            answer_by: task.answer_by,
            adhoc: task.class == TaskClass::AdHoc,
        }
    }
}

impl From<&TaskResult> for ResultNote {
    fn from(result: &TaskResult) -> Self {
        Self {
            task: result.task,
            run: result.run,
            check: result.check.clone(),
            endpoint: result.target.endpoint.clone(),
            outcome: result.outcome,
            code: result.reason.as_ref().map_or_else(String::new, |reason| reason.code.to_string()),
            attempt: result.attempt,
            by_runner: result.runner.is_some(),
            decided_at: result.finished_at,
            config_generation: result.config_generation,
        }
    }
}

/// Everything that happened. The processes run one after the other through each step of time, so lines are
/// in the order of time within a process only, until the log is closed.
#[derive(Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
}

impl Log {
    pub fn note(&mut self, at: Us, process: ProcessId, event: Event) {
        self.entries.push(Entry { at, process, event });
    }

    /// Everything, in the order of its time.
    pub fn close(&mut self) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|entry| entry.at);
        entries
    }
}

/// A number that is the same for two logs if they are.
pub fn fingerprint(entries: &[Entry]) -> u64 {
    let (mut hasher, mut line) = (DefaultHasher::new(), String::new());
    for entry in entries {
        line.clear();
        // Writing to a string cannot fail.
        let _always = write!(line, "{entry:?}");
        line.hash(&mut hasher);
    }
    hasher.finish()
}

/// For people who look for what went wrong.
pub fn print(entries: &[Entry]) {
    for Entry { at, process, event } in entries {
        println!("{:>9.3} p{process} {event:?}", *at as f64 / 1e6);
    }
}
