//! Logs to stderr, for people or as JSON.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{Handle, Layer};
use tracing_subscriber::util::SubscriberInitExt;
use watchpost_agent::LogControl;
use watchpost_probe::SecretStore;

use crate::cli::{LogArgs, LogFormat};
use crate::failure::Failure;

/// What is logged where nothing else is said.
const FILTER_DEFAULT: &str = "warn,watchpost=info,watchpost_agent=info,watchpost_bus=info,watchpost_console=info";

/// What is logged by commands that ask something of the bus and end.
const FILTER_BRIEF: &str = "warn";

/// What changes the log of this process, once it has begun.
static CONTROL: OnceLock<Arc<dyn LogControl>> = OnceLock::new();

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
    let (filter, handle) = Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Discreet);
    let colour = std::io::stderr().is_terminal();
    match args.log_format {
        LogFormat::Text if serves => registry.with(lines.with_ansi(colour).with_target(false)).init(),
        // Whoever waits for a command knows what time it is.
        LogFormat::Text => registry.with(lines.with_ansi(colour).with_target(false).without_time()).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
    // It is started once.
    let _set = CONTROL.set(Arc::new(Filter { at_start: directives.to_owned(), handle }));
    log_panics();
    Ok(())
}

/// The secrets of this process, which no line shows whoever wrote it.
static SECRETS: OnceLock<SecretStore> = OnceLock::new();

/// Keeps `secrets` out of the log from now on. A process has one store of them.
pub fn keep_out(secrets: &SecretStore) {
    let _known = SECRETS.set(secrets.clone());
}

/// Standard error without secrets.
struct Discreet;

impl Write for Discreet {
    /// Of each line, which comes whole.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut stderr = std::io::stderr();
        match SECRETS.get() {
            Some(secrets) => {
                let shown = secrets.hide_in(String::from_utf8_lossy(line).into_owned());
                stderr.write_all(shown.as_bytes())?;
            }
            None => stderr.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// What changes what is logged, if logging has begun.
pub fn control() -> Option<Arc<dyn LogControl>> {
    CONTROL.get().map(Arc::clone)
}

/// The filter of this process's log.
struct Filter<S> {
    at_start: String,
    handle: Handle<EnvFilter, S>,
}

impl<S: Send + Sync + 'static> LogControl for Filter<S> {
    fn set(&self, directives: Option<&str>) -> Result<(), String> {
        // What comes later outranks what is said of the same target before.
        let all = match directives {
            Some(more) => format!("{},{more}", self.at_start),
            None => self.at_start.clone(),
        };
        let filter = EnvFilter::builder().parse(&all).map_err(|e| e.to_string())?;
        self.handle.reload(filter).map_err(|e| e.to_string())
    }
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
