//! The pool against a naive model of it, over long random sequences of events.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use watchpost_core::{Limits, Pool, Refusal, Step, Tick};

const QUEUE_MAX: usize = 4;
const WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
enum Event {
    Submit {
        key: u8,
        deadline_in: u64,
    },
    /// The n-th of those that run, counted round.
    Return(usize),
    Cancel(u8),
    Pass(u64),
    Close,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0u8..20, 0u64..60).prop_map(|(key, deadline_in)| Event::Submit { key, deadline_in }),
        6 => (0usize..8).prop_map(Event::Return),
        2 => (0u8..20).prop_map(Event::Cancel),
        3 => (0u64..20).prop_map(Event::Pass),
        1 => Just(Event::Close),
    ]
}

/// A worker that cannot be cloned: what is lost or doubled does not compile or does not add up.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worker(usize);

#[derive(Debug)]
struct Waiting {
    key: u8,
    deadline: Tick,
    until: Tick,
    since: Tick,
}

/// What the pool should do, in the plainest way.
#[derive(Default)]
struct Model {
    idle: usize,
    running: Vec<u8>,
    waiting: Vec<Waiting>,
    closed: bool,
}

impl Model {
    fn submit(&mut self, now: Tick, key: u8, deadline: Tick) -> Result<bool, Refusal> {
        if self.running.contains(&key) || self.waiting.iter().any(|w| w.key == key) {
            return Err(Refusal::Duplicate);
        }
        if self.closed {
            return Err(Refusal::Closed);
        }
        if deadline <= now {
            return Err(Refusal::DeadlinePassed);
        }
        if self.idle > 0 {
            self.idle -= 1;
            self.running.push(key);
            return Ok(true);
        }
        if self.waiting.len() == QUEUE_MAX {
            return Err(Refusal::QueueFull);
        }
        self.waiting.push(Waiting { key, deadline, until: now.after(WAIT_MAX).min(deadline), since: now });
        Ok(false)
    }

