//! Who gets which worker.

mod queue;
mod seats;
mod step;

use std::collections::BTreeMap;
use std::time::Duration;

use self::queue::{Queue, Waiting};
pub use self::seats::Seat;
use self::seats::{Place, Seats};
pub use self::step::{Arrival, Class, Refusal, Step};
use crate::Tick;

/// The bounds of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// How many tasks may wait for a worker. See [`Pool`] for who is refused beyond that.
    pub queue_max: usize,
    /// How long a task may wait for a worker; its own deadline bounds it further.
    pub wait_max: Duration,
    /// How many workers one check may hold at a time; at least one, whatever is said here.
    pub per_check_max: usize,
}

/// How a pool stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PoolStats {
    /// Workers that it has, at home or out, and those that are being built anew.
    pub size: usize,
    /// Workers that it was asked to have. Less than `size` while surplus ones are out with a task.
    pub target: usize,
    /// Workers that wait for a task.
    pub idle: usize,
    /// Workers that are out with a task.
    pub busy: usize,
    /// Workers that are lost or yet to come: being built, or waiting for their back-off.
    pub rebuilding: usize,
    /// Tasks that wait for a worker.
    pub waiting: usize,
}

/// The workers `W` of one check type, and the tasks that wait for them: each has a key `K`, belongs
/// to a check `C` and carries a job `J`.
///
/// **Order.** Ad-hoc tasks go before scheduled ones, then the earliest deadline is first, then the
/// first to come. A check that holds `per_check_max` workers is passed over, so the workers beyond
/// that number are out of its reach. Several checks may still hold all of them together: then a task
/// with a later deadline than theirs waits, for `wait_max` at most.
///
/// **Full queue.** The check with the most waiting tasks gives up its last one, if it has at least
/// two more than the newcomer's check. Else an ad-hoc newcomer displaces the last of the scheduled
/// ones. Else the newcomer is refused.
///
/// **Cost.** O(log n) in the waiting tasks for every event and every step that it yields;
/// [`Pool::resize`] also takes O(m) in the checks that wait or run.
///
/// Events give what is to be done in `steps`, in the order in which it was decided. Each event first
/// does what [`Pool::advance`] does, and last starts whatever may start.
///
/// **Invariants:** `idle + busy + rebuilding = size`; after every event no task waits that may start
/// while a worker idles; a task leaves exactly once, in [`Step::Start`] or [`Step::Refuse`], and starts
/// only before its wait is over; `waiting ≤ queue_max`.
//
// Clone, Eq and Hash hold only where workers and jobs have them. Real workers do not; the tests that
// explore every state of a pool give it some that do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool<K, C, W, J> {
    limits: Limits,
    closed: bool,
    /// Counted by itself and not derived, so that a lost worker shows.
    size: usize,
    target: usize,
    idle: Vec<(Place, W)>,
    /// The tasks that workers are out with, and whose they are.
    running: BTreeMap<K, (C, Place)>,
    seats: Seats,
    queue: Queue<K, C, J>,
}

impl<K: Copy + Ord, C: Clone + Ord, W, J> Pool<K, C, W, J> {
    /// A pool of these workers.
    pub fn new(limits: Limits, workers: Vec<W>) -> Self {
        let mut seats = Seats::default();
        let idle: Vec<_> = workers.into_iter().map(|worker| (seats.furnish(), worker)).collect();
        Self {
            limits,
            closed: false,
            size: idle.len(),
            target: idle.len(),
            idle,
            running: BTreeMap::new(),
            seats,
            queue: Queue::new(limits.per_check_max),
        }
    }

