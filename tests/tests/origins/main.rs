//! The accounts that this project comes from (O1 to O4), each told again as a test under load.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod addresses;
mod agent;
mod checker;
mod fates;
mod group;
mod instances;
mod leaks;
mod outage;
mod reload;
mod runner;
mod waiting;
