//! A bus that goes on within the process while its server is away.

mod outbox;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::in_process::InProcessBus;
use crate::{
    BoxFuture, Bus, BusError, BusStats, KeyValue, Outgoing, Refusals, SharedBus, Subscription, subject_matches,
};
use outbox::Outbox;

/// How often it is looked whether the server is back, while something waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Another bus, and what becomes of messages while that has no connection: they are handed to whoever in this process
/// listens, and those that others are to see as well are kept until the connection is back, then sent in their order.
///
/// For a process that has both ends of what it sends, as a Checker with its Runner. What is kept is heard once more by
/// this process's own subscriptions when it is sent; each message says by its headers which it is.
///
/// What is kept is bounded: 65 536 messages and 64 MiB. Beyond, the oldest go, and are counted in
/// [`BusStats::kept_dropped`] and logged. It is kept in memory: a stop that cannot send it says how much was lost.
#[derive(Debug)]
pub struct LocalFallbackBus {
    shared: Arc<Shared>,
}

struct Shared {
    outer: SharedBus,
    local: InProcessBus,
    /// Subjects whose messages are kept.
    keeps: Vec<String>,
    outbox: Outbox,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("keeps", &self.keeps).field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

impl LocalFallbackBus {
    /// Falls back for `outer`, and keeps messages on subjects that match one of `keeps`.
    pub fn new(outer: SharedBus, keeps: Vec<String>) -> Self {
        let shared = Shared { outer, local: InProcessBus::new(), keeps, outbox: Outbox::default() };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    async fn hand_over(self: &Arc<Self>, message: Outgoing) -> Result<(), BusError> {
        let kept = self.keeps.iter().any(|filter| subject_matches(filter, &message.subject));
        // What is kept stays in order: nothing overtakes what waits.
        let refused = if kept && !self.outbox.is_empty() {
            None
        } else {
            match self.outer.publish(message.clone()).await {
                Err(refused @ BusError::Unavailable { .. }) => Some(refused),
                done => return done,
            }
        };
        let heard = self.local.offer(&message);
        if kept {
            if self.outbox.keep(message) {
                tokio::spawn(Arc::clone(self).send_kept());
            }
            return Ok(());
        }
        match refused {
            Some(refused) if !heard => Err(refused),
            _ => Ok(()),
        }
    }

    /// Sends what is kept as soon as that is possible, until nothing is.
    async fn send_kept(self: Arc<Self>) {
        while let Some(message) = self.outbox.first() {
            if !self.outer.is_connected() {
                sleep(LOOK_EVERY).await;
                continue;
            }
            match self.outer.publish(message).await {
                Ok(()) => self.outbox.sent(),
                Err(BusError::Unavailable { .. } | BusError::Full { .. }) => sleep(LOOK_EVERY).await,
                Err(BusError::Closed) => return,
                // It can never be sent: whoever published it would have heard so, had there been a connection.
                Err(error) => {
                    tracing::error!(%error, "a message that waited for the bus cannot be sent");
                    self.outbox.sent();
                }
            }
        }
    }

    /// Waits until nothing is kept any more.
    async fn until_sent(&self, limit: Duration) -> Result<(), BusError> {
        let until = Instant::now() + limit;
        while !self.outbox.is_empty() {
            if Instant::now() >= until {
                return Err(BusError::Deadline { what: "sending what waits for the bus", limit });
            }
            sleep(LOOK_EVERY.min(limit)).await;
        }
        Ok(())
    }
}

impl Bus for LocalFallbackBus {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(self.shared.hand_over(message))
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            let outer = self.shared.outer.subscribe(filter, queue).await?;
            let local = self.shared.local.subscribe(filter, queue).await?;
            Ok(outer.and(local))
        })
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            let begun = Instant::now();
            self.shared.until_sent(limit).await?;
            self.shared.outer.flush(limit.saturating_sub(begun.elapsed())).await
        })
    }

    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            let begun = Instant::now();
            if self.shared.until_sent(limit).await.is_err() {
                let lost = self.shared.outbox.stats().0;
                tracing::error!(lost, "the bus was not there to take what waited for it: that is lost");
            }
            let left = limit.saturating_sub(begun.elapsed());
            let drained = self.shared.outer.drain(left).await;
            self.shared.local.drain(left).await.and(drained)
        })
    }

    fn new_inbox(&self) -> String {
        self.shared.outer.new_inbox()
    }

    fn refusals(&self) -> Refusals {
        self.shared.outer.refusals()
    }

    fn key_value(&self, bucket: &str) -> Arc<dyn KeyValue> {
        self.shared.outer.key_value(bucket)
    }

    fn is_connected(&self) -> bool {
        self.shared.outer.is_connected()
    }

    fn stats(&self) -> BusStats {
        let (kept, kept_dropped) = self.shared.outbox.stats();
        BusStats { kept, kept_dropped, ..self.shared.outer.stats() }
    }
}

#[cfg(test)]
#[path = "../fallback_tests.rs"]
mod tests;
