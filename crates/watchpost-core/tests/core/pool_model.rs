//! What a pool should do, in the plainest way: lists that are searched from end to end.

use std::collections::BTreeMap;
use std::time::Duration;

use watchpost_core::{Arrival, Class, Limits, PoolStats, Refusal, Seat, Tick};

/// A step that is due. Which of the idle workers it concerns is up to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Start {
        key: u8,
        waited: Duration,
    },
    Refuse {
        key: u8,
        refusal: Refusal,
        waited: Duration,
    },
    /// `None`: a seat that was not there before.
    Build(Option<Seat>),
    Dismiss,
}

#[derive(Debug)]
struct Waiting {
    arrival: Arrival<u8, u8>,
    number: usize,
    since: Tick,
    until: Tick,
}

impl Waiting {
    fn rank(&self) -> (Class, Tick, usize) {
        (self.arrival.class, self.arrival.deadline, self.number)
    }
}

#[derive(Debug)]
pub(crate) struct Model {
    limits: Limits,
    closed: bool,
    target: usize,
    idle: usize,
    pub(crate) running: Vec<(u8, u8)>,
    resting: Vec<(Tick, Seat)>,
    pub(crate) building: Vec<Seat>,
    growing: usize,
    /// Losses in a row at each seat.
    losses: BTreeMap<Seat, u32>,
    waiting: Vec<Waiting>,
    arrivals: usize,
    pub(crate) due: Vec<Expected>,
}

