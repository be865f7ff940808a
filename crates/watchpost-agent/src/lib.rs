//! The actors: Checker, Runner, Dispatcher, and their life from start to drain.
//!
//! It owns who talks to whom. Decisions are made by the state machines of `watchpost-core`, the
//! network is touched by `watchpost-probe`, messages travel over `watchpost-bus`. It is the only
//! crate that uses actix.
//!
//! Invariants:
//! - Task and worker are moved into the message that starts the work (`runner/execute.rs`); neither is `Clone`.
//! - Probes run on the tokio runtime's threads, never on an actor's.
//! - Each task that is accepted ends in exactly one report, and each task that is published in
//!   exactly one outcome; what cannot be is named when the process stops.
//! - No actor waits for a queue: what does not fit is refused, counted and told.
//! - An actor that panics goes on with its state and its mail (`actor.rs`).

mod abandoned;
mod actor;
mod adhoc;
mod agent;
mod checker;
mod clock;
mod control;
mod discovery;
mod heartbeat;
mod helpers;
mod lag;
mod replies;
mod runner;
mod settings;
mod source;
mod stats;
mod store;
mod system;
mod troubles;
mod trust;
mod wake;

pub use abandoned::Abandoned;
pub use adhoc::{RUN_TASKS_MAX, RunItem, RunReport, RunRequest};
pub use agent::{Agent, AgentStatus, Deps, Roles, StopReport, new_instance};
pub use checker::{BeatRefused, CheckerHandle, CheckerStatus, ChecksChanged};
pub use clock::{Alarm, Clock, SystemClock};
pub use control::LogControl;
pub use runner::PoolStatus;
pub use settings::{AgentSettings, PoolSettings};
pub use source::{Configuration, ConfigurationSource, Fingerprint, follow};
pub use stats::{Counts, Stats};
pub use store::{GROUPS_MAX, StoreHandle, StoreSettings, stored_checks};
pub use system::run_system;
pub use trust::TrustSettings;
pub use watchpost_core::GroupPolicy;
pub use watchpost_trust::{FoundTargets, Signers};

/// What the agent could not do. How a check ended is never one of these.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A subscription could not be made.
    #[error("could not subscribe to {subject}")]
    Subscribe {
        /// What was to be subscribed to.
        subject: String,
        /// Why not.
        #[source]
        source: watchpost_bus::BusError,
    },
    /// The checks do not fit together.
    #[error("the checks do not fit together")]
    Checks(#[source] watchpost_model::SetError),
    /// The directory where the checks are kept cannot be used.
    #[error("the state directory {} cannot be used", path.display())]
    StateDir {
        /// The directory.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The thread of the timer could not be started.
    #[error("could not start the timer's thread")]
    Timer(#[source] std::io::Error),
    /// A task that carries things between the bus and the actors is gone.
    #[error("the task `{0}` panicked; this is a defect of Watchpost, restart the process")]
    HelperGone(&'static str),
    /// An actor is gone.
    #[error("the {0} is gone; this is a defect of Watchpost, restart the process")]
    ActorGone(&'static str),
}