    /// Takes a task: starts it, keeps it waiting, or refuses it. That it waits is no step.
    ///
    /// A task that waits or runs already is refused as [`Refusal::Duplicate`], and goes on.
    pub fn submit(&mut self, now: Tick, arrival: Arrival<K, C>, job: J, steps: &mut Vec<Step<K, W, J>>) {
        // Before waits end: what is refused in this very event must not come in again by it.
        let known = self.running.contains_key(&arrival.key) || self.queue.contains(arrival.key);
        self.begin(now, steps);
        let refusal = if known {
            Some(Refusal::Duplicate)
        } else if self.closed {
            Some(Refusal::Closed)
        } else if arrival.deadline <= now {
            Some(Refusal::DeadlinePassed)
        } else if self.starts_at_once(&arrival.check) || self.makes_room(now, &arrival, steps) {
            None
        } else {
            Some(Refusal::QueueFull)
        };
        match refusal {
            Some(refusal) => steps.push(Step::Refuse { key: arrival.key, job, refusal, waited: Duration::ZERO }),
            None => {
                let until = now.after(self.limits.wait_max).min(arrival.deadline);
                self.queue.push(arrival, job, now, until);
            }
        }
        self.end(now, steps);
    }

    /// A worker is home from the task `key`. One that was out with no such task is dismissed.
    pub fn worker_returned(&mut self, now: Tick, key: K, worker: W, steps: &mut Vec<Step<K, W, J>>) {
        self.begin(now, steps);
        match self.leave(key) {
            Some(mut place) => {
                place.losses = 0;
                self.idle.push((place, worker));
            }
            None => steps.push(Step::Dismiss { worker }),
        }
        self.end(now, steps);
    }

    /// The worker that was out with the task `key` panicked, or is gone otherwise. The task is over,
    /// and a new worker is built after a back-off: 10 ms, twice as much for each further loss in a
    /// row at this seat, 1 s at most.
    pub fn worker_lost(&mut self, now: Tick, key: K, steps: &mut Vec<Step<K, W, J>>) {
        self.begin(now, steps);
        if let Some(place) = self.leave(key) {
            self.seats.lose(now, place);
        }
        self.end(now, steps);
    }

    /// The worker that [`Step::Build`] asked for; `None` if it could not be made, which backs off as
    /// [`Pool::worker_lost`] does. A worker that nobody asked for is dismissed.
    pub fn built(&mut self, now: Tick, seat: Seat, worker: Option<W>, steps: &mut Vec<Step<K, W, J>>) {
        // Before back-offs end: what this very event asks for is not what was built.
        let place = self.seats.built(seat);
        self.begin(now, steps);
        match (place, worker) {
            (Some(place), Some(worker)) => self.idle.push((place, worker)),
            (Some(place), None) => self.seats.lose(now, place),
            (None, Some(worker)) => steps.push(Step::Dismiss { worker }),
            (None, None) => {}
        }
        self.end(now, steps);
    }

    /// Refuses what has waited too long, and builds where the back-off is over.
    pub fn advance(&mut self, now: Tick, steps: &mut Vec<Step<K, W, J>>) {
        self.begin(now, steps);
        self.end(now, steps);
    }

    /// When [`Pool::advance`] is due next.
    pub fn next_wake(&self) -> Option<Tick> {
        [self.queue.next_expiry(), self.seats.next_due()].into_iter().flatten().min()
    }

    /// Refuses a task that waits. Gives whether it did wait: it may also run, or be unknown.
    pub fn cancel(&mut self, now: Tick, key: K, steps: &mut Vec<Step<K, W, J>>) -> bool {
        self.begin(now, steps);
        let waiting = self.queue.take_key(key);
        let waited = waiting.is_some();
        if let Some(waiting) = waiting {
            steps.push(refuse(now, waiting, Refusal::Cancelled));
        }
        self.end(now, steps);
        waited
    }

    /// Asks for `size` workers, and bounds what one check may hold.
    ///
    /// Growing first keeps workers that were to go, then asks for new ones. Shrinking takes seats that
    /// wait for their back-off, then idle workers, then others as they come home: no task is disturbed.
    pub fn resize(&mut self, now: Tick, size: usize, per_check_max: usize, steps: &mut Vec<Step<K, W, J>>) {
        self.begin(now, steps);
        self.target = size;
        self.limits.per_check_max = per_check_max;
        self.queue.set_per_check_max(per_check_max);
        for _ in self.size..size {
            steps.push(Step::Build { seat: self.seats.add() });
        }
        self.size = self.size.max(size);
        self.end(now, steps);
    }

