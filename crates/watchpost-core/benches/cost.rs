//! What a task costs in the core alone, and how that grows: `cargo bench -p watchpost-core --bench cost`.
//!
//! Each figure is the median of several runs, in ns of one thread. Tasks come with random deadlines, so that
//! they take their places anywhere in the queue and not only at its end.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use watchpost_core::{
    Arrival, Class, GroupPolicy, GroupSettings, GroupStep, Ledger, Limits, Pool, Rule, Settled, Step, TaskGroup, Tick,
    Verdict,
};

const RUNS: usize = 15;
const TASKS: u64 = 20_000;
const WAITING: [u64; 3] = [10, 1_000, 100_000];
const HOUR_US: u64 = 3_600_000_000;

fn main() {
    println!("ns per task{:>28} {:>9} {:>9}  growth", WAITING[0], WAITING[1], WAITING[2]);
    row("pool, one check waits", |waiting| pool(waiting, 1));
    row("pool, 1 000 checks wait", |waiting| pool(waiting, 1_000));
    row("pool, queue full, evict", full_pool);
    row("ledger, that many open", ledger);
    row("group, that many members", group);
}

fn row(name: &str, measure: impl Fn(u64) -> Duration) {
    let [few, some, many] = WAITING.map(|waiting| {
        let mut runs: Vec<Duration> = (0..RUNS).map(|_| measure(waiting)).collect();
        runs.sort_unstable();
        runs[RUNS / 2].as_nanos()
    });
    let growth = many as f64 / few as f64;
    println!("{name:<27}{few:>12} {some:>9} {many:>9}  × {growth:.1}");
}

/// Numbers that look random and are the same in each run (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn arrival(&mut self, key: u64, checks: u64) -> Arrival<u64, u64> {
        let deadline = Tick::from_micros(HOUR_US + self.next() % HOUR_US);
        Arrival { key, check: self.next() % checks, class: Class::Scheduled, deadline }
    }
}

type Work = (u64, u32);

/// Submit, start, return: a task comes in for each that ends, so that as many wait all the time.
fn pool(waiting: u64, checks: u64) -> Duration {
    let limits = Limits { queue_max: usize::MAX, wait_max: Duration::from_secs(7_200), per_check_max: 4 };
    let mut pool = Pool::new(limits, (0..4u32).collect());
    let (mut random, mut steps) = (Random(1), Vec::new());
    let mut out: Vec<Work> = Vec::new();
    for key in 0..waiting + 4 {
        pool.submit(Tick::ZERO, random.arrival(key, checks), (), &mut steps);
    }
    out.extend(steps.drain(..).filter_map(started));
    let begun = Instant::now();
    for key in waiting + 4..waiting + 4 + TASKS {
        pool.submit(Tick::ZERO, random.arrival(key, checks), (), &mut steps);
        if let Some((done, worker)) = out.pop() {
            pool.worker_returned(Tick::ZERO, done, worker, &mut steps);
        }
        out.extend(steps.drain(..).filter_map(started));
    }
    let spent = begun.elapsed();
    assert_eq!(pool.stats().waiting as u64, waiting);
    spent / TASKS as u32
}

fn started(step: Step<u64, u32, ()>) -> Option<Work> {
    if let Step::Start { key, worker, .. } = step { Some((key, worker)) } else { None }
}

/// A task that comes to a queue which another check fills, so that one of that check's has to give way;
/// then it is cancelled, and the other check fills the place.
fn full_pool(waiting: u64) -> Duration {
    let limits = Limits { queue_max: waiting as usize, wait_max: Duration::from_secs(7_200), per_check_max: 4 };
    let mut pool: Pool<u64, u64, u32, ()> = Pool::new(limits, Vec::new());
    let (mut random, mut steps) = (Random(1), Vec::new());
    for key in 0..waiting {
        pool.submit(Tick::ZERO, random.arrival(key, 1), (), &mut steps);
    }
    let begun = Instant::now();
    for key in (waiting..waiting + 2 * TASKS).step_by(2) {
        let newcomer = Arrival { check: 1, ..random.arrival(key, 1) };
        pool.submit(Tick::ZERO, newcomer, (), &mut steps);
        assert!(pool.cancel(Tick::ZERO, key, &mut steps), "it took a place");
        pool.submit(Tick::ZERO, random.arrival(key + 1, 1), (), &mut steps);
        black_box(&steps);
        steps.clear();
    }
    begun.elapsed() / TASKS as u32
}

/// Open and settle.
fn ledger(open: u64) -> Duration {
    let mut ledger = Ledger::default();
    let mut random = Random(1);
    let mut note = |ledger: &mut Ledger<u64, u64, ()>, key: u64| {
        let Arrival { check, deadline, .. } = random.arrival(key, 1_000);
        assert!(ledger.open(key, check, deadline, ()).is_ok(), "keys are new");
    };
    for key in 0..open {
        note(&mut ledger, key);
    }
    let begun = Instant::now();
    for key in open..open + TASKS {
        note(&mut ledger, key);
        assert_eq!(ledger.settle(key - open), Settled::First(()));
    }
    begun.elapsed() / TASKS as u32
}

/// Start and end each member of a group, ten at a time.
fn group(members: u64) -> Duration {
    let settings = GroupSettings { policy: GroupPolicy::CollectAll, rule: Rule::All, parallel: 10 };
    let rounds = (TASKS / members).max(1);
    let begun = Instant::now();
    for _ in 0..rounds {
        let mut group = TaskGroup::new(settings, (0..members).collect());
        let mut steps = Vec::new();
        group.begin(&mut steps);
        while let Some(step) = steps.pop() {
            if let GroupStep::Start(key) = step {
                group.member_ended(key, Verdict::Passed, &mut steps);
            }
        }
        assert_eq!(group.verdict(), Some(Verdict::Passed));
    }
    begun.elapsed() / u32::try_from(rounds * members).unwrap_or(u32::MAX)
}
