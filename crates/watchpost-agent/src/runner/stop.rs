//! Stopping the Runner: take nothing new, finish or cancel what runs, send the results.

use std::time::Duration;

use watchpost_core::{Drain, DrainPhase};

use super::dispatcher::Event;
use super::{Intakes, Runner};
use crate::AgentError;
use crate::abandoned::RoleStop;

/// How soon a flush that failed is tried again.
const FLUSH_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl Runner {
    /// Stops within `grace`. Tasks that wait are cancelled at once; those that run may finish until
    /// the last part of the grace, and are cancelled then.
    pub(crate) async fn stop(&self, grace: Duration) -> RoleStop {
        let clock = &self.cx.clock;
        let (open, _) = self.cx.admissions.count();
        tracing::info!(open, ?grace, "the Runner stops");
        let mut drain = Drain::default();
        drain.begin(clock.tick(), grace);
        self.cx.admissions.stopping();
        self.intakes.send_replace(Intakes::Stop);
        let mut gone = self.tell_all(|| Event::Close).await;
        let mut flushed = false;
        let mut cancelled = false;
        loop {
            // Invariant: the intakes have ended or hand on only what had arrived before the stop.
            let (open, unsent) = self.cx.admissions.count();
            let intake_open = self.intakes.receiver_count() > 0;
            let running = open + usize::from(intake_open);
            match drain.advance(clock.tick(), running, unsent == 0 && flushed) {
                DrainPhase::Cancelling if !cancelled => {
                    cancelled = true;
                    gone = gone.or(self.tell_all(|| Event::CancelAll).await);
                }
                DrainPhase::Flushing if unsent == 0 && !flushed => {
                    let limit = drain.next_wake().map_or(Duration::ZERO, |end| end.since(clock.tick()));
                    match self.cx.bus.flush(limit).await {
                        Ok(()) => flushed = true,
                        Err(error) => {
                            tracing::warn!(%error, "the bus could not be flushed; trying again until the grace is over");
                            let left = drain.next_wake().map_or(Duration::ZERO, |end| end.since(clock.tick()));
                            tokio::time::sleep(FLUSH_AGAIN_AFTER.min(left)).await;
                        }
                    }
                }
                DrainPhase::Done | DrainPhase::Expired => {
                    return RoleStop { abandoned: self.cx.admissions.abandoned(), flushed, gone };
                }
                _ => self.wait_for_progress(&drain).await,
            }
        }
    }

    /// Tells every Dispatcher. One that is gone keeps the others from nothing.
    async fn tell_all(&self, event: impl Fn() -> Event) -> Option<AgentError> {
        let mut gone = None;
        for pool in &self.pools {
            if pool.dispatcher.send(event()).await.is_err() {
                gone = Some(AgentError::ActorGone("Dispatcher"));
            }
        }
        gone
    }

    /// Until a task ended or was reported, an intake ended, or the drain's next step is due.
    async fn wait_for_progress(&self, drain: &Drain) {
        let due = drain.next_wake().map_or(Duration::ZERO, |at| at.since(self.cx.clock.tick()));
        tokio::select! {
            biased;
            () = self.cx.admissions.changed().notified() => {}
            () = self.intakes.closed(), if self.intakes.receiver_count() > 0 => {}
            () = tokio::time::sleep(due) => {}
        }
    }
}
