//! A target that takes its time, and counts how many it serves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use watchpost_tests::tcp_fixture::Server;

/// What it says, which pleases a `tcp` check that waits for `ok` as well as an `http` check.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// A server on every address of 127.0.0.0/8.
pub struct SlowServer {
    server: Server,
    serving: Arc<Serving>,
}

/// How many peers wait for their answer. One that has it does not count any more, though its connection may
/// still be open on this side: the next one may be here before that is noticed.
#[derive(Default)]
struct Serving {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl SlowServer {
    /// Starts a server that answers after `pause`.
    pub async fn start(pause: Duration) -> Self {
        let serving = Arc::<Serving>::default();
        let counting = Arc::clone(&serving);
        let server = Server::start_everywhere(move |stream| serve(stream, pause, Arc::clone(&counting))).await;
        Self { server: server.unwrap(), serving }
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// How many it has served, or serves.
    pub fn accepted(&self) -> usize {
        self.server.counts().accepted()
    }

    /// The most that it served at once since it was asked last.
    pub fn take_peak(&self) -> usize {
        self.serving.peak.swap(self.serving.now.load(SeqCst), SeqCst)
    }
}

async fn serve(mut stream: TcpStream, pause: Duration, serving: Arc<Serving>) {
    let now = serving.now.fetch_add(1, SeqCst) + 1;
    serving.peak.fetch_max(now, SeqCst);
    let gone = tokio::time::timeout(pause, copy(&mut stream, &mut sink())).await.is_ok();
    serving.now.fetch_sub(1, SeqCst);
    // A peer that goes away ends a connection; there is nothing else to do about it.
    if !gone && stream.write_all(ANSWER).await.is_ok() {
        copy(&mut stream, &mut sink()).await.ok();
    }
}
