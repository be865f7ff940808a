//! What a Runner has accepted and not yet reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use watchpost_model::{CheckId, Task, TaskId};

use crate::Abandoned;
use crate::stats::Stats;

/// Every accepted task without a report, by name.
pub(crate) struct Admissions {
    state: Mutex<State>,
    changed: Notify,
    stats: Arc<Stats>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// In the order in which they came, which is how a stop names them.
    open: BTreeMap<u64, Entry>,
    /// How many of these have their outcome.
    ended: usize,
    /// Whether a stop has begun: from then on what is given up is named.
    stopping: bool,
    given_up: Vec<Abandoned>,
}

struct Entry {
    task: TaskId,
    check: CheckId,
    endpoint: String,
    ended: bool,
}

impl Entry {
    fn abandoned(&self, state: &'static str) -> Abandoned {
        Abandoned { task: self.task, check: self.check.clone(), endpoint: self.endpoint.clone(), state }
    }
}

impl Admissions {
    pub(crate) fn new(stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Notify::new(), stats })
    }

    /// Accepts a task. `permit` bounds how many of its kind there can be.
    pub(super) fn admit(self: &Arc<Self>, task: &Task, permit: OwnedSemaphorePermit) -> Admission {
        let entry =
            Entry { task: task.task, check: task.check.clone(), endpoint: task.endpoint.name.clone(), ended: false };
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, entry);
        self.stats.tasks_accepted.increment();
        Admission { number, admissions: Arc::clone(self), fate: Fate::Dropped, _permit: permit }
    }

    /// A stop has begun.
    pub(super) fn stopping(&self) {
        self.state.lock().stopping = true;
    }

    /// How many accepted tasks have no outcome, and how many have one that is not sent yet.
    pub(super) fn count(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.open.len() - state.ended, state.ended)
    }

    /// Is notified when a count went down.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// What has no report, and what was given up since the stop began.
    pub(super) fn abandoned(&self) -> Vec<Abandoned> {
        let state = self.state.lock();
        let open = state.open.values().map(|entry| {
            entry.abandoned(if entry.ended { "ended, and its result not sent" } else { "accepted, and not ended" })
        });
        open.chain(state.given_up.iter().cloned()).collect()
    }
}

/// The admission of one task: travels with it from the intake until its report is out.
pub(super) struct Admission {
    number: u64,
    admissions: Arc<Admissions>,
    fate: Fate,
    _permit: OwnedSemaphorePermit,
}

/// What became of a task's report.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nobody said: a defect.
    Dropped,
    Reported,
    GivenUp,
}

impl Admission {
    /// The task has its outcome; the report is yet to be sent.
    pub(super) fn ended(&self) {
        let mut state = self.admissions.state.lock();
        if let Some(entry) = state.open.get_mut(&self.number)
            && !entry.ended
        {
            entry.ended = true;
            state.ended += 1;
        }
        drop(state);
        self.admissions.changed.notify_one();
    }

    /// The report is out, or need not be sent.
    pub(super) fn reported(mut self) {
        self.fate = Fate::Reported;
    }

    /// The report cannot be sent.
    pub(super) fn given_up(mut self) {
        self.fate = Fate::GivenUp;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.admissions.state.lock();
        let Some(entry) = state.open.remove(&self.number) else { return };
        state.ended -= usize::from(entry.ended);
        match self.fate {
            Fate::Reported => {}
            Fate::GivenUp if state.stopping => state.given_up.push(entry.abandoned("ended, and its result not sent")),
            Fate::GivenUp => {}
            Fate::Dropped => {
                self.admissions.stats.tasks_unreported.increment();
                tracing::error!(task = %entry.task, check = %entry.check, "a task was dropped without a report; this is a defect of Watchpost");
            }
        }
        drop(state);
        self.admissions.changed.notify_one();
    }
}
