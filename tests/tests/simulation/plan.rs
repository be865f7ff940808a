//! What a seed means: the processes, the checks, what is done to them and when.

use std::collections::BTreeMap;
use std::time::Duration;

use watchpost_agent::{GroupPolicy, PoolSettings, Roles};
use watchpost_model::{BeatStatus, Check, CheckId, CheckType};

use super::checks::{Checks, JOBS, for_request};
use super::log::Us;
use super::network::{Line, Weather};
use super::probes::Fates;
use super::rng::Rng;

pub const MS: Us = 1_000;
pub const S: Us = 1_000_000;

/// Everything about one simulation.
#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    /// Whether nothing goes wrong but what targets do: then nothing may be lost.
    pub calm: bool,
    pub weather: Weather,
    pub fates: Fates,
    /// What runs where; the first one has the Checker.
    pub places: Vec<Roles>,
    /// How wrong the clock of each place is at the start, in µs.
    pub skews_us: Vec<i64>,
    pub pools: BTreeMap<CheckType, PoolSettings>,
    pub wait_max: Duration,
    pub answer_grace: Duration,
    /// The sets of checks that are in force one after the other.
    pub sets: Vec<Vec<Check>>,
    pub look_every_us: Us,
    /// What happens, in the order of its time.
    pub actions: Vec<(Us, Action)>,
    pub grace: Duration,
    pub ends_at: Us,
}

#[derive(Debug, Clone)]
pub enum Action {
    Reload(usize),
    Resize {
        place: usize,
        pools: BTreeMap<CheckType, PoolSettings>,
    },
    Request(Request),
    /// A job reports in, so many times at once.
    Beat {
        check: CheckId,
        status: BeatStatus,
        times: u32,
    },
    Kill {
        place: usize,
        noticed_after: Us,
    },
    /// Stops in order.
    Stop {
        place: usize,
        grace: Duration,
    },
    /// Again, whatever became of it.
    Start {
        place: usize,
    },
    CutOff {
        place: usize,
        line: Line,
        for_us: Us,
    },
    Stall {
        place: usize,
        for_us: Us,
    },
    /// Sets the time of day, by so many µs.
    SetDay {
        places: Vec<usize>,
        by_us: i64,
    },
}

#[derive(Debug, Clone)]
pub struct Request {
    pub number: usize,
    /// `None` for something that no check can be made of.
    pub items: Vec<Option<Check>>,
    pub limit: Duration,
    pub policy: GroupPolicy,
    /// When whoever asked goes away.
    pub dropped_after: Option<Us>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let calm = rng.chance(300);
        let busy = rng.chance(600);
        let places = places(rng);
        let weather = weather(rng, calm);
        let mut checks = Checks::new(rng, busy);
        let mut plan = Self {
            seed,
            calm,
            weather,
            fates: fates(rng),
            skews_us: places.iter().map(|_| if calm || rng.chance(700) { 0 } else { around(rng, 700 * MS) }).collect(),
            pools: pools(rng),
            wait_max: Duration::from_millis(rng.range(50, 5_000)),
            answer_grace: Duration::from_millis(*rng.pick(&[500, 1_000, 2_000])),
            sets: vec![checks.all()],
            look_every_us: rng.range(20, 300) * MS,
            actions: Vec::new(),
            grace: Duration::from_millis(rng.range(0, 6_000)),
            ends_at: 0,
            places,
        };
        let works_for = rng.range(5, 16) * S;
        for _ in 0..rng.range(2, 10) {
            let at = plan.align(rng.range(S, works_for));
            plan.add(rng, at, works_for, &mut checks);
        }
        plan.beat(rng, works_for);
        plan.rolling_restart(rng, works_for);
        plan.finish(works_for);
        plan
    }

    /// One thing that happens.
    fn add(&mut self, rng: &mut Rng, at: Us, works_for: Us, checks: &mut Checks) {
        let place = rng.below(self.places.len());
        let choices = if self.calm { 5 } else { 11 };
        let action = match rng.range(0, choices) {
            0 => {
                checks.change(rng);
                self.sets.push(checks.all());
                // Numbered when all are in the order of their time.
                Action::Reload(0)
            }
            1 => Action::Resize { place, pools: pools(rng) },
            2..=5 => Action::Request(self.request(rng, works_for)),
            6 | 7 => {
                let again = self.align(at + rng.range(100 * MS, 4 * S));
                self.actions.push((again, Action::Start { place }));
                Action::Kill { place, noticed_after: if rng.chance(500) { 0 } else { rng.range(0, 3 * S) } }
            }
            8 => {
                let line = *rng.pick(&[Line::Refusing, Line::Silent, Line::Held]);
                Action::CutOff { place, line, for_us: rng.range(20 * MS, 6 * S) }
            }
            9 => Action::Stall { place, for_us: self.align(rng.range(50 * MS, 5 * S)) },
            _ => {
                let all = rng.chance(500);
                let places = if all { (0..self.places.len()).collect() } else { vec![place] };
                let far = *rng.pick(&[500 * MS, 5 * S, 3_600 * S]);
                Action::SetDay { places, by_us: around(rng, far) }
            }
        };
        self.actions.push((at, action));
    }

    /// Jobs report in, some of them too late or much too often.
    fn beat(&mut self, rng: &mut Rng, works_for: Us) {
        for job in JOBS {
            let check: CheckId = job.parse().unwrap();
            let far = *rng.pick(&[500 * MS, 2 * S, 6 * S]);
            let mut at = rng.range(0, far);
            while at < works_for {
                let status = match rng.range(0, 9) {
                    0..=2 => BeatStatus::Fail,
                    3 => BeatStatus::Start,
                    _ => BeatStatus::Ok,
                };
                let times = if rng.chance(100) { 30 } else { 1 };
                self.actions.push((self.align(at), Action::Beat { check: check.clone(), status, times }));
                at += rng.range(20 * MS, far);
            }
        }
    }

    fn request(&self, rng: &mut Rng, works_for: Us) -> Request {
        let items = (0..rng.range(1, 6)).map(|i| match rng.range(0, 9) {
            0 => None,
            1..=5 => Some(for_request(&format!("r{i}"), rng)),
            _ => Some(rng.pick(&self.sets[0]).clone()),
        });
        let items = items.collect();
        // In calm weather there is time enough for the answer of a task that took all that it had.
        let limit_us = rng.range(if self.calm { 1_200 * MS } else { 100 * MS }, 6 * S);
        Request {
            number: 0,
            items,
            limit: Duration::from_micros(limit_us),
            policy: if rng.chance(400) { GroupPolicy::FailFast } else { GroupPolicy::CollectAll },
            dropped_after: rng.chance(300).then(|| rng.range(0, limit_us.min(works_for))),
        }
    }

    /// Where there are two Runners, one may be stopped in order and started again: nothing is lost by that.
    fn rolling_restart(&mut self, rng: &mut Rng, works_for: Us) {
        let runners: Vec<usize> = (0..self.places.len()).filter(|place| self.places[*place] == Roles::Runner).collect();
        let all = self.places.iter().filter(|roles| **roles != Roles::Checker).count();
        if all < 2 || rng.chance(500) {
            return;
        }
        let place = *rng.pick(&runners);
        let grace = Duration::from_millis(rng.range(100, 4_000));
        let at = self.align(rng.range(S, works_for / 2));
        let again = self.align(at + grace.as_micros() as Us + rng.range(100 * MS, 2 * S));
        self.actions.push((at, Action::Stop { place, grace }));
        self.actions.push((again, Action::Start { place }));
    }

    /// Puts everything into order, and stops the Checker and then the Runners at the end.
    fn finish(&mut self, works_for: Us) {
        let (grace, settle) = (self.grace.as_micros() as Us, S);
        // Whatever is to be started again has been by then.
        let last = self.actions.iter().map(|(at, _)| *at).max().unwrap_or(0).max(works_for);
        let stop_at = self.align(last + S);
        self.actions.push((stop_at, Action::Stop { place: 0, grace: self.grace }));
        let runners_at = self.align(stop_at + grace + settle);
        for place in 1..self.places.len() {
            self.actions.push((runners_at, Action::Stop { place, grace: Duration::from_secs(3) }));
        }
        self.ends_at = self.align(runners_at + 3 * S + settle);
        self.actions.sort_by_key(|(at, _)| *at);
        let (mut sets, mut requests) = (0, 0);
        for (_, action) in &mut self.actions {
            match action {
                Action::Reload(set) => {
                    sets += 1;
                    *set = sets;
                }
                Action::Request(request) => {
                    request.number = requests;
                    requests += 1;
                }
                _ => {}
            }
        }
    }

    /// The beginning of a step.
    fn align(&self, at: Us) -> Us {
        at - at % self.weather.step_us
    }
}

