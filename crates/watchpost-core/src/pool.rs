//! Who gets which worker.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crate::Tick;

/// The bounds of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many tasks may wait for a worker. One more is refused at once.
    pub queue_max: usize,
    /// How long a task may wait for a worker; its own deadline bounds it further.
    pub wait_max: Duration,
}

/// What is to be done with a task.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<W, J> {
    /// Move both into the message that starts the work.
    Start {
        /// The task.
        job: J,
        /// The worker that executes it.
        worker: W,
        /// How long the task waited.
        waited: Duration,
    },
    /// Nothing: the pool keeps the task until a worker is free or its wait is over.
    Wait,
    /// Report that the task will not be run.
    Refuse {
        /// The task.
        job: J,
        /// Why.
        refusal: Refusal,
        /// How long the task waited.
        waited: Duration,
    },
}

/// Why a task is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// How a pool stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Workers that wait for a task.
    pub idle: usize,
    /// Workers that are out with a task.
    pub busy: usize,
    /// Tasks that wait for a worker.
    pub waiting: usize,
}

/// The workers `W` of one check type, and the tasks `J`, known by a key `K`, that wait for them.
///
/// Waiting tasks are served by earliest deadline, then in order of arrival. Every operation is
/// O(log n) in the number of waiting tasks.
///
/// **Invariants:** `idle + busy = size`; no task waits while a worker idles; a task leaves exactly
/// once, in [`Step::Start`] or [`Step::Refuse`]; `waiting ≤ queue_max`.
#[derive(Debug)]
pub struct Pool<K, W, J> {
    limits: Limits,
    size: usize,
    closed: bool,
    idle: Vec<W>,
    /// The tasks that workers are out with.
    running: BTreeSet<K>,
    /// Waiting tasks in the order in which they are served.
    waiting: BTreeMap<Rank, Waiting<K, J>>,
    /// The same by the moment at which their wait is over.
    expiries: BTreeSet<(Tick, Rank)>,
    /// The same by key.
    ranks: HashMap<K, Rank>,
    arrivals: u64,
}

/// Where a task stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    deadline: Tick,
    arrival: u64,
}

#[derive(Debug)]
struct Waiting<K, J> {
    key: K,
    job: J,
    since: Tick,
    until: Tick,
}

impl<K: Copy + Ord + Hash, W, J> Pool<K, W, J> {
    /// A pool of these workers.
    pub fn new(limits: Limits, workers: Vec<W>) -> Self {
        Self {
            limits,
            size: workers.len(),
            closed: false,
            idle: workers,
            running: BTreeSet::new(),
            waiting: BTreeMap::new(),
            expiries: BTreeSet::new(),
            ranks: HashMap::new(),
            arrivals: 0,
        }
    }

    /// Takes a task that must be over at `deadline`: starts it, keeps it waiting, or refuses it.
    pub fn submit(&mut self, now: Tick, key: K, deadline: Tick, job: J) -> Step<W, J> {
        if let Some(refusal) = self.refusal_on_arrival(now, key, deadline) {
            return Step::Refuse { job, refusal, waited: Duration::ZERO };
        }
        if let Some(worker) = self.idle.pop() {
            self.running.insert(key);
            return Step::Start { job, worker, waited: Duration::ZERO };
        }
        if self.waiting.len() >= self.limits.queue_max {
            return Step::Refuse { job, refusal: Refusal::QueueFull, waited: Duration::ZERO };
        }
        let rank = Rank { deadline, arrival: self.arrivals };
        self.arrivals += 1;
        let until = now.after(self.limits.wait_max).min(deadline);
        self.waiting.insert(rank, Waiting { key, job, since: now, until });
        self.expiries.insert((until, rank));
        self.ranks.insert(key, rank);
        Step::Wait
    }

    fn refusal_on_arrival(&self, now: Tick, key: K, deadline: Tick) -> Option<Refusal> {
        if self.running.contains(&key) || self.ranks.contains_key(&key) {
            return Some(Refusal::Duplicate);
        }
        if self.closed {
            return Some(Refusal::Closed);
        }
        (deadline <= now).then_some(Refusal::DeadlinePassed)
    }

    /// A worker is home from the task `key`. It takes up the next task that waits, unless that
    /// one's wait is over: such tasks are left to [`Pool::expire`], which is due by then.
    pub fn worker_returned(&mut self, now: Tick, key: K, worker: W) -> Option<Step<W, J>> {
        debug_assert!(self.running.contains(&key), "a worker came home from a task that it was not given");
        self.running.remove(&key);
        // Invariant: deadlines order the queue and bound every wait, so a task whose deadline is
        // ahead may still have its wait behind it; those must not be started late.
        let next = self.waiting.iter().find_map(|(rank, waiting)| (waiting.until > now).then_some(*rank));
        let Some(waiting) = next.and_then(|rank| self.take(rank)) else {
            self.idle.push(worker);
            return None;
        };
        self.running.insert(waiting.key);
        Some(Step::Start { job: waiting.job, worker, waited: now.since(waiting.since) })
    }

    /// The next task whose wait is over at `now`, refused. Call until it gives `None`.
    pub fn expire(&mut self, now: Tick) -> Option<Step<W, J>> {
        let (until, rank) = *self.expiries.first()?;
        if until > now {
            return None;
        }
        let waiting = self.take(rank)?;
        Some(Step::Refuse { job: waiting.job, refusal: Refusal::NoFreeWorker, waited: now.since(waiting.since) })
    }

    /// When [`Pool::expire`] is due next.
    pub fn next_expiry(&self) -> Option<Tick> {
        self.expiries.first().map(|(until, _)| *until)
    }

    /// Takes a waiting task out. `None` when the task does not wait: it may run, or be unknown.
    pub fn cancel(&mut self, now: Tick, key: K) -> Option<Step<W, J>> {
        let waiting = self.take(*self.ranks.get(&key)?)?;
        Some(Step::Refuse { job: waiting.job, refusal: Refusal::Cancelled, waited: now.since(waiting.since) })
    }

    /// Takes no more tasks from now on, and refuses one of those that wait. Call until it gives `None`.
    pub fn close(&mut self, now: Tick) -> Option<Step<W, J>> {
        self.closed = true;
        let rank = *self.waiting.first_key_value()?.0;
        let waiting = self.take(rank)?;
        Some(Step::Refuse { job: waiting.job, refusal: Refusal::Closed, waited: now.since(waiting.since) })
    }

    /// The tasks that wait, in the order in which they are served.
    pub fn waiting(&self) -> impl Iterator<Item = (K, &J)> {
        self.waiting.values().map(|waiting| (waiting.key, &waiting.job))
    }

    /// How it stands.
    pub fn stats(&self) -> PoolStats {
        let stats = PoolStats { idle: self.idle.len(), busy: self.running.len(), waiting: self.waiting.len() };
        debug_assert_eq!(stats.idle + stats.busy, self.size, "a worker was lost or made up");
        stats
    }

    /// How many workers it has.
    pub fn size(&self) -> usize {
        self.size
    }

    fn take(&mut self, rank: Rank) -> Option<Waiting<K, J>> {
        let waiting = self.waiting.remove(&rank)?;
        self.expiries.remove(&(waiting.until, rank));
        self.ranks.remove(&waiting.key);
        Some(waiting)
    }
}
