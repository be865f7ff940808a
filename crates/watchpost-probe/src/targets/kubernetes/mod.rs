//! Targets that a Kubernetes cluster has: the endpoints of a service, by list and watch.
//!
//! The whole list is fetched, page by page, and then the API server tells what changes, until the list is due
//! again. So nothing is missed for longer than that, whatever becomes of a watch.

mod api;
mod slices;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;
use watchpost_model::{FoundTarget, KubernetesTargets, Reason};

use self::api::{Api, Refused, Watch};
use self::slices::Slices;
use super::pace::{Pace, varied};
use crate::context::ProbeContext;

/// How long changes are gathered before they are told: a rollout is many of them.
const GATHER_FOR: Duration = Duration::from_millis(200);
/// How soon a watch that has ended is begun again.
const WATCH_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A service, or what a selector picks, whose endpoints are targets.
#[derive(Debug)]
pub(super) struct KubernetesSource {
    api: Api,
    settings: KubernetesTargets,
    refresh: Duration,
    pace: Pace,
    watching: Option<Watching>,
}

/// What is known while changes are being told.
#[derive(Debug)]
struct Watching {
    slices: Slices,
    watch: Option<Watch>,
    list_due: Instant,
    /// Whether there are changes that were not told.
    untold: bool,
}

/// What a watch has come to.
enum Told {
    Changes,
    /// The list is to be fetched: it is due, or too old to be changed.
    ListDue,
}

impl KubernetesSource {
    pub(super) fn new(context: ProbeContext, settings: KubernetesTargets, refresh: Duration, pace: Pace) -> Self {
        Self { api: Api::new(context, &settings), settings, refresh, pace, watching: None }
    }

    pub(super) async fn next(&mut self) -> Result<Vec<FoundTarget>, Reason> {
        let answer = self.ask().await;
        // Only failures are waited after here: whether there is something new is for the watch to tell.
        self.pace.note(&answer);
        if answer.is_err() {
            self.watching = None;
        }
        answer
    }

    async fn ask(&mut self) -> Result<Vec<FoundTarget>, Reason> {
        match &mut self.watching {
            Some(watching) => match watching.told(&self.api).await? {
                Told::Changes => return watching.slices.targets(&self.settings),
                Told::ListDue => {}
            },
            None => self.pace.wait().await,
        }
        let slices = self.api.list().await?;
        let targets = slices.targets(&self.settings)?;
        let list_due = Instant::now() + varied(self.refresh, u64::from(slices.fingerprint()));
        self.watching = Some(Watching { slices, watch: None, list_due, untold: false });
        Ok(targets)
    }
}

impl Watching {
    /// Waits for changes, and gathers those that come together.
    ///
    /// # Cancel safety
    /// Nothing that was learned is lost when the future is dropped.
    async fn told(&mut self, api: &Api) -> Result<Told, Reason> {
        loop {
            if self.untold {
                return self.gather().await;
            }
            let left = self.list_due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Told::ListDue);
            }
            let watch = match &mut self.watch {
                Some(watch) => watch,
                None => match api.watch(self.slices.version(), left).await {
                    Ok(watch) => self.watch.insert(watch),
                    Err(Refused::Expired) => return Ok(Told::ListDue),
                    Err(Refused::Failed(reason)) => return Err(reason),
                },
            };
            match tokio::time::timeout(left, watch.next()).await {
                Err(_) => return Ok(Told::ListDue),
                Ok(Ok(Some(change))) => self.untold = self.slices.apply(change),
                Ok(Err(Refused::Expired)) => return Ok(Told::ListDue),
                Ok(Err(Refused::Failed(reason))) => return Err(reason),
                Ok(Ok(None)) => {
                    self.watch = None;
                    tokio::time::sleep(WATCH_AGAIN_AFTER.min(left)).await;
                }
            }
        }
    }

    async fn gather(&mut self) -> Result<Told, Reason> {
        let until = Instant::now() + GATHER_FOR;
        while let Some(watch) = &mut self.watch {
            match tokio::time::timeout_at(until, watch.next()).await {
                Err(_) => break,
                Ok(Ok(Some(change))) => {
                    self.slices.apply(change);
                }
                Ok(Err(Refused::Expired)) => return Ok(Told::ListDue),
                Ok(Err(Refused::Failed(reason))) => return Err(reason),
                Ok(Ok(None)) => self.watch = None,
            }
        }
        self.untold = false;
        Ok(Told::Changes)
    }
}
