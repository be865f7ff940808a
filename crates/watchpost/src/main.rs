//! The `watchpost` binary: command line, config file, wiring. It contains no logic of its own.
//!
//! stdout is data, stderr is for people. Exit codes: 0 everything passed, 1 something did not pass,
//! 2 usage or configuration error, 3 a stop could not keep its promises in time, 4 the bus could
//! not be reached.

mod cli;
mod commands;
mod config;
mod failure;
mod health;
mod logging;
mod managed;
mod output;
mod policy;
mod remote;
mod signals;
mod target;

use std::process::ExitCode;

/// An HTTP check allocates much and briefly: this allocator saves about a fifth of its CPU time
/// and costs some 20 MiB at rest (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Whatever happens, the memory of this process, which holds secrets, is not written to a file, and nobody but the
/// superuser may look into it.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user may look into the memory of this one");
    }
    if let Err(error) = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0) {
        tracing::warn!(%error, "core files could not be turned off");
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(failure) = logging::start(&cli.log, cli.command.serves()) {
        return failure.print();
    }
    if !cli.dumpable {
        keep_memory_private();
    }
    // Each task in flight holds a socket, and the usual soft limit of 1 024 is below a busy pool.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let done = match cli.command {
        Command::Check(args) => commands::check::run(args),
        Command::Up(args) => commands::serve::up(args),
        Command::Bastion(args) => commands::serve::on_bus(watchpost_agent::Roles::Both, args),
        Command::Checker(args) => commands::serve::on_bus(watchpost_agent::Roles::Checker, args),
        Command::Runner(args) => commands::serve::on_bus(watchpost_agent::Roles::Runner, args),
        Command::Checks(args) => commands::checks::run(args),
        Command::Bastions(args) => commands::bastions::run(args),
        Command::Results(args) => commands::results::run(args),
        Command::Events(args) => commands::events::run(args),
        Command::Bus(args) => commands::bus::run(args),
        Command::Context(command) => commands::context::run(command),
        Command::Audit(command) => commands::audit::run(command),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Config(command) => commands::config::run(command),
        Command::Policy(command) => commands::policy::run(command),
        Command::Completions { shell } => commands::help::completions(shell),
        Command::Man => commands::help::man(),
    };
    match done {
        Ok(code) => code.into(),
        Err(failure) => failure.print(),
    }
}
