//! How others talk to the Checker, and how it begins.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchpost_model::{Beat, BeatTaken, Check, CheckId, validate_set};

use super::beats::BeatRefused;
use super::{Change, Checker, CheckerContext, Event, beat_intake, listen, publish};
use crate::AgentError;
use crate::abandoned::RoleStop;
use crate::adhoc::{RunOptions, RunReport, RunRequest};

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
    /// Sources of targets.
    pub sources: usize,
    /// Those of them that give no targets at present.
    pub sources_degraded: usize,
    /// Messages that wait to be published.
    pub unpublished: usize,
}

/// How many messages may wait for the Checker. Whoever sends one more waits.
const INBOX_MAX: usize = 1024;

/// Talks to the Checker.
#[derive(Clone)]
pub struct CheckerHandle(mpsc::Sender<Event>);

impl CheckerHandle {
    /// Replaces the whole set of checks.
    ///
    /// # Errors
    /// When they do not fit together, or the Checker is gone.
    pub async fn replace_checks(&self, checks: Vec<Check>) -> Result<ChecksChanged, AgentError> {
        validate_set(&checks).map_err(AgentError::Checks)?;
        self.ask(|changed| Event::Replace(checks, changed)).await
    }

    /// Changes the set of checks, which fit together afterwards.
    pub(crate) async fn change(&self, change: Change) -> Result<ChecksChanged, AgentError> {
        self.ask(|changed| Event::Change(change, changed)).await
    }

    /// Runs checks once, now. The channel yields one result for each task as it ends, the verdicts over
    /// them, and closes when every item is over. Dropping it cancels what is still running.
    ///
    /// # Errors
    /// When the Checker is gone.
    pub async fn run_now(&self, request: RunRequest) -> Result<mpsc::Receiver<RunReport>, AgentError> {
        self.run_now_with(request, RunOptions::default()).await
    }

    /// The same, within bounds of its own.
    pub(crate) async fn run_now_with(
        &self,
        request: RunRequest,
        options: RunOptions,
    ) -> Result<mpsc::Receiver<RunReport>, AgentError> {
        self.ask(|results| Event::RunNow(request, options, results)).await
    }

    /// Those of `ids` that are checks of the configuration, in that order, and then what they are made of, each once.
    pub(crate) async fn family(&self, ids: Vec<CheckId>) -> Result<Vec<Arc<Check>>, AgentError> {
        self.ask(|family| Event::Family(ids, family)).await
    }

    /// Fires nothing any more, or again.
    pub(crate) async fn drain(&self, draining: bool) -> Result<(), AgentError> {
        self.ask(|done| Event::Drain(draining, done)).await
    }

    /// A job has reported in.
    ///
    /// # Errors
    /// When the Checker is gone. The inner error says why the beat was not taken.
    pub async fn beat(&self, check: CheckId, beat: Beat) -> Result<Result<BeatTaken, BeatRefused>, AgentError> {
        self.ask(|answer| Event::Beat { check, beat: Box::new(beat), answer }).await
    }

    /// How it stands.
    ///
    /// # Errors
    /// When the Checker is gone.
    pub async fn status(&self) -> Result<CheckerStatus, AgentError> {
        self.ask(Event::Ask).await
    }

    /// Fires nothing more, waits for what is outstanding, cancels it when the grace runs out, and
    /// flushes.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<RoleStop, AgentError> {
        self.ask(|done| Event::BeginStop { grace, done }).await
    }

    #[cfg(test)]
    pub(crate) async fn panic(&self) {
        self.0.send(Event::Panic).await.unwrap();
    }

    async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, AgentError> {
        let gone = || AgentError::ActorGone("Checker");
        let (sender, answer) = oneshot::channel();
        self.0.send(event(sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

/// Starts a Checker without checks. It listens for results before it returns.
pub(crate) async fn start(cx: CheckerContext) -> Result<CheckerHandle, AgentError> {
    let cx = Arc::new(cx);
    let subscribe = async |subject: String| {
        let subscription = cx.bus.subscribe(&subject, None).await;
        subscription.map_err(|source| AgentError::Subscribe { subject, source })
    };
    let (results, beats) = (subscribe(cx.subjects.results()).await?, subscribe(cx.subjects.beats()).await?);
    let alarm = cx.clock.alarm().map_err(AgentError::Timer)?;
    let due = alarm.due();
    let (outbox, outbound) = mpsc::channel(publish::OUTBOX_MAX);
    let (address, inbox) = mpsc::channel(INBOX_MAX);
    let ((listening, gone), (beating, no_beats)) = (oneshot::channel(), oneshot::channel());
    let alive = [listening, beating];
    let checker = Checker::new(Arc::clone(&cx), address.downgrade(), outbox, alive, alarm);
    crate::actor::start(checker, inbox, Arc::clone(&cx.stats));
    cx.helpers.spawn("publish", publish::publish_all(Arc::clone(&cx), outbound, address.downgrade()));
    cx.helpers.spawn("listen", listen::hand_over_answers(Arc::clone(&cx), results, address.downgrade(), gone));
    cx.helpers.spawn("beats", beat_intake::take_beats(Arc::clone(&cx), beats, address.downgrade(), no_beats));
    let weak = address.downgrade();
    cx.helpers.spawn("wake", async move {
        loop {
            due.notified().await;
            let Some(address) = weak.upgrade() else { return };
            if address.send(Event::Wake).await.is_err() {
                return;
            }
        }
    });
    Ok(CheckerHandle(address))
}
