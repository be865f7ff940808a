//! A round trip to the server: proof that it has taken in whatever was sent before.
//!
//! The client library's own `flush` returns once the bytes are in the socket. So a message goes out
//! to an inbox of our own, and comes back after the server has handled everything ahead of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

/// The round trips of one client.
#[derive(Debug)]
pub(super) struct Echo {
    prefix: String,
    numbers: AtomicU64,
    // Bounded by the callers: each waits under a deadline, and takes its entry away however it ends.
    waiting: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    /// The server does not let us publish or subscribe to our own inbox.
    is_forbidden: AtomicBool,
    has_ended: watch::Sender<bool>,
}

/// The client is not connected any more, or has ended.
#[derive(Debug)]
pub(super) struct Lost;

impl Echo {
    /// Starts to listen for echoes. The task ends with the client, and keeps it alive until it is aborted.
    pub(super) async fn start(client: &Client) -> Result<(Arc<Self>, AbortHandle), Lost> {
        let echo = Arc::new(Self {
            prefix: format!("{}.echo.", client.new_inbox()),
            numbers: AtomicU64::new(0),
            waiting: Mutex::default(),
            is_forbidden: AtomicBool::new(false),
            has_ended: watch::Sender::new(false),
        });
        let echoes = client.subscribe(format!("{}*", echo.prefix)).await.map_err(|_| Lost)?;
        let listener = tokio::spawn(listen(Arc::clone(&echo), echoes)).abort_handle();
        Ok((echo, listener))
    }

    /// Returns once the server has handled everything that was sent before. It has no limit of its own.
    pub(super) async fn round_trip(&self, client: &Client) -> Result<(), Lost> {
        if self.is_forbidden.load(Ordering::Relaxed) {
            return client.flush().await.map_err(|_| Lost);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(number, sender);
        let _entry = Entry { echo: self, number };
        client.publish(format!("{}{number}", self.prefix), Bytes::new()).await.map_err(|_| Lost)?;
        receiver.await.map_err(|_| Lost)
    }

    /// Ends every wait without success: the connection is gone, and the echoes with it.
    pub(super) fn disconnected(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        drop(waiting);
    }

    /// Looks whether the server's complaint is about our inbox, and does without round trips if so.
    pub(super) fn forbidden(&self, complaint: &str) -> bool {
        let is_ours = complaint.contains(&self.prefix);
        if is_ours && !self.is_forbidden.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                detail = complaint,
                "the server does not permit this user its own inbox: requests cannot be answered, and a subscription \
                 counts as made once it was sent"
            );
        }
        if is_ours {
            for (_, waiting) in self.waiting.lock().drain() {
                // The complaint came back in order, which proves the same as the echo would have.
                waiting.send(()).ok();
            }
        }
        is_ours
    }

    /// Returns once the client has ended, whatever ended it.
    pub(super) async fn ended(&self) {
        // An error would mean that the sender is gone; it is part of `self`.
        self.has_ended.subscribe().wait_for(|ended| *ended).await.ok();
    }
}

struct Entry<'a> {
    echo: &'a Echo,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.echo.waiting.lock().remove(&self.number);
    }
}

async fn listen(echo: Arc<Echo>, mut echoes: Subscriber) {
    while let Some(message) = echoes.next().await {
        let number = message.subject.strip_prefix(echo.prefix.as_str()).and_then(|n| n.parse().ok());
        let waiting = number.and_then(|n: u64| echo.waiting.lock().remove(&n));
        if let Some(waiting) = waiting {
            // Whoever waited may have given up.
            waiting.send(()).ok();
        }
    }
    echo.has_ended.send_replace(true);
    echo.disconnected();
}
