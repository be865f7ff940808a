//! The bus within a process, with faults that a test turns on and off.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::watch;
use watchpost_bus::{BoxFuture, Bus, BusError, BusStats, InProcessBus, Outgoing, Subscription};

/// A bus that can be away, and that can hold up who publishes.
#[derive(Debug)]
pub struct FaultyBus {
    bus: InProcessBus,
    away: AtomicBool,
    held: watch::Sender<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Which messages are held: those whose subject has this in it.
    part: Option<&'static str>,
    /// How many are.
    waiting: usize,
}

impl Default for FaultyBus {
    fn default() -> Self {
        Self { bus: InProcessBus::new(), away: AtomicBool::new(false), held: watch::Sender::default() }
    }
}

impl FaultyBus {
    /// From now on nothing is taken, or everything again. What was taken has left the process.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, SeqCst);
    }

    /// Whoever publishes on a subject with `part` in it waits until this is called with `None`.
    pub fn hold(&self, part: Option<&'static str>) {
        self.held.send_modify(|held| held.part = part);
    }

    /// Waits until somebody is held.
    pub async fn until_held(&self) {
        self.held.subscribe().wait_for(|held| held.waiting > 0).await.unwrap();
    }

    async fn pass(&self, subject: &str) {
        let is_held = |held: &Held| held.part.is_some_and(|part| subject.contains(part));
        if !is_held(&self.held.borrow()) {
            return;
        }
        self.held.send_modify(|held| held.waiting += 1);
        self.held.subscribe().wait_for(|held| !is_held(held)).await.unwrap();
        self.held.send_modify(|held| held.waiting -= 1);
    }
}

impl Bus for FaultyBus {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            self.pass(&message.subject).await;
            if self.away.load(SeqCst) {
                return Err(BusError::Unavailable { at: "test".to_owned() });
            }
            self.bus.publish(message).await
        })
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        self.bus.subscribe(filter, queue)
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.flush(limit)
    }

    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.drain(limit)
    }

    fn key_value(&self, bucket: &str) -> std::sync::Arc<dyn watchpost_bus::KeyValue> {
        self.bus.key_value(bucket)
    }

    fn new_inbox(&self) -> String {
        self.bus.new_inbox()
    }

    fn is_connected(&self) -> bool {
        !self.away.load(SeqCst) && self.bus.is_connected()
    }

    fn stats(&self) -> BusStats {
        self.bus.stats()
    }
}
