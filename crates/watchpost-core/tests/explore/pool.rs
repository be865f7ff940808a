//! Three tasks of two checks and two classes at a pool of two workers, with everything that can come between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchpost_core::{Arrival, Class, Drain, DrainPhase, Limits, Pool, Refusal, Seat, Step, Tick};

use crate::explorer::{Scenario, explore};

const WAIT_MAX: Duration = Duration::from_millis(200);
/// Fewer would mean that a scenario has become empty.
const STATES_MIN: usize = 5_000;
const GRACE: Duration = Duration::from_millis(400);
const TASKS: [Arrival<u8, u8>; 3] = [
    Arrival { key: 0, check: 0, class: Class::Scheduled, deadline: Tick::from_micros(150_000) },
    Arrival { key: 1, check: 0, class: Class::AdHoc, deadline: Tick::from_secs(60) },
    Arrival { key: 2, check: 1, class: Class::Scheduled, deadline: Tick::from_secs(60) },
];

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive(u8),
    ArriveAgain(u8),
    Finish(u8),
    Panic(u8),
    Cancel(u8),
    Built(Seat),
    NotBuilt(Seat),
    /// Time passes until something is due; nobody has acted on it yet.
    TimePasses,
    TimeOut,
    Resize(usize, usize),
    Drain,
    Send,
}

/// What came of a task, as seen from outside of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    ToCome,
    Waits { order: u8, until: Tick, cancelled: bool },
    Runs,
    Over,
}

/// How often something may happen that nothing else bounds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Budget {
    duplicates: u8,
    failed_builds: u8,
    cancels: BTreeSet<u8>,
    resizes: Vec<(usize, usize)>,
    drains: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Site {
    now: Tick,
    pool: Pool<u8, u8, u8, u8>,
    per_check_max: usize,
    queue_max: usize,
    drain: Drain,
    fates: [Fate; 3],
    arrivals: u8,
    out: BTreeMap<u8, u8>,
    /// Every worker that is neither lost nor dismissed.
    alive: BTreeSet<u8>,
    made: u8,
    seats: BTreeSet<Seat>,
    /// Whether it matters what was sent.
    stops: bool,
    unsent: u8,
    budget: Budget,
}

impl Site {
    fn new(per_check_max: usize, queue_max: usize, budget: Budget) -> Self {
        let limits = Limits { queue_max, wait_max: WAIT_MAX, per_check_max };
        Self {
            now: Tick::ZERO,
            pool: Pool::new(limits, vec![0, 1]),
            per_check_max,
            queue_max,
            drain: Drain::default(),
            fates: [Fate::ToCome; 3],
            arrivals: 0,
            out: BTreeMap::new(),
            alive: BTreeSet::from([0, 1]),
            made: 2,
            seats: BTreeSet::new(),
            stops: budget.drains > 0,
            unsent: 0,
            budget,
        }
    }

    /// Tasks that wait, in the order in which they must be served, of checks that may have a worker.
    fn startable(&self) -> Option<u8> {
        let waits = (0..3u8).filter_map(|key| match self.fates[usize::from(key)] {
            Fate::Waits { order, .. } => {
                Some((TASKS[usize::from(key)].class, TASKS[usize::from(key)].deadline, order, key))
            }
            _ => None,
        });
        let held = |check| self.out.keys().filter(|key| TASKS[usize::from(**key)].check == check).count();
        let may = |key: &u8| held(TASKS[usize::from(*key)].check) < self.per_check_max.max(1);
        waits.filter(|(.., key)| may(key)).min().map(|(.., key)| key)
    }

    fn carry_out(&mut self, steps: Vec<Step<u8, u8, u8>>) -> Result<(), String> {
        for step in steps {
            match step {
                Step::Start { key, worker, .. } => {
                    let Fate::Waits { until, cancelled, .. } = self.fates[usize::from(key)] else {
                        return Err(format!("task {key} starts without waiting for it"));
                    };
                    ensure(!cancelled, "a task starts after its cancellation")?;
                    ensure(self.now < until, "a task starts after its wait is over")?;
                    ensure(self.startable() == Some(key), "a task starts before its turn")?;
                    ensure(self.alive.contains(&worker), "a worker starts that is gone")?;
                    ensure(self.out.values().all(|out| *out != worker), "a worker starts twice")?;
                    self.fates[usize::from(key)] = Fate::Runs;
                    self.out.insert(key, worker);
                }
                Step::Refuse { refusal: Refusal::Duplicate, .. } => {}
                Step::Refuse { key, .. } => {
                    ensure(matches!(self.fates[usize::from(key)], Fate::Waits { .. }), "a task has a second outcome")?;
                    self.over(key);
                }
                Step::Build { seat } => ensure(self.seats.insert(seat), "a seat is built twice")?,
                Step::Dismiss { worker } => {
                    ensure(self.out.values().all(|out| *out != worker), "a worker is dismissed while it works")?;
                    ensure(self.alive.remove(&worker), "a worker is dismissed twice")?;
                }
            }
        }
        Ok(())
    }

