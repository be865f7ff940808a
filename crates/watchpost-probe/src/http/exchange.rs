//! One request and its answer on a connection of its own.
//!
//! hyper speaks HTTP; connecting, TLS and the driving of the connection are done here. Whoever waits
//! for the answer drives the connection in the same task: nothing is spawned, no other thread has to
//! be woken, and dropping the future closes the socket at once.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::response::Parts;
use http::uri::InvalidUri;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::hop::Hop;
use super::roots::TlsRoots;
use super::stream::Stream;
use super::tls;
use crate::recorder::{Recorder, Stage};

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the request cannot be written")]
    Request(#[source] InvalidUri),
    #[error("there is no connection that the request could be sent on")]
    Connect(#[source] io::Error),
    #[error("the exchange failed")]
    Exchange(#[source] hyper::Error),
}

/// An answer whose head is here, and whose body can be read.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Parts,
    body: Incoming,
    wire: Wire,
}

/// Connects to `address`, sends `hop` and waits for the head of the answer. The recorder is told
/// when each phase begins.
///
/// # Errors
/// What went wrong, in the phase that the recorder is in then.
pub(crate) async fn send(
    hop: &Hop,
    address: SocketAddr,
    roots: &TlsRoots,
    recorder: &Recorder,
) -> Result<Response, Broken> {
    let request = hop.request().map_err(Broken::Request)?;
    recorder.enter(Stage::Connect);
    let stream = connect(hop, address, roots, recorder).await.map_err(Broken::Connect)?;
    recorder.enter(Stage::FirstByte);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Broken::Exchange)?;
    let mut wire = Wire(Some(Box::new(connection)));
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = std::future::poll_fn(|cx| {
        wire.drive(cx);
        answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    });
    let (head, body) = answer.await.map_err(Broken::Exchange)?.into_parts();
    Ok(Response { head, body, wire })
}

async fn connect(hop: &Hop, address: SocketAddr, roots: &TlsRoots, recorder: &Recorder) -> io::Result<Stream> {
    if !hop.is_tls() {
        return TcpStream::connect(address).await.map(Stream::Plain);
    }
    // A name that no certificate can be for is not worth a connection.
    let name = hop.server_name().map_err(io::Error::other)?;
    let config = tls::client_config(roots, recorder).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    // The last message of the handshake and the request are small and follow one another: the second
    // would wait until the peer has confirmed the first. A plain request goes out in one piece.
    stream.set_nodelay(true)?;
    recorder.enter(Stage::Tls);
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

impl Response {
    /// How long the body is, in bytes, where the head says so.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection fails, or the body ends before it is complete.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, hyper::Error>> {
        loop {
            // Asked first, since asking is what lets the connection read on.
            let mut frame = self.poll_frame();
            if frame.is_pending() {
                self.wire.drive(cx);
                frame = self.poll_frame();
            }
            match ready!(frame) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(frame)) => {
                    // What follows the body is of no interest.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
    }

    fn poll_frame(&mut self) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }
}

/// The connection that carries the exchange, until it has ended.
///
/// Invariant: nothing but driving it brings an answer or a piece of a body, and it is driven right
/// before these are looked at. So they need no waker of their own: what wakes the connection will do.
#[derive(Debug)]
struct Wire(Option<Box<Connection>>);

type Connection = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

impl Wire {
    /// Lets the connection do what can be done now. What it ends with, it tells the request or the
    /// body, whichever is waiting.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && Pin::new(&mut **connection).poll(cx).is_ready()
        {
            self.0 = None;
        }
    }
}
