//! One client after the other, for as long as the bus lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::link::{Link, reconnect_delay};
use super::{Shared, State};

/// Makes a new client whenever the library's has ended by itself. It reconnects alone when the connection
/// breaks, but its task panics on a header with a stray carriage return, which any client of the bus can send.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    loop {
        let present = state.borrow_and_update().clone();
        match present {
            State::Closed => return,
            State::Open(link) => {
                tokio::select! {
                    () = link.echo.ended() => {}
                    _ = state.wait_for(State::is_closed) => return,
                }
                // Whoever drains ends the client on purpose, and closes the bus after that.
                if shared.watcher.is_closing.load(Ordering::Relaxed) {
                    return;
                }
                tracing::error!(bus = shared.at, "the bus client ended unexpectedly; making a new one");
                if !shared.replace(State::Lost) {
                    return;
                }
                shared.connects_before.fetch_add(link.connects(), Ordering::Relaxed);
            }
            State::Lost => {
                let opened = tokio::select! {
                    opened = shared.open() => opened,
                    _ = state.wait_for(State::is_closed) => return,
                };
                if !shared.replace(State::Open(Arc::new(opened))) {
                    return;
                }
                shared.is_first.store(false, Ordering::Relaxed);
                tracing::info!(bus = shared.at, "connected to the bus");
            }
        }
    }
}

impl Shared {
    /// Connects, however long it takes.
    async fn open(&self) -> Link {
        let mut attempt = 0;
        loop {
            match Link::open(&self.options, &self.watcher).await {
                Ok(link) => return link,
                // Once is enough for people; what comes after it is for those who look closely.
                Err(error) if attempt == 0 && self.is_first.load(Ordering::Relaxed) => {
                    tracing::warn!(bus = self.at, %error, "could not connect to the bus yet; going on to try");
                }
                Err(error) => tracing::debug!(bus = self.at, %error, "could not connect to the bus"),
            }
            attempt += 1;
            tokio::time::sleep(reconnect_delay(attempt)).await;
        }
    }

    /// Sets the state, unless the bus was closed.
    fn replace(&self, next: State) -> bool {
        self.state.send_if_modified(|state| {
            let is_open = !state.is_closed();
            if is_open {
                *state = next;
            }
            is_open
        })
    }
}
