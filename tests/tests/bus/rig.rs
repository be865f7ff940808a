//! What a test of the bus stands on, and how it waits.

use std::sync::Arc;
use std::time::Duration;

use watchpost_bus::{InProcessBus, Message, NatsBus, NatsOptions, SharedBus, Subscription};
use watchpost_tests::nats_server::NatsServer;

/// How many messages a subscription holds in these tests.
pub const CAPACITY: usize = 5_000;

/// Long enough for whatever must happen; no test waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(10);

const TEST_LIMIT: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(5);

/// A bus and someone else on it.
pub struct Rig {
    pub bus: SharedBus,
    /// Over NATS a second connection; in process there is but one handle.
    pub other: SharedBus,
    pub server: Option<NatsServer>,
}

impl Rig {
    pub fn in_process() -> Self {
        Self::in_process_with(CAPACITY)
    }

    pub fn in_process_with(capacity: usize) -> Self {
        let bus: SharedBus = Arc::new(InProcessBus::with_capacity(capacity));
        Self { other: Arc::clone(&bus), bus, server: None }
    }

    pub async fn nats() -> Self {
        Self::nats_with(CAPACITY).await
    }

    /// On a server with JetStream.
    pub async fn jetstream() -> Self {
        Self::on(NatsServer::start_with(&["-js", "-sd", "jetstream"]), CAPACITY).await
    }

    pub async fn nats_with(capacity: usize) -> Self {
        Self::on(NatsServer::start(), capacity).await
    }

    async fn on(server: NatsServer, capacity: usize) -> Self {
        let mut options = NatsOptions::new([server.url()]);
        options.subscription_capacity = capacity;
        let bus = NatsBus::connect(options.clone()).await.expect("the bus");
        let other = NatsBus::connect(options).await.expect("the other bus");
        Self { bus: Arc::new(bus), other: Arc::new(other), server: Some(server) }
    }

    /// A rig like this one with another capacity.
    pub async fn with_capacity(&self, capacity: usize) -> Self {
        match &self.server {
            Some(_) => Self::nats_with(capacity).await,
            None => Self::in_process_with(capacity),
        }
    }

    /// Returns once everything that both published has reached the subscriptions of `bus`.
    pub async fn settle(&self) {
        self.bus.flush(PATIENCE).await.expect("flush");
        self.other.flush(PATIENCE).await.expect("flush");
        self.bus.flush(PATIENCE).await.expect("flush");
    }
}

/// Fails a test that hangs.
pub async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_LIMIT, test).await.expect("the test ends in time")
}

/// The next message, which must come.
pub async fn next(subscription: &mut Subscription) -> Message {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("a message in time").expect("a message")
}

/// Everything to the end of the subscription, which must come.
pub async fn rest(mut subscription: Subscription) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(message) =
        tokio::time::timeout(PATIENCE, subscription.next()).await.expect("the end of the subscription in time")
    {
        messages.push(message);
    }
    messages
}

/// The text in a payload.
pub fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).expect("text")
}

/// Looks until it is so.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(POLL_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("in time: {what}"));
}