fn places(rng: &mut Rng) -> Vec<Roles> {
    let first = if rng.chance(250) { Roles::Both } else { Roles::Checker };
    let runners = if first == Roles::Both { rng.range(0, 1) } else { rng.range(1, 2) };
    let runners = (0..runners).map(|_| Roles::Runner);
    std::iter::once(first).chain(runners).collect()
}

fn weather(rng: &mut Rng, calm: bool) -> Weather {
    let step_us = *rng.pick(&[4 * MS, 10 * MS, 10 * MS, 20 * MS]);
    let mut weather = Weather {
        step_us,
        jitter_us: rng.range(0, 5 * MS),
        spike: 0,
        spike_us: 1,
        lost: 0,
        twice: 0,
        shuffled: false,
        slow_publish: 0,
        slow_publish_us: 1_000,
        capacity: 65_536,
    };
    if !calm {
        let sometimes = |rng: &mut Rng, max| if rng.chance(500) { rng.range(1, max) } else { 0 };
        weather.spike = sometimes(rng, 100);
        weather.spike_us = rng.range(10 * MS, 3 * S);
        weather.lost = sometimes(rng, 60);
        weather.twice = sometimes(rng, 60);
        weather.shuffled = rng.chance(500);
        weather.slow_publish = sometimes(rng, 200);
        weather.slow_publish_us = rng.range(MS, 60 * MS);
        if rng.chance(100) {
            weather.capacity = rng.range(1, 20) as usize;
        }
    }
    weather
}

fn fates(rng: &mut Rng) -> Fates {
    let often = *rng.pick(&[20, 100, 300]);
    Fates {
        seed: rng.next(),
        fail: rng.range(0, often),
        error: rng.range(0, often),
        hang: rng.range(0, often),
        panic: if rng.chance(500) { rng.range(0, 50) } else { 0 },
        stillborn: if rng.chance(300) { 300 } else { 0 },
        takes_us_max: *rng.pick(&[20 * MS, 200 * MS, S]),
        slow: rng.range(0, 150),
    }
}

fn pools(rng: &mut Rng) -> BTreeMap<CheckType, PoolSettings> {
    let mut pool = || {
        let size = rng.range(1, 4) as usize;
        let queue_max = *rng.pick(&[1, 3, 10, 100]);
        let per_check_max = rng.chance(500).then(|| rng.range(1, 4) as usize);
        PoolSettings { size, queue_max, per_check_max }
    };
    CheckType::ALL.into_iter().map(|check_type| (check_type, pool())).collect()
}

/// Some time up to `far` before or after.
fn around(rng: &mut Rng, far: Us) -> i64 {
    rng.range(0, 2 * far) as i64 - far as i64
}
