//! Where checks come from, and following it when it changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use watchpost_model::Check;

use crate::CheckerHandle;

/// How often the source is looked at. Looking beats being told: it works on network file systems,
/// and through the renames by which editors and Kubernetes replace a file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that tells one state of a source from another.
pub type Fingerprint = u64;

/// A set of checks that may change.
pub trait CheckSource: Send + Sync + 'static {
    /// What distinguishes the present state from others, cheaply; `None` when it cannot be seen.
    fn fingerprint(&self) -> Option<Fingerprint>;

    /// All checks.
    ///
    /// # Errors
    /// What is wrong with the source, where, and what was expected.
    fn load(&self) -> Result<Vec<Check>, String>;

    /// What to call it in logs.
    fn name(&self) -> String;
}

/// Applies the source to the Checker each time that it changes, or when `reload` is notified. A
/// source with an error changes nothing. Runs until it is dropped.
pub async fn follow(
    source: Arc<dyn CheckSource>,
    loaded: Option<Fingerprint>,
    checker: CheckerHandle,
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
                "the checks cannot be read any more; the last good ones stay in force"
            );
            continue;
        }
        // Reading may take as long as a network file system likes.
        let reading = Arc::clone(&source);
        let Ok(loaded) = tokio::task::spawn_blocking(move || reading.load()).await else {
            tracing::error!(source = source.name(), "reading the checks panicked; the last good ones stay in force");
            continue;
        };
        match loaded {
            Ok(checks) => match checker.replace_checks(checks).await {
                Ok(changed) => tracing::info!(source = source.name(), %changed, "checks reloaded"),
                Err(error) => tracing::error!(%error, "checks could not be applied"),
            },
            Err(error) => {
                tracing::error!(
                    source = source.name(),
                    "checks not reloaded, the last good ones stay in force: {error}"
                );
            }
        }
    }
}
