//! Stopping the Checker without losing an outcome that could still be had.

use std::time::Duration;

use tokio::sync::oneshot;
use watchpost_core::{Drain, DrainPhase, Tick};
use watchpost_model::{CancelCause, ProbeBody, TaskId};

use super::publish::{Outbound, tell};
use super::run::{Fired, Members, Run};
use super::{Checker, Event};
use crate::abandoned::{Abandoned, RoleStop};

/// How soon a flush that failed is tried again. The grace ends the tries.
const FLUSH_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A stop that has begun.
pub(super) struct Stopping {
    drain: Drain,
    sent: bool,
    flushing: bool,
    cancelled: bool,
    done: Option<oneshot::Sender<RoleStop>>,
}

impl Stopping {
    pub(super) fn next_wake(&self) -> Option<Tick> {
        self.drain.next_wake()
    }
}

impl Checker {
    pub(super) fn begin_stop(&mut self, grace: Duration, done: oneshot::Sender<RoleStop>) {
        let mut drain = Drain::default();
        drain.begin(self.cx.clock.tick(), grace);
        self.stopping = Some(Stopping { drain, sent: false, flushing: false, cancelled: false, done: Some(done) });
        tracing::info!(outstanding = self.ledger.len() + self.resolving.len(), ?grace, "the Checker stops");
    }

    pub(super) fn flushed(&mut self, sent: bool) {
        if let Some(stopping) = &mut self.stopping {
            stopping.sent = sent;
            stopping.flushing = false;
        }
    }

    /// Whether a stop has come so far that nothing new is begun. Until then groups go on, so that what
    /// was begun can be finished.
    pub(super) fn is_cancelling(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| stopping.drain.phase() > DrainPhase::Draining)
    }

    /// Looks whether a stop can go on, as far as it can. Called after everything that may settle a task.
    pub(super) fn step_stop(&mut self) {
        while self.step_stop_once() {}
    }

    /// Says whether something was done that may have brought it further.
    fn step_stop_once(&mut self) -> bool {
        // Every task belongs to a run, and every run that is to come to a run or a request.
        let open = self.runs.len() + self.requests.len();
        let now = self.cx.clock.tick();
        let Some(stopping) = &mut self.stopping else { return false };
        match stopping.drain.advance(now, open, stopping.sent) {
            DrainPhase::Cancelling if !stopping.cancelled => {
                stopping.cancelled = true;
                self.cancel_everything(CancelCause::ShuttingDown, "the Checker is stopping");
                self.work_off();
                return true;
            }
            DrainPhase::Flushing if !stopping.flushing => {
                stopping.flushing = true;
                let limit = stopping.drain.next_wake().map_or(Duration::ZERO, |end| end.since(now));
                self.flush(limit);
            }
            DrainPhase::Accepting | DrainPhase::Draining | DrainPhase::Cancelling | DrainPhase::Flushing => {}
            DrainPhase::Done | DrainPhase::Expired => {
                let flushed = stopping.sent;
                if let Some(done) = stopping.done.take() {
                    // Whoever asked to stop may have given up waiting.
                    let _gone = done.send(RoleStop { abandoned: self.abandoned(), flushed, gone: None });
                }
            }
        }
        false
    }

    /// Asks for everything that was published to leave the process, and hears of it later. What could not be
    /// is tried again after a while; the grace ends the tries.
    fn flush(&self, limit: Duration) {
        let (done, flushed) = oneshot::channel();
        // Where the queue is full `done` is dropped, which tells.
        let _full = self.outbox.try_send(Outbound::Flush { limit, done });
        let me = self.me.clone();
        self.cx.helpers.spawn("flush", async move {
            let sent = flushed.await.unwrap_or(false);
            if !sent {
                tokio::time::sleep(FLUSH_AGAIN_AFTER).await;
            }
            tell(&me, Event::Flushed(sent)).await;
        });
    }

    /// What has no outcome.
    fn abandoned(&self) -> Vec<Abandoned> {
        let sent = self.ledger.iter().map(|(task, pending)| Abandoned {
            task,
            check: pending.check.clone(),
            endpoint: pending.endpoint.name.clone(),
            state: "sent, and no outcome seen",
        });
        sent.chain(self.runs.values().flat_map(Run::unsent)).collect()
    }
}

impl Run {
    /// Its members that no task was sent for.
    fn unsent(&self) -> Vec<Abandoned> {
        let Fired { check, run, .. } = &self.fired;
        let abandoned = |endpoint: String, state| Abandoned {
            task: TaskId::derive(*run, &endpoint, 0),
            check: check.id().clone(),
            endpoint,
            state,
        };
        const NOT_ITS_TURN: &str = "its turn in the group had not come";
        match &self.members {
            Members::Resolving(_) => {
                let target = check.probe().map(ProbeBody::endpoint_name);
                vec![abandoned(target.unwrap_or_default(), "its endpoints were still being looked for")]
            }
            Members::Endpoints(_) | Members::Targets { .. } => {
                let endpoints = self.group.waiting().filter_map(|member| self.aim(member));
                endpoints.map(|(endpoint, _)| abandoned(endpoint.name, NOT_ITS_TURN)).collect()
            }
            Members::Checks(checks) => {
                let checks = self.group.waiting().filter_map(|member| checks.get(member as usize));
                checks.map(|check| abandoned(check.id().to_string(), NOT_ITS_TURN)).collect()
            }
        }
    }
}
