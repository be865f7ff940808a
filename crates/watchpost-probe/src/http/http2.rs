//! An exchange by HTTP/2. h2 writes and reads it; whoever waits for the answer drives it.
//!
//! What a peer can make h2 keep is bounded: a head by `HEAD_BYTES_MAX`, a body that nobody has read yet by
//! the windows, frames that carry neither by what [`Stream`] reads in all.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, Connection};
use h2::{RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, Request};

use super::exchange::HEAD_BYTES_MAX;
use super::stream::{Stream, Transport};
use crate::recorder::Recorder;

/// How much of a body the peer may send before it was read, in bytes. It is more than is ever read.
const WINDOW_BYTES: u32 = 256 * 1024;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(super) error: h2::Error,
    /// What went wrong with the connection below. h2 keeps no more of it than its words.
    below: Arc<OnceLock<io::Error>>,
}

impl Failed {
    /// What went wrong with the connection below, if that is where it went wrong.
    pub(super) fn below(&self) -> Option<&io::Error> {
        self.below.get()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failed {}

/// The body of an answer, and the connection that it comes over. The connection is closed when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Answer {
    body: RecvStream,
    wire: Wire,
}

/// How long a body is, in bytes, where the head says so.
pub(super) fn content_length(head: &HeaderMap) -> Option<u64> {
    head.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Sends `request` with `body` over `transport`, of which at most `bytes_max` are read, and waits for the head of the answer.
pub(super) async fn ask(
    transport: Transport,
    bytes_max: usize,
    recorder: &Recorder,
    request: Request<()>,
    body: Bytes,
) -> Result<(Parts, Answer), Failed> {
    let below = Arc::<OnceLock<io::Error>>::default();
    let failed = |error| Failed { error, below: Arc::clone(&below) };
    // The server does not know that this request is the only one, so it is we who close. In an orderly way
    // that would take up a local port for a minute; a reset leaves nothing behind on either side, and
    // by then the answer is here. Where it cannot be asked for, it is as orderly as ever.
    transport.tcp().set_zero_linger().ok();
    let stream = Stream::http2(transport, recorder, body.len(), bytes_max, Arc::clone(&below));
    let (mut sender, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .handshake(stream)
        .await
        .map_err(failed)?;
    let (answer, stream) = sender.send_request(request, body.is_empty()).map_err(failed)?;
    let outgoing = Outgoing { stream, left: body };
    let mut wire = Wire { connection, has_ended: false, outgoing, below: Arc::clone(&below) };
    let mut answer = pin!(answer);
    let (head, body) =
        std::future::poll_fn(|cx| wire.drive_until(cx, |cx| answer.as_mut().poll(cx))).await?.into_parts();
    Ok((head, Answer { body, wire }))
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failed>> {
        let Self { body, wire } = self;
        let chunk = ready!(wire.drive_until(cx, |cx| body.poll_data(cx).map(Option::transpose)))?;
        if let Some(chunk) = &chunk {
            // It can only fail where more is given back than was taken.
            body.flow_control().release_capacity(chunk.len()).ok();
        }
        Poll::Ready(Ok(chunk))
    }
}

/// The connection that carries the exchange, and what of the request is not sent yet.
#[derive(Debug)]
struct Wire {
    connection: Connection<Stream, Bytes>,
    has_ended: bool,
    outgoing: Outgoing,
    below: Arc<OnceLock<io::Error>>,
}

impl Wire {
    /// Lets the connection do what can be done now, and then looks at what is waited for.
    fn drive_until<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut Context<'_>) -> Poll<Result<T, h2::Error>>,
    ) -> Poll<Result<T, Failed>> {
        self.outgoing.send_on(cx);
        if !self.has_ended {
            // What it ends with is told to whoever waits for the answer or its body.
            self.has_ended = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
        look(cx).map_err(|error| Failed { error, below: Arc::clone(&self.below) })
    }
}

/// A body on its way out.
#[derive(Debug)]
struct Outgoing {
    stream: SendStream<Bytes>,
    left: Bytes,
}

impl Outgoing {
    /// Hands over as much of the body as the peer takes now. A peer that takes no more at all says so where
    /// the answer is waited for.
    fn send_on(&mut self, cx: &mut Context<'_>) {
        while !self.left.is_empty() {
            let capacity = self.stream.capacity().min(self.left.len());
            if capacity > 0 {
                let piece = self.left.split_to(capacity);
                if self.stream.send_data(piece, self.left.is_empty()).is_err() {
                    self.left.clear();
                }
                continue;
            }
            self.stream.reserve_capacity(self.left.len());
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => self.left.clear(),
                Poll::Pending => return,
            }
        }
    }
}
