//! What each command does.

pub mod audit;
pub mod bastions;
pub mod bus;
pub mod check;
pub mod checks;
pub mod config;
pub mod context;
pub mod doctor;
pub mod events;
pub mod help;
pub mod import;
pub mod policy;
mod printing;
pub mod results;
pub mod serve;

use std::io::IsTerminal;

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

/// Asks whoever sits at the terminal whether this may be done.
///
/// # Errors
/// When the answer is no, or nobody sits there.
#[expect(clippy::print_stderr, reason = "the question is for people")]
fn confirm(what: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::usage(format!("this would {what}: say so with --yes")));
    }
    eprint!("This will {what}. Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| Failure::usage(format!("standard input: {e}")))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::of(Exit::NotPassed, "nothing was done")),
    }
}
