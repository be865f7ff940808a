//! Stopping the Checker without losing an outcome that could still be had.

use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use tokio::sync::oneshot;
use watchpost_core::{Drain, DrainPhase, Tick};
use watchpost_model::{CancelCause, ReasonCode};

use super::Checker;
use super::dispatch::CancelIds;
use super::publish::{Outbound, tell};
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

/// Begins to stop; `done` hears what could not be brought to an end.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct BeginStop {
    pub(super) grace: Duration,
    pub(super) done: oneshot::Sender<RoleStop>,
}

impl Handler<BeginStop> for Checker {
    type Result = ();

    fn handle(&mut self, BeginStop { grace, done }: BeginStop, ctx: &mut Self::Context) {
        let mut drain = Drain::default();
        drain.begin(self.cx.clock.tick(), grace);
        self.stopping = Some(Stopping { drain, sent: false, flushing: false, cancelled: false, done: Some(done) });
        tracing::info!(outstanding = self.ledger.len() + self.resolving.len(), ?grace, "the Checker stops");
        self.step_stop(ctx);
        self.arm();
    }
}

/// Everything that was to be published has left the process, or could not.
#[derive(Message)]
#[rtype(result = "()")]
struct Flushed(bool);

impl Handler<Flushed> for Checker {
    type Result = ();

    fn handle(&mut self, Flushed(sent): Flushed, ctx: &mut Self::Context) {
        if let Some(stopping) = &mut self.stopping {
            stopping.sent = sent;
            stopping.flushing = false;
        }
        self.step_stop(ctx);
        self.arm();
    }
}

impl Checker {
    /// Looks whether a stop can go on. Called after everything that may settle a task.
    pub(super) fn step_stop(&mut self, ctx: &mut Context<Self>) {
        let open = self.ledger.len() + self.resolving.len();
        let now = self.cx.clock.tick();
        let Some(stopping) = &mut self.stopping else { return };
        match stopping.drain.advance(now, open, stopping.sent) {
            DrainPhase::Accepting | DrainPhase::Draining => {}
            DrainPhase::Cancelling if !stopping.cancelled => {
                stopping.cancelled = true;
                self.stop_resolving(|_| true, ReasonCode::ShuttingDown, "the Checker is stopping");
                let tasks = self.ledger.iter().map(|(task, _)| task).collect();
                self.cancel(CancelCause::ShuttingDown, "the Checker is stopping", CancelIds::Tasks(tasks));
            }
            DrainPhase::Cancelling => {}
            DrainPhase::Flushing if !stopping.flushing => {
                stopping.flushing = true;
                let limit = stopping.drain.next_wake().map_or(Duration::ZERO, |end| end.since(now));
                let (done, flushed) = oneshot::channel();
                // A full queue is not flushed either; the grace ends that.
                if self.outbox.try_send(Outbound::Flush { limit, done }).is_ok() {
                    let addr = ctx.address();
                    tokio::spawn(async move {
                        let sent = flushed.await.unwrap_or(false);
                        if !sent {
                            tokio::time::sleep(FLUSH_AGAIN_AFTER).await;
                        }
                        tell(&addr, Flushed(sent)).await;
                    });
                }
            }
            DrainPhase::Flushing => {}
            DrainPhase::Done | DrainPhase::Expired => {
                let flushed = stopping.sent;
                let abandoned = self
                    .ledger
                    .iter()
                    .map(|(task, pending)| Abandoned {
                        task,
                        check: pending.check.clone(),
                        endpoint: pending.endpoint.name.clone(),
                        state: "sent, and no outcome seen",
                    })
                    .chain(self.resolving.values().map(|resolving| resolving.run.abandoned()))
                    .collect();
                if let Some(done) = stopping.done.take() {
                    // Whoever asked to stop may have given up waiting.
                    let _gone = done.send(RoleStop { abandoned, flushed });
                }
            }
        }
    }
}
