//! The whole agent in simulated time: Checker and Runners as processes of their own on a network that delays,
//! loses, doubles and shuffles messages, with clocks that are set and processes that are killed. Everything
//! comes from one number, the seed, so that whatever a seed finds can be found again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bus;
mod checks;
mod host;
mod log;
mod network;
mod plan;
mod probes;
mod rng;
mod run;

#[test]
fn first() {
    for seed in 0..20 {
        let plan = plan::Plan::of(seed);
        let begun = std::time::Instant::now();
        let entries = run::run(&plan);
        let again = run::run(&plan);
        println!("{seed} calm {} {} {:?} {:x} {:x}", plan.calm, entries.len(), begun.elapsed()/2, log::fingerprint(&entries), log::fingerprint(&again));
        if seed == 3 { log::print(&entries); }
    }
}
