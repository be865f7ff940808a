//! What each command does.

pub mod check;
pub mod config;
pub mod help;
pub mod import;
mod printing;
pub mod serve;

use crate::failure::{Exit, Failure};

/// Runs the main part of a command where actors can live.
fn in_system<F: Future<Output = Result<Exit, Failure>>>(main: F) -> Result<Exit, Failure> {
    watchpost_agent::run_system(main)
        .map_err(|e| Failure::usage(format!("the runtime's threads cannot be started: {e}")))?
}

/// Names what a stop had to give up.
fn tell_abandoned(report: &watchpost_agent::StopReport) {
    for abandoned in &report.abandoned {
        tracing::error!(task = %abandoned.task, check = %abandoned.check, endpoint = abandoned.endpoint, state = abandoned.state, "abandoned");
    }
}
