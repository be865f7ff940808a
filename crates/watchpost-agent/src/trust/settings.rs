//! What can be said about whom a process trusts.

use std::sync::Arc;
use std::time::Duration;

use watchpost_trust::{FoundTargets, Signers};

/// Whose checks are run. Without it, everybody's who can write to the bus.
#[derive(Debug, Clone)]
pub struct TrustSettings {
    /// Checks of the store, and those that are only tested, run if one of these has signed them.
    pub signers: Arc<Signers>,
    /// What is told of, once it was signed so long ago: somebody may keep newer ones away. `None` for nothing.
    pub max_age: Option<Duration>,
    /// What is done about checks whose targets come from a source.
    pub found_targets: FoundTargets,
}