    /// Takes no more tasks, and refuses those that wait. Workers that are out come home as ever.
    pub fn close(&mut self, now: Tick, steps: &mut Vec<Step<K, W, J>>) {
        self.begin(now, steps);
        self.closed = true;
        while let Some(waiting) = self.queue.take_first() {
            steps.push(refuse(now, waiting, Refusal::Closed));
        }
        self.end(now, steps);
    }

    /// Takes tasks again.
    pub fn open(&mut self) {
        self.closed = false;
    }

    /// The tasks that wait, in the order in which they are served.
    pub fn waiting(&self) -> impl Iterator<Item = (K, &J)> {
        self.queue.iter()
    }

    /// The tasks that workers are out with.
    pub fn running(&self) -> impl Iterator<Item = K> {
        self.running.keys().copied()
    }

    /// How it stands.
    pub fn stats(&self) -> PoolStats {
        let stats = PoolStats {
            size: self.size,
            target: self.target,
            idle: self.idle.len(),
            busy: self.running.len(),
            rebuilding: self.seats.len(),
            waiting: self.queue.len(),
        };
        debug_assert_eq!(stats.idle + stats.busy + stats.rebuilding, stats.size, "a worker was lost or made up");
        stats
    }

    fn begin(&mut self, now: Tick, steps: &mut Vec<Step<K, W, J>>) {
        while let Some(waiting) = self.queue.take_expired(now) {
            steps.push(refuse(now, waiting, Refusal::NoFreeWorker));
        }
        while let Some(seat) = self.seats.take_due(now) {
            steps.push(Step::Build { seat });
        }
    }

    fn end(&mut self, now: Tick, steps: &mut Vec<Step<K, W, J>>) {
        // Whoever has just come home is here as well, so this is also how a debt is paid.
        while self.size > self.target {
            if !self.seats.give_up_one() {
                let Some((_, worker)) = self.idle.pop() else { break };
                steps.push(Step::Dismiss { worker });
            }
            self.size -= 1;
        }
        // Invariant: what has waited too long is gone since `begin`, so whatever waits may start.
        while !self.idle.is_empty()
            && let Some(waiting) = self.queue.take_next()
            && let Some((place, worker)) = self.idle.pop()
        {
            let Waiting { key, check, job, since, .. } = waiting;
            self.queue.worker_taken(&check);
            self.running.insert(key, (check, place));
            steps.push(Step::Start { key, job, worker, waited: now.since(since) });
        }
    }

    fn starts_at_once(&self, check: &C) -> bool {
        // Invariant: nothing that may start waits while a worker idles, so the newcomer is next.
        !self.idle.is_empty() && self.queue.may_start(check)
    }

    /// Whether the newcomer may wait, after somebody else had to give way if need be.
    fn makes_room(&mut self, now: Tick, arrival: &Arrival<K, C>, steps: &mut Vec<Step<K, W, J>>) -> bool {
        if self.queue.len() < self.limits.queue_max {
            return true;
        }
        let Some(waiting) = self.queue.take_for(&arrival.check, arrival.class) else { return false };
        steps.push(refuse(now, waiting, Refusal::QueueFull));
        true
    }

    /// The task `key` is over. Gives the place of its worker.
    fn leave(&mut self, key: K) -> Option<Place> {
        let (check, place) = self.running.remove(&key)?;
        self.queue.worker_home(&check);
        Some(place)
    }
}

fn refuse<K, C, W, J>(now: Tick, waiting: Waiting<K, C, J>, refusal: Refusal) -> Step<K, W, J> {
    let waited = now.since(waiting.since);
    Step::Refuse { key: waiting.key, job: waiting.job, refusal, waited }
}