impl Model {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            closed: false,
            target: 0,
            idle: 0,
            running: Vec::new(),
            resting: Vec::new(),
            building: Vec::new(),
            growing: 0,
            losses: BTreeMap::new(),
            waiting: Vec::new(),
            arrivals: 0,
            due: Vec::new(),
        }
    }

    pub(crate) fn submit(&mut self, now: Tick, arrival: Arrival<u8, u8>) {
        let known = self.running.iter().any(|(key, _)| *key == arrival.key)
            || self.waiting.iter().any(|waiting| waiting.arrival.key == arrival.key);
        self.begin(now);
        let startable = self.idle > 0 && self.may_start(arrival.check);
        let refusal = match () {
            () if known => Some(Refusal::Duplicate),
            () if self.closed => Some(Refusal::Closed),
            () if arrival.deadline <= now => Some(Refusal::DeadlinePassed),
            () if !startable && !self.makes_room(now, arrival) => Some(Refusal::QueueFull),
            () => None,
        };
        if let Some(refusal) = refusal {
            self.due.push(Expected::Refuse { key: arrival.key, refusal, waited: Duration::ZERO });
        } else {
            let until = now.after(self.limits.wait_max).min(arrival.deadline);
            self.waiting.push(Waiting { arrival, number: self.arrivals, since: now, until });
            self.arrivals += 1;
        }
        self.end(now);
    }

    fn makes_room(&mut self, now: Tick, newcomer: Arrival<u8, u8>) -> bool {
        if self.waiting.len() < self.limits.queue_max {
            return true;
        }
        let count = |check| self.waiting.iter().filter(|waiting| waiting.arrival.check == check).count();
        let greedy = (0..4u8).max_by_key(|check| (count(*check), *check)).unwrap();
        let fair = count(greedy) >= count(newcomer.check) + 2;
        let candidates = self.waiting.iter().enumerate().filter(|(_, waiting)| match newcomer.class {
            _ if fair => waiting.arrival.check == greedy,
            Class::AdHoc => waiting.arrival.class == Class::Scheduled,
            Class::Scheduled => false,
        });
        let Some((at, _)) = candidates.max_by_key(|(_, waiting)| waiting.rank()) else { return false };
        self.refuse(now, at, Refusal::QueueFull);
        true
    }

    pub(crate) fn home(&mut self, now: Tick, key: u8, seat: Seat) {
        self.begin(now);
        self.running.retain(|(running, _)| *running != key);
        self.losses.insert(seat, 0);
        self.idle += 1;
        self.end(now);
    }

    pub(crate) fn stranger(&mut self, now: Tick) {
        self.begin(now);
        self.due.push(Expected::Dismiss);
        self.end(now);
    }

    pub(crate) fn lost(&mut self, now: Tick, key: u8, seat: Seat) {
        self.begin(now);
        self.running.retain(|(running, _)| *running != key);
        self.rest(now, seat);
        self.end(now);
    }

    pub(crate) fn built(&mut self, now: Tick, seat: Seat, ok: bool) {
        let at = self.building.iter().position(|building| *building == seat);
        let awaited = at.map(|at| self.building.remove(at)).is_some();
        self.begin(now);
        match (awaited, ok) {
            (true, true) => self.idle += 1,
            (true, false) => self.rest(now, seat),
            (false, true) => self.due.push(Expected::Dismiss),
            (false, false) => {}
        }
        self.end(now);
    }

    fn rest(&mut self, now: Tick, seat: Seat) {
        let losses = self.losses.entry(seat).or_default();
        let back_off_ms = [10, 20, 40, 80, 160, 320, 640].get(*losses as usize).copied().unwrap_or(1000);
        *losses += 1;
        self.resting.push((now.after(Duration::from_millis(back_off_ms)), seat));
    }

    pub(crate) fn advance(&mut self, now: Tick) {
        self.begin(now);
        self.end(now);
    }

    pub(crate) fn cancel(&mut self, now: Tick, key: u8) -> bool {
        self.begin(now);
        let at = self.waiting.iter().position(|waiting| waiting.arrival.key == key);
        if let Some(at) = at {
            self.refuse(now, at, Refusal::Cancelled);
        }
        self.end(now);
        at.is_some()
    }

    pub(crate) fn resize(&mut self, now: Tick, size: usize, per_check_max: usize) {
        self.begin(now);
        (self.target, self.limits.per_check_max) = (size, per_check_max);
        while self.size() < size {
            self.growing += 1;
            self.due.push(Expected::Build(None));
        }
        self.end(now);
    }

    /// The seat of a new worker that is to be built, as the pool has told it.
    pub(crate) fn grown(&mut self, seat: Seat) -> bool {
        self.growing -= 1;
        self.building.push(seat);
        self.losses.insert(seat, 0).is_none()
    }

    pub(crate) fn close(&mut self, now: Tick) {
        self.begin(now);
        self.closed = true;
        while let Some(at) = self.first(|_| true) {
            self.refuse(now, at, Refusal::Closed);
        }
        self.end(now);
    }

    pub(crate) fn open(&mut self) {
        self.closed = false;
    }

    fn begin(&mut self, now: Tick) {
        loop {
            let over = self.waiting.iter().enumerate().filter(|(_, waiting)| waiting.until <= now);
            let Some((at, _)) = over.min_by_key(|(_, waiting)| (waiting.until, waiting.rank())) else { break };
            self.refuse(now, at, Refusal::NoFreeWorker);
        }
        self.resting.sort_unstable();
        let due = self.resting.iter().filter(|(due, _)| *due <= now).count();
        for (_, seat) in self.resting.drain(..due) {
            self.building.push(seat);
            self.due.push(Expected::Build(Some(seat)));
        }
    }

    fn end(&mut self, now: Tick) {
        while self.size() > self.target && (self.resting.len() + self.idle) > 0 {
            self.resting.sort_unstable();
            if self.resting.pop().is_none() {
                self.idle -= 1;
                self.due.push(Expected::Dismiss);
            }
        }
        while self.idle > 0
            && let Some(at) = self.first(|waiting| self.may_start(waiting.arrival.check))
        {
            let Waiting { arrival, since, .. } = self.waiting.remove(at);
            self.idle -= 1;
            self.running.push((arrival.key, arrival.check));
            self.due.push(Expected::Start { key: arrival.key, waited: now.since(since) });
        }
    }

    fn may_start(&self, check: u8) -> bool {
        let held = self.running.iter().filter(|(_, running)| *running == check).count();
        held < self.limits.per_check_max.max(1)
    }

    fn first(&self, which: impl Fn(&Waiting) -> bool) -> Option<usize> {
        let candidates = self.waiting.iter().enumerate().filter(|(_, waiting)| which(waiting));
        candidates.min_by_key(|(_, waiting)| waiting.rank()).map(|(at, _)| at)
    }

    fn refuse(&mut self, now: Tick, at: usize, refusal: Refusal) {
        let Waiting { arrival, since, .. } = self.waiting.remove(at);
        self.due.push(Expected::Refuse { key: arrival.key, refusal, waited: now.since(since) });
    }

    fn size(&self) -> usize {
        self.idle + self.running.len() + self.resting.len() + self.building.len() + self.growing
    }

    pub(crate) fn stats(&self) -> PoolStats {
        PoolStats {
            size: self.size(),
            target: self.target,
            idle: self.idle,
            busy: self.running.len(),
            rebuilding: self.resting.len() + self.building.len(),
            waiting: self.waiting.len(),
        }
    }

    pub(crate) fn next_wake(&self) -> Option<Tick> {
        self.waiting.iter().map(|waiting| waiting.until).chain(self.resting.iter().map(|(due, _)| *due)).min()
    }

    pub(crate) fn waiting(&self) -> Vec<u8> {
        let mut waiting: Vec<_> = self.waiting.iter().collect();
        waiting.sort_by_key(|waiting| waiting.rank());
        waiting.into_iter().map(|waiting| waiting.arrival.key).collect()
    }

    pub(crate) fn startable_waits(&self) -> bool {
        self.waiting.iter().any(|waiting| self.may_start(waiting.arrival.check))
    }
}
