//! How a command ends.

use std::fmt;
use std::process::ExitCode;

/// The exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything passed.
    Ok = 0,
    /// Something did not pass.
    NotPassed = 1,
    /// Usage or configuration error.
    Usage = 2,
    /// A stop could not keep its promises in time.
    DrainExpired = 3,
    /// The bus could not be reached.
    BusUnreachable = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What the program could not do, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A usage or configuration error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// Anything that ends with this code.
    pub fn of(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// Something of the system's that the program cannot go on without.
    pub fn stuck(message: impl Into<String>) -> Self {
        Self { exit: Exit::DrainExpired, message: message.into() }
    }

    /// An error with everything that led to it.
    pub fn chain(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            // Some errors repeat their source in their own text.
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message.push_str(": ");
                message.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self { exit, message }
    }

    /// The one place that tells people of failures.
    #[expect(clippy::print_stderr, reason = "this is what stderr is for")]
    pub fn print(&self) -> ExitCode {
        eprintln!("error: {self}");
        self.exit.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<watchpost_bus::BusError> for Failure {
    fn from(error: watchpost_bus::BusError) -> Self {
        let exit = match error {
            watchpost_bus::BusError::Settings { .. } | watchpost_bus::BusError::Forbidden { .. } => Exit::Usage,
            _ => Exit::BusUnreachable,
        };
        Self::chain(exit, &error)
    }
}

impl From<watchpost_bus::KvError> for Failure {
    fn from(error: watchpost_bus::KvError) -> Self {
        match error {
            watchpost_bus::KvError::Bus(error) => error.into(),
            watchpost_bus::KvError::NoBucket { .. } => Self::of(
                Exit::Usage,
                format!(
                    "{error}, which would hold the checks: `watchpost checks apply` or `watchpost bus setup` makes it"
                ),
            ),
            watchpost_bus::KvError::Conflict { .. } => Self::chain(Exit::NotPassed, &error),
            _ => Self::chain(Exit::Usage, &error),
        }
    }
}

impl From<watchpost_bus::StreamError> for Failure {
    fn from(error: watchpost_bus::StreamError) -> Self {
        match error {
            watchpost_bus::StreamError::Bus(error) => error.into(),
            watchpost_bus::StreamError::NoStream { .. } => {
                Self::of(Exit::Usage, format!("{error}: `watchpost bus setup` makes it"))
            }
            watchpost_bus::StreamError::NoAnswer { .. } => Self::chain(Exit::BusUnreachable, &error),
            _ => Self::chain(Exit::Usage, &error),
        }
    }
}

impl From<watchpost_agent::AgentError> for Failure {
    fn from(error: watchpost_agent::AgentError) -> Self {
        let exit = match error {
            watchpost_agent::AgentError::Subscribe { source: watchpost_bus::BusError::Forbidden { .. }, .. } => {
                Exit::Usage
            }
            watchpost_agent::AgentError::Subscribe { .. } => Exit::BusUnreachable,
            watchpost_agent::AgentError::StateDir { .. } => Exit::Usage,
            _ => Exit::DrainExpired,
        };
        Self::chain(exit, &error)
    }
}
