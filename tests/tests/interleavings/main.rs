//! Every interleaving of the threads of the hand-written synchronisation, explored by loom.
//!
//! loom knows no time, so a moment has come or comes never, and a wait ends only when it is told. A wake-up
//! that is missed shows as a deadlock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../crates/watchpost-agent/src/wake/sleeper.rs"]
mod sleeper;
mod sync;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use sleeper::Sleeper;
use sync::{DUE, LATER};

/// A sleeper with its thread, which counts how often it told.
struct Rig {
    sleeper: Arc<Sleeper>,
    told: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

impl Rig {
    fn start() -> Self {
        let (sleeper, told) = (Arc::new(Sleeper::new()), Arc::new(AtomicU64::new(0)));
        let (asleep, count) = (Arc::clone(&sleeper), Arc::clone(&told));
        let thread = thread::spawn(move || {
            asleep.run(|| {
                count.fetch_add(1, Ordering::SeqCst);
            })
        });
        Self { sleeper, told, thread }
    }

    /// Waits until it has told so often. If a wake-up is missed nobody can go on, which loom reports.
    fn until_told(&self, times: u64) {
        while self.told.load(Ordering::SeqCst) < times {
            thread::yield_now();
        }
    }

    fn end(self) {
        self.sleeper.stop();
        self.thread.join().unwrap();
    }
}

#[test]
fn a_moment_that_has_come_is_always_told() {
    loom::model(|| {
        let rig = Rig::start();
        rig.sleeper.set(DUE);
        rig.until_told(1);
        rig.end();
    });
}

#[test]
fn a_sooner_moment_wakes_whoever_sleeps_towards_a_later_one() {
    loom::model(|| {
        let rig = Rig::start();
        rig.sleeper.set(LATER);
        rig.sleeper.set(DUE);
        rig.until_told(1);
        rig.end();
    });
}

#[test]
fn a_moment_that_is_moved_away_and_back_is_told() {
    loom::model(|| {
        let rig = Rig::start();
        rig.sleeper.set(DUE);
        rig.sleeper.set(LATER);
        rig.sleeper.set(DUE);
        rig.until_told(1);
        rig.end();
    });
}

#[test]
fn a_stop_ends_it_wherever_it_is() {
    loom::model(|| {
        let rig = Rig::start();
        rig.sleeper.set(LATER);
        rig.end();
    });
}