    fn over(&mut self, key: u8) {
        self.fates[usize::from(key)] = Fate::Over;
        self.unsent += u8::from(self.stops);
    }

    fn open(&self) -> usize {
        self.fates.iter().filter(|fate| matches!(fate, Fate::Waits { .. } | Fate::Runs)).count()
    }

    fn is_stopped(&self) -> bool {
        matches!(self.drain.phase(), DrainPhase::Done | DrainPhase::Expired)
    }

    fn next_wake(&self) -> Option<Tick> {
        [self.pool.next_wake(), self.drain.next_wake()].into_iter().flatten().min()
    }

    fn check(&self) -> Result<(), String> {
        let stats = self.pool.stats();
        ensure(stats.idle + stats.busy + stats.rebuilding == stats.size, "a worker was lost or made up")?;
        ensure(stats.idle + stats.busy == self.alive.len(), "a worker is neither at home nor out")?;
        ensure(stats.busy == self.out.len(), "a worker is out that does not work")?;
        ensure(stats.size >= stats.target && (stats.size == stats.target || stats.idle == 0), "the size is not paid")?;
        let waits = self.fates.iter().filter(|fate| matches!(fate, Fate::Waits { .. })).count();
        ensure(stats.waiting == waits && waits <= self.queue_max, "the queue does not hold what waits")?;
        ensure(stats.idle == 0 || self.startable().is_none(), "a task waits while a worker idles")?;
        ensure(waits == 0 || self.pool.next_wake().is_some(), "nobody wakes for a wait")
    }
}

fn ensure(holds: bool, broken: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken.to_owned()) }
}

impl Scenario for Site {
    type Event = Event;

    fn events(&self) -> Vec<Event> {
        if self.is_stopped() {
            return Vec::new();
        }
        let mut events = Vec::new();
        for (key, fate) in (0..).zip(self.fates) {
            match fate {
                Fate::ToCome => events.push(Event::Arrive(key)),
                Fate::Runs => events.extend([Event::Finish(key), Event::Panic(key)]),
                Fate::Waits { .. } | Fate::Over => {}
            }
            if matches!(fate, Fate::Waits { .. } | Fate::Runs) && self.budget.duplicates > 0 {
                events.push(Event::ArriveAgain(key));
            }
        }
        events.extend(self.budget.cancels.iter().map(|key| Event::Cancel(*key)));
        events.extend(self.seats.iter().map(|seat| Event::Built(*seat)));
        if self.budget.failed_builds > 0 {
            events.extend(self.seats.iter().map(|seat| Event::NotBuilt(*seat)));
        }
        match self.next_wake() {
            Some(due) if due > self.now => events.push(Event::TimePasses),
            Some(_) => events.push(Event::TimeOut),
            None => {}
        }
        events.extend(self.budget.resizes.first().map(|(size, share)| Event::Resize(*size, *share)));
        if self.budget.drains > 0 {
            events.push(Event::Drain);
        }
        if self.unsent > 0 {
            events.push(Event::Send);
        }
        events
    }

