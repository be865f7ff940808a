//! What comes into a pool and what comes out of it.

use std::time::Duration;

use super::Seat;
use crate::Tick;

/// What asks first is served first: the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody asked for it and waits.
    AdHoc,
    /// Its time had come.
    Scheduled,
}

/// What the pool must know of a task that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Arrival<K, C> {
    /// The task.
    pub key: K,
    /// Whose task it is.
    pub check: C,
    /// How urgent it is.
    pub class: Class,
    /// When it must be over. It never starts at this moment or later.
    pub deadline: Tick,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<K, W, J> {
    /// Move both into the message that starts the work.
    Start {
        /// The task.
        key: K,
        /// What was submitted with it.
        job: J,
        /// The worker that executes it.
        worker: W,
        /// How long the task waited.
        waited: Duration,
    },
    /// Report that the task will not be run.
    Refuse {
        /// The task.
        key: K,
        /// What was submitted with it.
        job: J,
        /// Why.
        refusal: Refusal,
        /// How long the task waited.
        waited: Duration,
    },
    /// Make a worker and say so with [`Pool::built`](super::Pool::built), also where it could not be made.
    Build {
        /// The place that the worker is for.
        seat: Seat,
    },
    /// Drop the worker: the pool has no place for it, since it was made smaller.
    Dismiss {
        /// The worker.
        worker: W,
    },
}

/// Why a task is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// As many tasks wait as may.
    QueueFull,
    /// No worker was free within the wait.
    NoFreeWorker,
    /// It came after its deadline.
    DeadlinePassed,
    /// The pool takes no more: it is being drained.
    Closed,
    /// The very task waits or runs already.
    Duplicate,
    /// Somebody cancelled it while it waited.
    Cancelled,
}