    /// The next to be served: earliest deadline, then first come.
    fn next(&mut self, now: Tick) -> Option<Waiting> {
        let best = self.waiting.iter().enumerate().filter(|(_, w)| w.until > now);
        let (at, _) = best.min_by_key(|(at, w)| (w.deadline, *at))?;
        Some(self.waiting.remove(at))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Guarantee 2 and the dispatch half of guarantee 1.
    #[test]
    fn guarantee_2_the_pool_does_what_the_plain_model_does(
        size in 0usize..4,
        events in proptest::collection::vec(event(), 1..200),
    ) {
        let limits = Limits { queue_max: QUEUE_MAX, wait_max: WAIT_MAX };
        let mut pool: Pool<u8, Worker, u8> = Pool::new(limits, (0..size).map(Worker).collect());
        let mut model = Model { idle: size, ..Model::default() };
        let mut out: BTreeMap<u8, Worker> = BTreeMap::new();
        let mut now = Tick::ZERO;
        for event in events {
            // As the Dispatcher does: what has waited too long goes first.
            let expired: Vec<u8> = std::iter::from_fn(|| pool.expire(now)).map(|step| refused(step).0).collect();
            let mut due: Vec<_> = model.waiting.iter().filter(|w| w.until <= now).map(|w| w.key).collect();
            model.waiting.retain(|w| w.until > now);
            let mut expired_sorted = expired.clone();
            expired_sorted.sort_unstable();
            due.sort_unstable();
            prop_assert_eq!(expired_sorted, due);

            match event {
                Event::Submit { key, deadline_in } => {
                    let deadline = now.after(Duration::from_secs(deadline_in));
                    match (pool.submit(now, key, deadline, key), model.submit(now, key, deadline)) {
                        (Step::Start { job, worker, waited }, Ok(true)) => {
                            prop_assert_eq!((job, waited), (key, Duration::ZERO));
                            prop_assert!(out.insert(key, worker).is_none());
                        }
                        (Step::Wait, Ok(false)) => {}
                        (Step::Refuse { refusal, .. }, Err(expected)) => prop_assert_eq!(refusal, expected),
                        (step, expected) => prop_assert!(false, "{step:?} where {expected:?} was due"),
                    }
                }
                Event::Return(n) if !out.is_empty() => {
                    let key = *out.keys().nth(n % out.len()).unwrap();
                    let worker = out.remove(&key).unwrap();
                    model.running.retain(|k| *k != key);
                    match (pool.worker_returned(now, key, worker), model.next(now)) {
                        (None, None) => model.idle += 1,
                        (Some(Step::Start { job, worker, waited }), Some(next)) => {
                            prop_assert_eq!((job, waited), (next.key, now.since(next.since)));
                            model.running.push(job);
                            prop_assert!(out.insert(job, worker).is_none());
                        }
                        (step, next) => prop_assert!(false, "{step:?} where {next:?} was next"),
                    }
                }
                Event::Return(_) => {}
                Event::Cancel(key) => {
                    let waits = model.waiting.iter().position(|w| w.key == key).map(|at| model.waiting.remove(at));
                    let step = pool.cancel(now, key);
                    prop_assert_eq!(step.map(refused), waits.map(|w| (w.key, Refusal::Cancelled)));
                }
                Event::Pass(secs) => now = now.after(Duration::from_secs(secs)),
                Event::Close => {
                    let mut closed: Vec<_> =
                        std::iter::from_fn(|| pool.close(now)).map(|step| refused(step).0).collect();
                    let mut waiting: Vec<_> = model.waiting.drain(..).map(|w| w.key).collect();
                    closed.sort_unstable();
                    waiting.sort_unstable();
                    prop_assert_eq!(closed, waiting);
                    model.closed = true;
                }
            }

            let stats = pool.stats();
            prop_assert_eq!(stats.idle + stats.busy, size, "a worker was lost or made up");
            prop_assert_eq!((stats.idle, stats.busy, stats.waiting), (model.idle, out.len(), model.waiting.len()));
            let runnable = model.waiting.iter().any(|w| w.until > now);
            prop_assert!(!(runnable && stats.idle > 0), "a task waits while a worker idles");
        }
    }
}

fn refused(step: Step<Worker, u8>) -> (u8, Refusal) {
    match step {
        Step::Refuse { job, refusal, .. } => (job, refusal),
        other => panic!("{other:?} is not a refusal"),
    }
}

fn pool_of(size: usize, queue_max: usize) -> Pool<u32, Worker, u32> {
    Pool::new(Limits { queue_max, wait_max: WAIT_MAX }, (0..size).map(Worker).collect())
}

const FAR: Tick = Tick::from_secs(3600);

#[test]
fn o4_a_task_that_waited_too_long_is_cancelled_and_never_starts() {
    let mut pool = pool_of(1, 10);
    let Step::Start { worker, .. } = pool.submit(Tick::ZERO, 1, FAR, 1) else { panic!("the worker was free") };
    assert_eq!(pool.submit(Tick::ZERO, 2, FAR, 2), Step::Wait);
    assert_eq!(pool.next_expiry(), Some(Tick::from_secs(30)));
    let step = pool.expire(Tick::from_secs(30)).unwrap();
    assert_eq!(step, Step::Refuse { job: 2, refusal: Refusal::NoFreeWorker, waited: WAIT_MAX });
    assert_eq!(pool.worker_returned(Tick::from_secs(31), 1, worker), None, "it must not start now");
}

#[test]
fn o4_a_worker_that_comes_home_late_does_not_start_what_is_past_its_wait() {
    let mut pool = pool_of(1, 10);
    let Step::Start { worker, .. } = pool.submit(Tick::ZERO, 1, FAR, 1) else { panic!("the worker was free") };
    assert_eq!(pool.submit(Tick::ZERO, 2, FAR, 2), Step::Wait);
    // Nobody called expire in time.
    assert_eq!(pool.worker_returned(Tick::from_secs(30), 1, worker), None);
    assert!(pool.expire(Tick::from_secs(30)).is_some());
}

#[test]
fn o3_the_wait_never_exceeds_the_tasks_own_deadline() {
    let mut pool = pool_of(0, 10);
    assert_eq!(pool.submit(Tick::ZERO, 1, Tick::from_secs(5), 1), Step::Wait);
    assert_eq!(pool.next_expiry(), Some(Tick::from_secs(5)));
}

#[test]
fn the_earliest_deadline_is_served_first() {
    let mut pool = pool_of(1, 10);
    let Step::Start { worker, .. } = pool.submit(Tick::ZERO, 0, FAR, 0) else { panic!("the worker was free") };
    for (key, deadline) in [(1, 20), (2, 10), (3, 15), (4, 10)] {
        assert_eq!(pool.submit(Tick::ZERO, key, Tick::from_secs(deadline), key), Step::Wait);
    }
    let mut order = Vec::new();
    let mut home = Some((0, worker));
    while let Some((key, worker)) = home.take() {
        if let Some(Step::Start { job, worker, .. }) = pool.worker_returned(Tick::from_secs(1), key, worker) {
            order.push(job);
            home = Some((job, worker));
        }
    }
    assert_eq!(order, [2, 4, 3, 1]);
}

#[test]
fn the_queue_is_bounded_exactly() {
    let mut pool = pool_of(0, 3);
    let refused = (0..10)
        .filter(|key| {
            matches!(pool.submit(Tick::ZERO, *key, FAR, *key), Step::Refuse { refusal: Refusal::QueueFull, .. })
        })
        .count();
    assert_eq!((refused, pool.stats().waiting), (7, 3));
}
