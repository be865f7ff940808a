//! The pool against the plain model of it, over long random sequences of events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use watchpost_core::{Arrival, Class, Limits, Pool, Seat, Tick};

use crate::pool_model::{Expected, Model};

#[derive(Debug, Clone)]
enum Event {
    Submit {
        key: u8,
        check: u8,
        class: Class,
        deadline_in_ms: u64,
    },
    /// The n-th of those that run, counted round.
    Return(usize),
    Lose(usize),
    /// A worker comes home from a task that is not out.
    Stranger(u8),
    /// The n-th of those that are being built, counted round.
    Built {
        n: usize,
        ok: bool,
    },
    /// A seat for which nobody builds.
    BuiltAgain {
        n: usize,
        ok: bool,
    },
    Cancel(u8),
    Pass(u64),
    PassToWake,
    Resize {
        size: usize,
        per_check_max: usize,
    },
    Close,
    Open,
}

fn event() -> impl Strategy<Value = Event> {
    let class = prop_oneof![1 => Just(Class::AdHoc), 3 => Just(Class::Scheduled)];
    prop_oneof![
        12 => (0u8..30, 0u8..4, class, 0u64..1500).prop_map(|(key, check, class, deadline_in_ms)| {
            Event::Submit { key, check, class, deadline_in_ms }
        }),
        6 => (0usize..8).prop_map(Event::Return),
        3 => (0usize..8).prop_map(Event::Lose),
        1 => (0u8..30).prop_map(Event::Stranger),
        5 => (0usize..8, prop::bool::weighted(0.8)).prop_map(|(n, ok)| Event::Built { n, ok }),
        1 => (0usize..8, any::<bool>()).prop_map(|(n, ok)| Event::BuiltAgain { n, ok }),
        3 => (0u8..30).prop_map(Event::Cancel),
        2 => (0u64..40).prop_map(|tens| Event::Pass(tens * 10)),
        2 => Just(Event::PassToWake),
        2 => (0usize..6, 0usize..4).prop_map(|(size, per_check_max)| Event::Resize { size, per_check_max }),
        1 => Just(Event::Close),
        2 => Just(Event::Open),
    ]
}

/// A worker that cannot be cloned, known by its seat; those that nobody asked for have none.
#[derive(Debug)]
struct Worker(Option<Seat>);

type Step = watchpost_core::Step<u8, Worker, u8>;

struct Bench {
    pool: Pool<u8, u8, Worker, u8>,
    model: Model,
    now: Tick,
    out: BTreeMap<u8, Worker>,
    idle: BTreeSet<Seat>,
    seats: Vec<Seat>,
    /// Tasks that came in, and those that were started or refused.
    submitted: usize,
    told: usize,
}

impl Bench {
    fn nth_out(&mut self, n: usize) -> Option<(u8, Worker)> {
        let key = *self.out.keys().nth(n.checked_rem(self.out.len())?)?;
        self.out.remove_entry(&key)
    }

    fn apply(&mut self, event: Event) -> Result<Vec<Step>, TestCaseError> {
        let mut steps = Vec::new();
        let now = self.now;
        match event {
            Event::Submit { key, check, class, deadline_in_ms } => {
                let deadline = now.after(Duration::from_millis(deadline_in_ms));
                let arrival = Arrival { key, check, class, deadline };
                self.submitted += 1;
                self.pool.submit(now, arrival, key, &mut steps);
                self.model.submit(now, arrival);
            }
            Event::Return(n) => {
                if let Some((key, worker)) = self.nth_out(n) {
                    let seat = worker.0.unwrap();
                    self.idle.insert(seat);
                    self.pool.worker_returned(now, key, worker, &mut steps);
                    self.model.home(now, key, seat);
                }
            }
            Event::Lose(n) => {
                if let Some((key, worker)) = self.nth_out(n) {
                    self.pool.worker_lost(now, key, &mut steps);
                    self.model.lost(now, key, worker.0.unwrap());
                }
            }
            Event::Stranger(key) => {
                if !self.out.contains_key(&key) {
                    self.pool.worker_lost(now, key, &mut steps);
                    self.model.advance(now);
                    self.pool.worker_returned(now, key, Worker(None), &mut steps);
                    self.model.stranger(now);
                }
            }
            Event::Built { n, ok } => {
                let building = self.model.building.clone();
                if let Some(n) = n.checked_rem(building.len()) {
                    self.built(building[n], ok, &mut steps);
                }
            }
            Event::BuiltAgain { n, ok } => {
                if let Some(n) = n.checked_rem(self.seats.len()) {
                    self.built(self.seats[n], ok, &mut steps);
                }
            }
            Event::Cancel(key) => {
                prop_assert_eq!(self.pool.cancel(now, key, &mut steps), self.model.cancel(now, key));
            }
            Event::Pass(ms) => {
                self.now = now.after(Duration::from_millis(ms));
                self.pool.advance(self.now, &mut steps);
                self.model.advance(self.now);
            }
            Event::PassToWake => self.now = self.pool.next_wake().map_or(now, |wake| wake.max(now)),
            Event::Resize { size, per_check_max } => {
                self.pool.resize(now, size, per_check_max, &mut steps);
                self.model.resize(now, size, per_check_max);
            }
            Event::Close => {
                self.pool.close(now, &mut steps);
                self.model.close(now);
            }
            Event::Open => {
                self.pool.open();
                self.model.open();
            }
        }
        Ok(steps)
    }

