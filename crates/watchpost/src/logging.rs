//! Logs to stderr, for people or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::{LogArgs, LogFormat};
use crate::failure::Failure;

/// What is logged where nothing else is said.
const FILTER_DEFAULT: &str = "warn,watchpost=info,watchpost_agent=info,watchpost_bus=info,watchpost_console=info";

/// What is logged by commands that ask something of the bus and end.
const FILTER_BRIEF: &str = "warn";

/// Starts logging; `serves` says whether the process is one that people follow by its log.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(args: &LogArgs, serves: bool) -> Result<(), Failure> {
    let directives = args.log.as_deref().unwrap_or(if serves { FILTER_DEFAULT } else { FILTER_BRIEF });
    let filter = EnvFilter::builder().parse(directives).map_err(|e| {
        Failure::usage(format!(
            "--log `{directives}` cannot be read: {e}; expected for example `info` or `warn,watchpost_agent=debug`"
        ))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    log_panics();
    Ok(())
}

/// A panic is a line of the log like any other, so that whoever collects JSON gets JSON.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        tracing::error!(place, thread = thread.name(), "panic: {message}{backtrace}");
    }));
}
