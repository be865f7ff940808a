//! Dispatch from end to end: groups, cancellation, fairness, overlap, pools that change, faults of clock and bus.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod bus_faults;
mod cancel;
mod clocks;
mod crowd;
mod duplicates;
mod fairness;
mod faulty_bus;
mod group_agent;
mod groups;
mod local;
mod not_begun;
mod panics;
mod resize;
mod rig;
mod set_clock;
mod slow_server;
mod stops;
mod too_few;
mod up_on_bus;