    fn apply(&mut self, event: Event) -> Result<(), String> {
        let (now, mut steps) = (self.now, Vec::new());
        match event {
            Event::Arrive(key) => {
                let arrival = TASKS[usize::from(key)];
                let until = now.after(WAIT_MAX).min(arrival.deadline);
                self.fates[usize::from(key)] = Fate::Waits { order: self.arrivals, until, cancelled: false };
                self.arrivals += 1;
                self.pool.submit(now, arrival, key, &mut steps);
            }
            Event::ArriveAgain(key) => {
                self.budget.duplicates -= 1;
                self.pool.submit(now, TASKS[usize::from(key)], key, &mut steps);
                let last = steps.iter().rfind(|step| matches!(step, Step::Refuse { .. }));
                let refused = matches!(last, Some(Step::Refuse { refusal: Refusal::Duplicate, .. }));
                ensure(refused, "a duplicate is taken")?;
            }
            Event::Finish(key) => {
                let worker = self.out.remove(&key).ok_or("nobody works on it")?;
                self.over(key);
                self.pool.worker_returned(now, key, worker, &mut steps);
            }
            Event::Panic(key) => {
                let worker = self.out.remove(&key).ok_or("nobody works on it")?;
                self.alive.remove(&worker);
                self.over(key);
                self.pool.worker_lost(now, key, &mut steps);
            }
            Event::Cancel(key) => {
                self.budget.cancels.remove(&key);
                let waits = matches!(self.fates[usize::from(key)], Fate::Waits { until, .. } if until > now);
                ensure(self.pool.cancel(now, key, &mut steps) == waits, "a cancellation is told wrongly")?;
                if let Fate::Waits { cancelled, .. } = &mut self.fates[usize::from(key)] {
                    *cancelled = true;
                }
            }
            Event::Built(seat) => {
                self.seats.remove(&seat);
                self.alive.insert(self.made);
                self.pool.built(now, seat, Some(self.made), &mut steps);
                self.made += 1;
            }
            Event::NotBuilt(seat) => {
                self.budget.failed_builds -= 1;
                self.seats.remove(&seat);
                self.pool.built(now, seat, None, &mut steps);
            }
            Event::TimePasses => self.now = self.next_wake().unwrap_or(now),
            Event::TimeOut => {
                self.pool.advance(now, &mut steps);
                ensure(self.pool.next_wake().is_none_or(|wake| wake > now), "what is due is left")?;
            }
            Event::Resize(size, per_check_max) => {
                self.budget.resizes.remove(0);
                self.per_check_max = per_check_max;
                self.pool.resize(now, size, per_check_max, &mut steps);
            }
            Event::Drain => {
                self.budget.drains -= 1;
                self.drain.begin(now, GRACE);
                self.pool.close(now, &mut steps);
            }
            Event::Send => self.unsent -= 1,
        }
        self.carry_out(steps)?;
        if !matches!(event, Event::TimePasses) {
            let before = self.drain.phase();
            let phase = self.drain.advance(self.now, self.open(), self.unsent == 0);
            ensure(phase >= before, "a drain goes back")?;
            ensure(phase != DrainPhase::Done || self.open() == 0, "a drain is done with tasks left")?;
            ensure(phase <= DrainPhase::Draining || self.pool.stats().waiting == 0, "a task waits in a drain")?;
        }
        self.check()
    }

    fn ended(&self) -> Result<(), String> {
        ensure(self.drain.phase() == DrainPhase::Accepting || self.is_stopped(), "a drain does not end")?;
        let abandoned = self.drain.phase() == DrainPhase::Expired;
        ensure(abandoned || self.open() == 0, "a task has no outcome")?;
        let stats = self.pool.stats();
        ensure(self.is_stopped() || (stats.size, stats.idle) == (stats.target, stats.target), "a worker is lost")
    }
}

fn budget() -> Budget {
    Budget { duplicates: 0, failed_builds: 0, cancels: BTreeSet::new(), resizes: Vec::new(), drains: 0 }
}

#[test]
fn every_order_of_arrivals_panics_and_cancellations() {
    for (per_check_max, queue_max) in [(1, 2), (2, 1), (2, 0)] {
        let budget = Budget { duplicates: 1, failed_builds: 1, cancels: (0..3).collect(), ..budget() };
        let site = Site::new(per_check_max, queue_max, budget);
        let explored = explore(&format!("panics and cancels, share {per_check_max}, queue {queue_max}"), site);
        assert!(explored.states > STATES_MIN, "{explored:?}");
    }
}

#[test]
fn every_order_of_resizing_up_and_down() {
    for resizes in [[(1, 2), (3, 1)], [(3, 1), (0, 2)]] {
        let budget = Budget { resizes: resizes.to_vec(), cancels: BTreeSet::from([1]), ..budget() };
        let explored = explore(&format!("resizes {resizes:?}"), Site::new(2, 2, budget));
        assert!(explored.states > STATES_MIN, "{explored:?}");
    }
}

#[test]
fn guarantee_6_every_order_of_a_drain() {
    let budget = Budget { drains: 1, cancels: BTreeSet::from([1]), resizes: vec![(1, 2)], ..budget() };
    let explored = explore("drain", Site::new(1, 2, budget));
    assert!(explored.states > STATES_MIN, "{explored:?}");
}
