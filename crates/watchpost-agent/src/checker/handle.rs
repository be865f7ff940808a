//! How others talk to the Checker, and how it begins.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::{mpsc, oneshot};
use watchpost_model::{Check, TaskResult};

use super::stop::BeginStop;
use super::{AskStatus, Checker, CheckerContext, ReplaceChecks, RunNow, Wake, listen, publish};
use crate::AgentError;
use crate::abandoned::RoleStop;
use crate::adhoc::RunRequest;
use crate::wake::WakeTimer;

/// What a new set of checks changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChecksChanged {
    /// Checks that were not there before.
    pub added: usize,
    /// Checks that differ from before.
    pub replaced: usize,
    /// Checks that are gone.
    pub removed: usize,
    /// Checks that stayed as they were.
    pub unchanged: usize,
    /// The generation that is in force now.
    pub config_generation: u64,
}

impl fmt::Display for ChecksChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, replaced, removed, unchanged, config_generation } = self;
        write!(
            f,
            "{added} added, {replaced} replaced, {removed} removed, {unchanged} unchanged; generation {config_generation}"
        )
    }
}

/// How the Checker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckerStatus {
    /// Checks that are scheduled.
    pub checks: usize,
    /// Tasks without an outcome yet.
    pub outstanding: usize,
    /// The generation of the configuration that is in force.
    pub config_generation: u64,
}

/// Talks to the Checker.
#[derive(Clone)]
pub struct CheckerHandle(Addr<Checker>);

impl CheckerHandle {
    /// Replaces the whole set of checks.
    ///
    /// # Errors
    /// When the Checker is gone.
    pub async fn replace_checks(&self, checks: Vec<Check>) -> Result<ChecksChanged, AgentError> {
        self.0.send(ReplaceChecks(checks)).await.map_err(|_| AgentError::ActorGone("Checker"))
    }

    /// Runs checks once, now. The channel yields one result for each task as it ends, and closes
    /// after the last. Dropping it cancels what is still running.
    ///
    /// # Errors
    /// When the Checker is gone.
    pub async fn run_now(&self, request: RunRequest) -> Result<mpsc::Receiver<TaskResult>, AgentError> {
        self.0.send(RunNow(request)).await.map_err(|_| AgentError::ActorGone("Checker"))
    }

    /// How it stands.
    ///
    /// # Errors
    /// When the Checker is gone.
    pub async fn status(&self) -> Result<CheckerStatus, AgentError> {
        self.0.send(AskStatus).await.map_err(|_| AgentError::ActorGone("Checker"))
    }

    /// Fires nothing more, waits for what is outstanding, cancels it when the grace runs out, and
    /// flushes.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<RoleStop, AgentError> {
        let gone = || AgentError::ActorGone("Checker");
        let (done, report) = oneshot::channel();
        self.0.send(BeginStop { grace, done }).await.map_err(|_| gone())?;
        report.await.map_err(|_| gone())
    }
}

/// Starts a Checker without checks. It listens for results before it returns.
pub(crate) async fn start(cx: CheckerContext) -> Result<CheckerHandle, AgentError> {
    let cx = Arc::new(cx);
    let subject = cx.subjects.results();
    let results = cx.bus.subscribe(&subject, None).await.map_err(|source| AgentError::Subscribe { subject, source })?;
    let timer = WakeTimer::start().map_err(AgentError::Timer)?;
    let due = timer.observer();
    let (outbox, outbound) = mpsc::channel(publish::OUTBOX_MAX);
    let addr = Checker::new(Arc::clone(&cx), outbox, timer).start();
    tokio::spawn(publish::publish_all(Arc::clone(&cx), outbound, addr.downgrade()));
    tokio::spawn(listen::hand_over_answers(Arc::clone(&cx), results, addr.downgrade()));
    let weak = addr.downgrade();
    tokio::spawn(async move {
        loop {
            due.notified().await;
            let Some(addr) = weak.upgrade() else { return };
            if addr.send(Wake).await.is_err() {
                return;
            }
        }
    });
    Ok(CheckerHandle(addr))
}
