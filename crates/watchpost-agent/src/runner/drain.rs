//! Leaving the queue groups of tasks for a while, so that other Runners get them.

use std::time::Duration;

use tokio::time::timeout;
use watchpost_bus::{Outgoing, is_inbox, request};
use watchpost_model::{Format, HoldTasks, V1, Verb, encode};

use super::{Intakes, Runner, RunnerContext};

/// How long a Checker may take to hold its tasks. It takes two round trips.
const HOLD_LIMIT: Duration = Duration::from_secs(1);
/// How long the intakes may take to leave or to come back. `Subscription::unsubscribe` promises two seconds.
const MOVE_LIMIT: Duration = Duration::from_secs(3);

impl Runner {
    /// Takes no task any more, or again. What was accepted goes on either way. Returns once the intakes have left or
    /// are back, or after some seconds where the bus is away; then they follow when it is there.
    pub(crate) async fn drain(&self, draining: bool) {
        let (from, to) = if draining { (Intakes::Take, Intakes::Rest) } else { (Intakes::Rest, Intakes::Take) };
        if *self.intakes.borrow() != from {
            return;
        }
        // What the server sends to one who leaves at this very moment is lost. So nothing is on its way then.
        let held = if draining { hold(&self.cx).await } else { None };
        self.intakes.send_if_modified(|intakes| {
            let is_free = *intakes == from;
            if is_free {
                *intakes = to;
            }
            is_free
        });
        let all = if draining { 0 } else { self.pools.len() };
        let mut listening = self.listening.subscribe();
        if timeout(MOVE_LIMIT, listening.wait_for(|listening| *listening == all)).await.is_err() {
            tracing::warn!(draining, "the bus is slow to let the Runner leave or come back");
        }
        tracing::info!(draining, "the Runner was told to drain or to go on");
        if let Some(release) = held
            && let Err(error) = self.cx.bus.publish(Outgoing::new(release, "")).await
        {
            tracing::debug!(%error, "the Checker was not told that it may send tasks again; it does by itself soon");
        }
    }
}

/// Asks the Checker to send no task for a moment, and waits until those that it has sent are here. Returns where it is
/// told that the moment is over; `None` where no Checker of this version answers.
async fn hold(cx: &RunnerContext) -> Option<String> {
    let ask = HoldTasks { v: V1, for_ms: None };
    let ask = Outgoing::new(cx.subjects.control(Verb::TaskHold), encode(&ask, Format::MsgPack));
    let answer = request(&*cx.bus, ask, HOLD_LIMIT).await;
    let release = match answer {
        // Whoever answers chooses it: it is to be one where nobody hears but the Checker.
        Ok(answer) => answer.reply.filter(|release| is_inbox(release))?,
        Err(error) => {
            tracing::debug!(%error, "no Checker holds its tasks while the Runner leaves");
            return None;
        }
    };
    // They reach us in the order in which the server sends them, before what comes back from a round trip.
    if let Err(error) = cx.bus.flush(HOLD_LIMIT).await {
        tracing::debug!(%error, "the bus could not be flushed before the Runner leaves");
    }
    Some(release)
}
