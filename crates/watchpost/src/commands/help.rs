//! Completions and the manual page, made of the command line's own description.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    clap_complete::generate(shell, &mut Cli::command(), "watchpost", &mut std::io::stdout());
    Ok(Exit::Ok)
}

/// Prints the manual page.
pub fn man() -> Result<Exit, Failure> {
    clap_mangen::Man::new(Cli::command())
        .render(&mut std::io::stdout())
        .map_err(|e| Failure::usage(format!("the manual page could not be written: {e}")))?;
    Ok(Exit::Ok)
}
