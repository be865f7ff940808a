//! From the client library's queue into ours.
//!
//! The library drops what does not fit and reports it through a queue that itself overflows, so drops could
//! not be counted. Hence a task for each subscription that empties the library's queue at once and
//! drops, counted, at our own. It also carries the subscription over to a new client.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, StatusCode, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::link::Link;
use super::{Shared, State};
use crate::counters::Losses;
use crate::{Headers, Message};

/// How long the end of a subscription may take. It is what `Subscription::unsubscribe` promises.
const UNSUBSCRIBE_LIMIT: Duration = Duration::from_secs(2);

pub(super) struct Pump {
    pub(super) shared: Arc<Shared>,
    pub(super) filter: Box<str>,
    pub(super) queue: Option<Box<str>>,
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) losses: Losses,
}

impl Pump {
    /// Runs until the bus closes, or until `stopped` yields whom to tell that the subscription has ended,
    /// or its sender is gone, which means that nobody reads any more. Without a `subscriber` it subscribes as soon as
    /// there is a client.
    pub(super) async fn run(self, subscriber: Option<Subscriber>, mut stopped: oneshot::Receiver<oneshot::Sender<()>>) {
        let first = match subscriber {
            Some(subscriber) => Some(subscriber),
            None => self.next_subscriber(&mut stopped).await,
        };
        let Some(mut subscriber) = first else { return };
        let mut state = self.shared.state.subscribe();
        let closed = async { drop(state.wait_for(State::is_closed).await) };
        tokio::pin!(closed);
        loop {
            let next = tokio::select! {
                biased;
                stopped = &mut stopped => {
                    if let Ok(tell) = stopped {
                        self.finish(subscriber).await;
                        // Whoever asked may not wait for it.
                        tell.send(()).ok();
                    }
                    return;
                }
                () = &mut closed => return self.pass_on_what_is_there(&mut subscriber),
                next = subscriber.next() => next,
            };
            if let Some(message) = next {
                self.pass_on(message);
                continue;
            }
            // The client has ended: with the bus, or alone and then there will be another.
            match self.next_subscriber(&mut stopped).await {
                Some(new) => subscriber = new,
                None => return,
            }
        }
    }

    /// On the next client; `None` once nobody waits for it any more.
    async fn next_subscriber(&self, stopped: &mut oneshot::Receiver<oneshot::Sender<()>>) -> Option<Subscriber> {
        tokio::select! {
            again = self.subscribe_again() => again,
            _ = stopped => None,
        }
    }

    /// Ends the subscription at the server, and passes on what the server had sent by then.
    async fn finish(&self, mut subscriber: Subscriber) {
        // Without a connection there is nothing to end: it is not made anew for what is dropped here.
        if self.shared.connected_link().is_ok() {
            let end = async {
                if subscriber.drain().await.is_ok() {
                    while let Some(message) = subscriber.next().await {
                        self.pass_on(message);
                    }
                }
            };
            if timeout(UNSUBSCRIBE_LIMIT, end).await.is_err() {
                tracing::debug!(subject = &*self.filter, "the server did not confirm the end of a subscription");
            }
        }
        self.pass_on_what_is_there(&mut subscriber);
    }

    fn pass_on_what_is_there(&self, subscriber: &mut Subscriber) {
        // Unconstrained, or tokio would say "nothing there" after 128 messages to let other tasks run.
        while let Some(Some(message)) = unconstrained(subscriber.next()).now_or_never() {
            self.pass_on(message);
        }
    }

    fn pass_on(&self, message: async_nats::Message) {
        let counters = &self.shared.watcher.counters;
        match self.messages.try_reserve() {
            Ok(place) => {
                // Counted first, so that whoever has a message finds it in the counts.
                counters.received();
                place.send(converted(message));
            }
            Err(mpsc::error::TrySendError::Full(())) => self.losses.count(counters, &self.filter),
            // Dropped with its reader; nobody lost it.
            Err(mpsc::error::TrySendError::Closed(())) => {}
        }
    }

    /// On the next client; `None` once the bus is closed.
    async fn subscribe_again(&self) -> Option<Subscriber> {
        let mut state = self.shared.state.subscribe();
        loop {
            let link = match &*state.borrow_and_update() {
                State::Closed => return None,
                State::Open(link) => Some(Arc::clone(link)),
                State::Lost => None,
            };
            if let Some(link) = link
                && let Some(subscriber) = subscribe(&link, &self.filter, self.queue.as_deref()).await
            {
                return Some(subscriber);
            }
            state.changed().await.ok()?;
        }
    }
}

/// `None` where the client has ended. Filter and queue group are valid.
pub(super) async fn subscribe(link: &Link, filter: &str, queue: Option<&str>) -> Option<Subscriber> {
    match queue {
        Some(queue) => link.client.queue_subscribe(filter.to_owned(), queue.to_owned()).await.ok(),
        None => link.client.subscribe(filter.to_owned()).await.ok(),
    }
}

pub(super) fn converted(message: async_nats::Message) -> Message {
    if message.status == Some(StatusCode::NO_RESPONDERS) && message.payload.is_empty() {
        // Newer servers add headers to it; what every bus says is that nobody listens.
        return Message::no_responders(message.subject.to_string());
    }
    let mut headers = Headers::new();
    for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
        for value in values {
            headers = headers.with(Cow::Owned(name.to_string()), value.as_str());
        }
    }
    Message {
        subject: message.subject.to_string(),
        reply: message.reply.map(|reply| reply.to_string()),
        headers,
        payload: message.payload,
        status: None,
    }
}
