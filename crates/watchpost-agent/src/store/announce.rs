//! Telling others what became of checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use watchpost_bus::{Headers, Outgoing, SharedBus};
use watchpost_model::{CheckEvent, Format, Subjects, encode, header};

use crate::helpers::Helpers;

/// How many events may wait for the bus. One more is not sent: what holds can always be asked for.
const WAITING_MAX: usize = 16_384;

/// Publishes events, in their order.
#[derive(Clone)]
pub(super) struct Announcer {
    events: mpsc::Sender<CheckEvent>,
    unsent: Arc<AtomicU64>,
}

impl Announcer {
    pub(super) fn start(bus: SharedBus, subjects: Subjects, helpers: &Helpers) -> Self {
        let (events, waiting) = mpsc::channel(WAITING_MAX);
        let unsent = Arc::new(AtomicU64::new(0));
        helpers.spawn("check events", publish(bus, subjects, waiting, Arc::clone(&unsent)));
        Self { events, unsent }
    }

    pub(super) fn tell(&self, event: CheckEvent) {
        if self.events.try_send(event).is_err() {
            not_sent(&self.unsent, "too many are waiting");
        }
    }
}

async fn publish(bus: SharedBus, subjects: Subjects, mut waiting: mpsc::Receiver<CheckEvent>, unsent: Arc<AtomicU64>) {
    while let Some(event) = waiting.recv().await {
        let headers = Headers::new().with(header::CONTENT_TYPE, Format::MsgPack.content_type());
        let message = Outgoing::new(subjects.event(&event.check), encode(&event, Format::MsgPack)).headers(headers);
        if let Err(error) = bus.publish(message).await {
            not_sent(&unsent, &error.to_string());
        }
    }
}

/// Said once in a while, not for each.
fn not_sent(unsent: &AtomicU64, why: &str) {
    let unsent = unsent.fetch_add(1, Ordering::Relaxed) + 1;
    if unsent.is_power_of_two() {
        tracing::warn!(unsent, why, "events about checks were not sent");
    }
}
