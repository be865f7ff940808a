//! What a Runner has accepted and not yet reported.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use watchpost_model::{CheckId, Task, TaskId};

use crate::Abandoned;
use crate::stats::Stats;

/// Every accepted task without a report, by name.
pub(crate) struct Admissions {
    open: Mutex<HashMap<u64, Entry>>,
    next: std::sync::atomic::AtomicU64,
    changed: Notify,
    stats: Arc<Stats>,
}

struct Entry {
    task: TaskId,
    check: CheckId,
    endpoint: String,
    ended: bool,
}

impl Admissions {
    pub(crate) fn new(stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), next: 0.into(), changed: Notify::new(), stats })
    }

    /// Accepts a task. `permit` bounds how many of its kind there can be.
    pub(super) fn admit(self: &Arc<Self>, task: &Task, permit: OwnedSemaphorePermit) -> Admission {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let entry =
            Entry { task: task.task, check: task.check.clone(), endpoint: task.endpoint.name.clone(), ended: false };
        self.open.lock().insert(number, entry);
        self.stats.tasks_accepted.increment();
        Admission { number, admissions: Arc::clone(self), reported: false, _permit: permit }
    }

    /// How many accepted tasks have no outcome, and how many have one that is not sent yet.
    pub(super) fn count(&self) -> (usize, usize) {
        let open = self.open.lock();
        let ended = open.values().filter(|entry| entry.ended).count();
        (open.len() - ended, ended)
    }

    /// Is notified when a count went down.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }

    pub(super) fn abandoned(&self) -> Vec<Abandoned> {
        let open = self.open.lock();
        let abandoned = |entry: &Entry| Abandoned {
            task: entry.task,
            check: entry.check.clone(),
            endpoint: entry.endpoint.clone(),
            state: if entry.ended { "ended, and its result not sent" } else { "accepted, and not ended" },
        };
        open.values().map(abandoned).collect()
    }
}

/// The admission of one task: travels with it from the intake until its report is out.
pub(super) struct Admission {
    number: u64,
    admissions: Arc<Admissions>,
    reported: bool,
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    /// The task has its outcome; the report is yet to be sent.
    pub(super) fn ended(&self) {
        if let Some(entry) = self.admissions.open.lock().get_mut(&self.number) {
            entry.ended = true;
        }
        self.admissions.changed.notify_one();
    }

    /// The report is out, or need not be sent any more.
    pub(super) fn reported(mut self) {
        self.reported = true;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let entry = self.admissions.open.lock().remove(&self.number);
        if let (false, Some(entry)) = (self.reported, entry) {
            self.admissions.stats.tasks_unreported.increment();
            tracing::error!(task = %entry.task, check = %entry.check, "a task was dropped without a report; this is a defect of Watchpost");
        }
        self.admissions.changed.notify_one();
    }
}
