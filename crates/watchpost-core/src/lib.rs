//! The decisions of Watchpost as plain state machines: when a check is due, who gets which worker,
//! which outcome a task has, when a stop is over.
//!
//! It owns decisions and refuses to carry them out: no I/O, no clock, no randomness, no runtime.
//! Time comes in as an argument, what is to be done goes out as a value. The actors in
//! `watchpost-agent` receive an event, ask one of these machines, and act.
//!
//! Invariants:
//! - [`Schedule`]: each check has exactly one timer, however often it is replaced.
//! - [`Pool`]: `idle + busy = size`; no task waits while a worker idles; a task leaves exactly
//!   once, either started with a worker or refused.
//! - [`Ledger`]: each task that was opened is settled exactly once.
//! - [`Drain`]: only moves forward, and always ends.
//!
//! ```
//! use watchpost_core::{Limits, Pool, Step, Tick};
//!
//! let limits = Limits { queue_max: 8, wait_max: std::time::Duration::from_secs(30) };
//! let mut pool = Pool::new(limits, vec!["worker"]);
//! let deadline = Tick::from_secs(10);
//! let Step::Start { job, worker, .. } = pool.submit(Tick::ZERO, 1, deadline, "first") else { panic!() };
//! assert_eq!((job, worker), ("first", "worker"));
//! assert!(matches!(pool.submit(Tick::ZERO, 2, deadline, "second"), Step::Wait));
//!
//! // The worker comes home by value and takes up what waits.
//! let next = pool.worker_returned(Tick::from_secs(1), 1, worker);
//! assert!(matches!(next, Some(Step::Start { job: "second", .. })));
//! ```

mod drain;
mod group;
mod ledger;
mod pool;
mod schedule;
mod tick;

pub use drain::{Drain, DrainPhase};
pub use group::{GroupPolicy, TaskGroup};
pub use ledger::{Expired, Ledger, Settled};
pub use pool::{Limits, Pool, PoolStats, Refusal, Step};
pub use schedule::{Due, Schedule, SlotId, phase};
pub use tick::Tick;
