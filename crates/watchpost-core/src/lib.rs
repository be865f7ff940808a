//! The decisions of Watchpost as plain state machines: when a check is due, who gets which worker,
//! which outcome a task has, when a stop is over.
//!
//! It owns decisions and refuses to carry them out: no I/O, no clock, no randomness, no runtime.
//! Time comes in as an argument, what is to be done goes out as a value. The actors in
//! `watchpost-agent` receive an event, ask one of these machines, and act.
//!
//! Invariants:
//! - [`Schedule`]: each check has exactly one timer, however often it is replaced.
//! - [`Pool`]: `idle + busy + rebuilding = size`; no task waits that may start while a worker idles; a
//!   task leaves exactly once, either started with a worker or refused.
//! - [`TaskGroup`]: each member is started once or skipped once; the group ends once, with one verdict.
//! - [`Ledger`]: each task that was opened is settled exactly once.
//! - [`Beats`]: silence is told when it is there, and only a beat or other limits move that moment.
//! - [`Drain`]: only moves forward, and always ends.
//!
//! ```
//! use std::time::Duration;
//! use watchpost_core::{Arrival, Class, Limits, Pool, Step, Tick};
//!
//! let limits = Limits { queue_max: 8, wait_max: Duration::from_secs(30), per_check_max: 2 };
//! let mut pool = Pool::new(limits, vec!["worker"]);
//! let arrival = |key| Arrival { key, check: "home", class: Class::Scheduled, deadline: Tick::from_secs(10) };
//! let mut steps = Vec::new();
//! pool.submit(Tick::ZERO, arrival(1), "first", &mut steps);
//! pool.submit(Tick::ZERO, arrival(2), "second", &mut steps);
//! let Some(Step::Start { key: 1, job: "first", worker, .. }) = steps.pop() else { panic!() };
//! assert!(steps.is_empty(), "the second one waits");
//!
//! // The worker comes home by value and takes up what waits.
//! pool.worker_returned(Tick::from_secs(1), 1, worker, &mut steps);
//! assert!(matches!(steps[..], [Step::Start { job: "second", .. }]));
//! ```

mod beats;
mod drain;
mod group;
mod ledger;
mod pool;
mod schedule;
mod tick;

pub use beats::{BeatLimits, Beats, Pulse};
pub use drain::{Drain, DrainPhase};
pub use group::{GroupCounts, GroupPolicy, GroupSettings, GroupStep, Rule, TaskGroup, Verdict};
pub use ledger::{Expired, Ledger, Settled};
pub use pool::{Arrival, Class, Limits, Pool, PoolStats, Refusal, Seat, Step};
pub use schedule::{Due, Schedule, SlotId, phase};
pub use tick::Tick;
