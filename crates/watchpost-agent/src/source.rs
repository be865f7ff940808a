//! Where the configuration comes from, and following it when it changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use watchpost_model::{Check, CheckType};

use crate::{Agent, AgentError, PoolSettings};

/// How often the source is looked at. Looking beats being told: it works on network file systems,
/// and through the renames by which editors and Kubernetes replace a file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that tells one state of a source from another.
pub type Fingerprint = u64;

/// The part of a configuration that can change while it is in force.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// All checks.
    pub checks: Vec<Check>,
    /// Worker pools that differ from [`PoolSettings::default`].
    pub pools: BTreeMap<CheckType, PoolSettings>,
}

/// A configuration that may change.
pub trait ConfigurationSource: Send + Sync + 'static {
    /// What distinguishes the present state from others, cheaply; `None` when it cannot be seen.
    fn fingerprint(&self) -> Option<Fingerprint>;

    /// The configuration as it is now.
    ///
    /// # Errors
    /// What is wrong with the source, where, and what was expected.
    fn load(&self) -> Result<Configuration, String>;

    /// What to call it in logs.
    fn name(&self) -> String;
}

/// Applies the source to the agent each time that it changes, or when `reload` is notified. A
/// source with an error changes nothing. Runs until it is dropped.
pub async fn follow(
    source: Arc<dyn ConfigurationSource>,
    loaded: Option<Fingerprint>,
    agent: Arc<Agent>,
    reload: Arc<Notify>,
) {
    let mut last = loaded;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = looks.tick() => false,
            () = reload.notified() => true,
        };
        let seen = source.fingerprint();
        if seen == last && !asked {
            continue;
        }
        last = seen;
        if seen.is_none() {
            tracing::error!(
                source = source.name(),
                "the configuration cannot be read any more; the last good one stays in force"
            );
            continue;
        }
        // Reading may take as long as a network file system likes.
        let reading = Arc::clone(&source);
        let Ok(loaded) = tokio::task::spawn_blocking(move || reading.load()).await else {
            tracing::error!(
                source = source.name(),
                "reading the configuration panicked; the last good one stays in force"
            );
            continue;
        };
        match loaded {
            Ok(configuration) => {
                if let Err(error) = apply(configuration, &agent, &source.name()).await {
                    tracing::error!(%error, "the configuration could not be applied");
                }
            }
            Err(error) => {
                tracing::error!(
                    source = source.name(),
                    "checks not reloaded, the last good ones stay in force: {error}"
                );
            }
        }
    }
}

/// The pools first: new checks may be why there are to be more workers.
async fn apply(configuration: Configuration, agent: &Agent, source: &str) -> Result<(), AgentError> {
    agent.resize_pools(&configuration.pools).await?;
    let changed = match (agent.store(), agent.checker()) {
        (Some(store), _) => store.set_file(configuration.checks).await?,
        (None, Some(checker)) => checker.replace_checks(configuration.checks).await?,
        (None, None) => return Ok(()),
    };
    tracing::info!(source, %changed, "checks reloaded");
    Ok(())
}
