//! A Checker's ledger and a Runner's pool with a bus between them that delivers late, twice or never: each
//! task that was published has one outcome, in every order of events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchpost_core::{Arrival, Class, Expired, Ledger, Limits, Pool, Refusal, Seat, Settled, Step, Tick};

use crate::explorer::{Scenario, explore};

const DEADLINE: Tick = Tick::from_micros(150_000);
const ANSWER_BY: Tick = Tick::from_micros(200_000);
const LIMITS: Limits = Limits { queue_max: 1, wait_max: Duration::from_millis(100), per_check_max: 1 };
const WORKER: u8 = 0;

#[derive(Debug, Clone, Copy)]
enum Event {
    Publish(u8),
    /// The bus delivers a task to the Runner.
    Deliver(u8),
    /// A task or an answer is on its way a second time.
    TaskTwice(u8),
    AnswerTwice(u8),
    DropTask(u8),
    DropAnswer(u8),
    /// The bus says that it could not route a task.
    NotRouted(u8),
    Finish(u8),
    Panic(u8),
    Built(Seat),
    /// The Runner is killed and started anew; it has forgotten everything.
    Restart,
    /// An answer reaches the Checker.
    Answer(u8),
    TimePasses,
    TimeOut,
    Expire,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Site {
    now: Tick,
    ledger: Ledger<u8, u8, u8>,
    pool: Pool<u8, u8, u8, u8>,
    out: BTreeSet<u8>,
    seats: BTreeSet<Seat>,
    published: BTreeSet<u8>,
    /// On their way: how many of each.
    tasks: BTreeMap<u8, u8>,
    answers: BTreeMap<u8, u8>,
    outcomes: [u8; 2],
    twice: u8,
    drops: u8,
    restarts: u8,
    panics: u8,
}

impl Site {
    fn new(twice: u8, drops: u8, restarts: u8, panics: u8) -> Self {
        Self {
            now: Tick::ZERO,
            ledger: Ledger::default(),
            pool: Pool::new(LIMITS, vec![WORKER]),
            out: BTreeSet::new(),
            seats: BTreeSet::new(),
            published: BTreeSet::new(),
            tasks: BTreeMap::new(),
            answers: BTreeMap::new(),
            outcomes: [0; 2],
            twice,
            drops,
            restarts,
            panics,
        }
    }

    fn carry_out(&mut self, steps: Vec<Step<u8, u8, u8>>) -> Result<(), String> {
        for step in steps {
            match step {
                Step::Start { key, worker, .. } => {
                    ensure(worker == WORKER && self.out.is_empty(), "the worker is used twice")?;
                    ensure(self.now < DEADLINE, "a task starts after its deadline")?;
                    self.out.insert(key);
                }
                // Whoever has the task already answers for it.
                Step::Refuse { refusal: Refusal::Duplicate, .. } => {}
                Step::Refuse { key, .. } => add(&mut self.answers, key),
                Step::Build { seat } => {
                    self.seats.insert(seat);
                }
                Step::Dismiss { .. } => return Err("the pool has lost a seat".to_owned()),
            }
        }
        Ok(())
    }

    fn outcome(&mut self, key: u8) -> Result<(), String> {
        self.outcomes[usize::from(key)] += 1;
        ensure(self.outcomes[usize::from(key)] == 1, "a task has a second outcome")
    }

    fn next_wake(&self) -> Option<Tick> {
        [self.pool.next_wake(), self.ledger.next_expiry()].into_iter().flatten().min()
    }
}

fn ensure(holds: bool, broken: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken.to_owned()) }
}

fn add(on_their_way: &mut BTreeMap<u8, u8>, key: u8) {
    *on_their_way.entry(key).or_default() += 1;
}

fn take(on_their_way: &mut BTreeMap<u8, u8>, key: u8) {
    let left = on_their_way[&key] - 1;
    if left == 0 {
        on_their_way.remove(&key);
    } else {
        on_their_way.insert(key, left);
    }
}

impl Scenario for Site {
    type Event = Event;

    fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = (0..2).filter(|key| !self.published.contains(key)).map(Event::Publish).collect();
        for key in self.tasks.keys() {
            events.push(Event::Deliver(*key));
            if self.twice > 0 {
                events.push(Event::TaskTwice(*key));
            }
            if self.drops > 0 {
                events.extend([Event::DropTask(*key), Event::NotRouted(*key)]);
            }
        }
        for key in self.answers.keys() {
            events.push(Event::Answer(*key));
            if self.twice > 0 {
                events.push(Event::AnswerTwice(*key));
            }
            if self.drops > 0 {
                events.push(Event::DropAnswer(*key));
            }
        }
        for key in &self.out {
            events.push(Event::Finish(*key));
            if self.panics > 0 {
                events.push(Event::Panic(*key));
            }
        }
        events.extend(self.seats.iter().map(|seat| Event::Built(*seat)));
        if self.restarts > 0 {
            events.push(Event::Restart);
        }
        if self.next_wake().is_some_and(|due| due > self.now) {
            events.push(Event::TimePasses);
        }
        if self.pool.next_wake().is_some_and(|due| due <= self.now) {
            events.push(Event::TimeOut);
        }
        if self.ledger.next_expiry().is_some_and(|due| due <= self.now) {
            events.push(Event::Expire);
        }
        events
    }

    fn apply(&mut self, event: Event) -> Result<(), String> {
        let (now, mut steps) = (self.now, Vec::new());
        match event {
            Event::Publish(key) => {
                self.published.insert(key);
                ensure(self.ledger.open(key, 0, ANSWER_BY, key).is_ok(), "the task is open already")?;
                add(&mut self.tasks, key);
            }
            Event::Deliver(key) => {
                take(&mut self.tasks, key);
                let arrival = Arrival { key, check: 0, class: Class::Scheduled, deadline: DEADLINE };
                self.pool.submit(now, arrival, key, &mut steps);
            }
            Event::TaskTwice(key) => {
                self.twice -= 1;
                add(&mut self.tasks, key);
            }
            Event::AnswerTwice(key) => {
                self.twice -= 1;
                add(&mut self.answers, key);
            }
            Event::DropTask(key) => {
                self.drops -= 1;
                take(&mut self.tasks, key);
            }
            Event::DropAnswer(key) => {
                self.drops -= 1;
                take(&mut self.answers, key);
            }
            Event::NotRouted(key) => {
                self.drops -= 1;
                take(&mut self.tasks, key);
                for (key, _) in self.ledger.unroutable(&0) {
                    self.outcome(key)?;
                }
            }
            Event::Finish(key) => {
                self.out.remove(&key);
                add(&mut self.answers, key);
                self.pool.worker_returned(now, key, WORKER, &mut steps);
            }
            Event::Panic(key) => {
                self.panics -= 1;
                self.out.remove(&key);
                add(&mut self.answers, key);
                self.pool.worker_lost(now, key, &mut steps);
            }
            Event::Built(seat) => {
                self.seats.remove(&seat);
                self.pool.built(now, seat, Some(WORKER), &mut steps);
            }
            Event::Restart => {
                self.restarts -= 1;
                self.pool = Pool::new(LIMITS, vec![WORKER]);
                self.out.clear();
                self.seats.clear();
            }
            Event::Answer(key) => {
                take(&mut self.answers, key);
                let told = self.outcomes[usize::from(key)] > 0;
                match self.ledger.settle(key) {
                    Settled::First(_) => self.outcome(key)?,
                    Settled::NotOpen => ensure(told, "an answer is dropped that was the first")?,
                }
                for (key, _) in self.ledger.all_unroutable(&0) {
                    self.outcome(key)?;
                }
            }
            Event::TimePasses => self.now = self.next_wake().unwrap_or(now),
            Event::TimeOut => self.pool.advance(now, &mut steps),
            Event::Expire => {
                while let Some(Expired { key, .. }) = self.ledger.expire(now) {
                    ensure(now >= ANSWER_BY, "a task expires too early")?;
                    self.outcome(key)?;
                }
                ensure(self.ledger.next_expiry().is_none_or(|due| due > now), "what is due is left")?;
            }
        }
        self.carry_out(steps)?;
        let stats = self.pool.stats();
        ensure(stats.idle + stats.busy + stats.rebuilding == 1 && stats.size == 1, "a worker was lost or made up")?;
        ensure(stats.busy == self.out.len(), "a worker is out that does not work")?;
        ensure(stats.idle == 0 || stats.waiting == 0, "a task waits while a worker idles")?;
        let told = self.outcomes.iter().map(|count| usize::from(*count)).sum::<usize>();
        ensure(told + self.ledger.len() == self.published.len(), "a task is neither open nor settled")
    }

    fn ended(&self) -> Result<(), String> {
        ensure(self.outcomes == [1; 2], "a task has no outcome")?;
        ensure(self.ledger.is_empty() && self.ledger.next_expiry().is_none(), "the ledger does not forget")?;
        ensure(self.pool.stats().idle == 1, "the worker is not home")
    }
}

#[test]
fn guarantee_1_every_order_of_what_a_bus_can_do() {
    for (twice, drops, restarts, panics) in [(2, 2, 1, 0), (1, 1, 1, 1)] {
        let name = format!("ledger and pool, {twice} twice, {drops} dropped, {restarts} restarts, {panics} panics");
        let explored = explore(&name, Site::new(twice, drops, restarts, panics));
        assert!(explored.states > 2_000, "{explored:?}");
    }
}
