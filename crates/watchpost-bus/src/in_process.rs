//! The bus within one process: no broker, the same contract.

mod kv;
mod table;

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::counters::Counters;
use crate::subject::validate_queue;
use crate::{
    BoxFuture, Bus, BusError, BusStats, KeyValue, Message, Outgoing, PAYLOAD_BYTES_MAX, Subscription, validate_filter,
};
use kv::{Buckets, LocalKeyValue};
use table::{Seat, SeatId, Table};

/// How many messages a subscription holds unless told otherwise.
const SUBSCRIPTION_CAPACITY: usize = 65_536;

/// A bus within this process. Its queues take memory only for what is in them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), watchpost_bus::BusError> {
/// use watchpost_bus::{Bus, InProcessBus, Outgoing};
///
/// let bus = InProcessBus::new();
/// let mut all = bus.subscribe("greeting.*", None).await?;
/// bus.publish(Outgoing::new("greeting.en", "hello")).await?;
/// assert_eq!(all.next().await.map(|m| m.payload), Some("hello".into()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct InProcessBus {
    shared: Arc<Shared>,
    subscription_capacity: usize,
}

#[derive(Debug, Default)]
struct Shared {
    // Invariant: nothing is awaited, and no subscription is dropped, while this is locked.
    table: RwLock<Table>,
    counters: Counters,
    buckets: Buckets,
}

impl Default for InProcessBus {
    fn default() -> Self {
        Self::new()
    }
}

impl InProcessBus {
    /// A bus whose subscriptions hold up to 65 536 messages each.
    pub fn new() -> Self {
        Self::with_capacity(SUBSCRIPTION_CAPACITY)
    }

    /// A bus whose subscriptions hold up to `subscription_capacity` messages each, at least one.
    pub fn with_capacity(subscription_capacity: usize) -> Self {
        Self { shared: Arc::default(), subscription_capacity: subscription_capacity.max(1) }
    }

    fn hand_over(&self, message: Outgoing) -> Result<(), BusError> {
        let Shared { table, counters, .. } = &*self.shared;
        let table = table.read();
        if table.is_closed() {
            return Err(BusError::Closed);
        }
        message.validate(PAYLOAD_BYTES_MAX).inspect_err(|e| {
            if matches!(e, BusError::TooLarge { .. }) {
                counters.refused();
            }
        })?;
        // Taken out only where somebody may have to be told; else the reply travels with the message.
        let reply = message.reply.clone();
        let heard = table.deliver(message.into(), counters);
        if let (false, Some(reply)) = (heard, reply) {
            table.deliver(Message::no_responders(reply), counters);
        }
        counters.published();
        Ok(())
    }

    /// Hands a message to whoever listens, and says whether anyone does.
    pub(crate) fn offer(&self, message: &Outgoing) -> bool {
        let Shared { table, counters, .. } = &*self.shared;
        message.validate(PAYLOAD_BYTES_MAX).is_ok() && table.read().deliver(message.clone().into(), counters)
    }

    fn join(&self, filter: &str, queue: Option<&str>) -> Result<Subscription, BusError> {
        validate_filter(filter)?;
        queue.map(validate_queue).transpose()?;
        let (sender, receiver) = mpsc::channel(self.subscription_capacity);
        let mut table = self.shared.table.write();
        if table.is_closed() {
            return Err(BusError::Closed);
        }
        let id = table.join(Seat::new(filter, sender), queue);
        let taken = Taken { bus: Arc::downgrade(&self.shared), filter: filter.into(), id };
        Ok(Subscription::new(receiver, move || {
            drop(taken);
            Box::pin(std::future::ready(()))
        }))
    }

    fn open(&self) -> Result<(), BusError> {
        if self.shared.table.read().is_closed() { Err(BusError::Closed) } else { Ok(()) }
    }
}

impl Bus for InProcessBus {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            // Nothing below waits, so a publisher in a loop would never let its subscribers run on
            // a runtime of one thread. On NATS the queue to the connection has the same effect.
            tokio::task::consume_budget().await;
            self.hand_over(message)
        })
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move { self.join(filter, queue) })
    }

    fn flush(&self, _: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move { self.open() })
    }

    fn drain(&self, _: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            let ended = self.shared.table.write().close();
            ended.map(drop).ok_or(BusError::Closed)
        })
    }

    fn key_value(&self, bucket: &str) -> Arc<dyn KeyValue> {
        Arc::new(LocalKeyValue::new(&self.shared, bucket))
    }

    fn new_inbox(&self) -> String {
        format!("_INBOX.local.{}", self.shared.table.read().next_number())
    }

    fn is_connected(&self) -> bool {
        self.open().is_ok()
    }

    fn stats(&self) -> BusStats {
        self.shared.counters.snapshot(0)
    }
}

/// Gives the seat back. It does not keep the bus alive: a bus that is gone ends its subscriptions.
struct Taken {
    bus: Weak<Shared>,
    filter: Box<str>,
    id: SeatId,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            // Let go of the lock before the seat is dropped.
            let seat = bus.table.write().leave(&self.filter, self.id);
            drop(seat);
        }
    }
}