    fn built(&mut self, seat: Seat, ok: bool, steps: &mut Vec<Step>) {
        let awaited = self.model.building.contains(&seat);
        if awaited && ok {
            self.idle.insert(seat);
        }
        self.pool.built(self.now, seat, ok.then_some(Worker(awaited.then_some(seat))), steps);
        self.model.built(self.now, seat, ok);
    }

    fn carry_out(&mut self, steps: Vec<Step>) -> TestCaseResult {
        let due = std::mem::take(&mut self.model.due);
        prop_assert_eq!(steps.len(), due.len(), "{:?} where {:?} was due", steps, due);
        for (step, expected) in steps.into_iter().zip(due) {
            match step {
                Step::Start { key, job, worker, waited } => {
                    prop_assert_eq!((Expected::Start { key, waited }, job), (expected, key));
                    prop_assert!(self.idle.remove(&worker.0.unwrap()), "the worker was not idle");
                    prop_assert!(self.out.insert(key, worker).is_none());
                    self.told += 1;
                }
                Step::Refuse { key, job, refusal, waited } => {
                    prop_assert_eq!((Expected::Refuse { key, refusal, waited }, job), (expected, key));
                    self.told += 1;
                }
                Step::Build { seat } if expected == Expected::Build(None) => {
                    prop_assert!(self.model.grown(seat), "a new seat is a new one");
                    self.seats.push(seat);
                }
                Step::Build { seat } => prop_assert_eq!(expected, Expected::Build(Some(seat))),
                Step::Dismiss { worker } => {
                    prop_assert_eq!(expected, Expected::Dismiss);
                    prop_assert!(worker.0.is_none_or(|seat| self.idle.remove(&seat)), "the worker was not idle");
                }
            }
        }
        Ok(())
    }

    fn check(&self) -> TestCaseResult {
        let stats = self.pool.stats();
        prop_assert_eq!(stats, self.model.stats());
        prop_assert_eq!(stats.idle + stats.busy + stats.rebuilding, stats.size, "a worker was lost or made up");
        prop_assert_eq!((stats.idle, stats.busy), (self.idle.len(), self.out.len()));
        prop_assert_eq!(self.told + stats.waiting, self.submitted, "each task leaves exactly once");
        prop_assert!(!(self.model.startable_waits() && stats.idle > 0), "a task waits while a worker idles");
        prop_assert_eq!(self.pool.waiting().map(|(key, _)| key).collect::<Vec<_>>(), self.model.waiting());
        prop_assert_eq!(self.pool.next_wake(), self.model.next_wake());
        Ok(())
    }
}

proptest! {
    #[test]
    fn guarantee_2_the_pool_does_what_the_plain_model_does(
        queue_max in 0usize..8,
        events in proptest::collection::vec(event(), 1..300),
    ) {
        let limits = Limits { queue_max, wait_max: Duration::from_secs(1), per_check_max: 2 };
        let mut bench = Bench {
            pool: Pool::new(limits, Vec::new()),
            model: Model::new(limits),
            now: Tick::ZERO,
            out: BTreeMap::new(),
            idle: BTreeSet::new(),
            seats: Vec::new(),
            submitted: 0,
            told: 0,
        };
        let first = Event::Resize { size: 3, per_check_max: 2 };
        for event in std::iter::once(first).chain(events) {
            let steps = bench.apply(event)?;
            bench.carry_out(steps)?;
            bench.check()?;
        }
    }
}
