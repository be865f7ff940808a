//! The whole agent in simulated time: Checker and Runners as processes of their own on a network that delays,
//! loses, doubles and shuffles messages, with clocks that are set and processes that are killed. Everything
//! comes from one number, the seed, so that whatever a seed finds can be found again.
//!
//! `WATCHPOST_SEEDS=5000` says how many seeds are tried, `WATCHPOST_SEED=1234` tries that one and prints what happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, prints what it found, and is told by the environment which seeds to try"
)]

mod bus;
mod checks;
mod host;
mod log;
mod network;
mod oracle;
mod plan;
mod probes;
mod rng;
mod run;

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use oracle::Met;
use plan::Plan;

/// How many seeds are tried unless the environment says otherwise.
const SEEDS: u64 = 300;
/// How many seeds are run twice.
const SEEDS_TWICE: u64 = 20;

#[test]
fn guarantee_1_one_outcome_per_task_whatever_goes_wrong() {
    if let Some(seed) = from_environment("WATCHPOST_SEED") {
        return replay(seed);
    }
    let seeds = from_environment("WATCHPOST_SEEDS").unwrap_or(SEEDS);
    let (next, failed, met) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Met::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut met_here = Met::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let found = std::panic::catch_unwind(AssertUnwindSafe(|| {
                        let plan = Plan::of(seed);
                        oracle::judge(&plan, &run::run(&plan), &mut met_here).0
                    }));
                    let found = found.unwrap_or_else(|_| vec!["the simulation itself panicked".to_owned()]);
                    if !found.is_empty() {
                        failed.lock().unwrap().push((seed, found));
                    }
                }
                let mut met = met.lock().unwrap();
                met_here.into_iter().for_each(|(what, n)| *met.entry(what).or_default() += n);
            });
        }
    });
    println!("{seeds} seeds; outcomes: {:#?}", met.into_inner().unwrap());
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, found) in failed.iter().take(10) {
        println!("seed {seed}: {found:#?}");
    }
    let all: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    assert!(
        all.is_empty(),
        "{} of {seeds} seeds failed: {all:?}; to see what happened: WATCHPOST_SEED={} cargo test -p watchpost-tests --test simulation guarantee_1 -- --nocapture",
        all.len(),
        all[0],
    );
}

#[test]
fn a_seed_is_the_same_each_time() {
    for seed in 0..SEEDS_TWICE {
        let plan = || Plan::of(seed);
        let (once, again) = (run::run(&plan()), run::run(&plan()));
        let differs = || {
            let pairs =
                once.iter().map(|entry| format!("{entry:?}")).zip(again.iter().map(|entry| format!("{entry:?}")));
            pairs.into_iter().find(|(a, b)| a != b)
        };
        assert_eq!(log::fingerprint(&once), log::fingerprint(&again), "seed {seed} differs: {:#?}", differs());
    }
}

fn replay(seed: u64) {
    let plan = Plan::of(seed);
    println!("{plan:#?}");
    let entries = run::run(&plan);
    log::print(&entries);
    let found = oracle::judge(&plan, &entries, &mut Met::new()).0;
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}
