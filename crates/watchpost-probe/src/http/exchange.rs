//! One request and its answer on a connection of its own.
//!
//! hyper speaks HTTP/1.1 and h2 HTTP/2; connecting, TLS and the driving of the connection are done here.
//! Whoever waits for the answer drives the connection in the same task: nothing is spawned, no other
//! thread has to be woken, and dropping the future closes the socket at once.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::response::Parts;
use tokio::net::TcpStream;
use watchpost_model::{HttpVersion, Proxy};

use super::hop::Hop;
use super::proxy;
use super::stream::{READ_BYTES_MAX, Stream, Transport};
use super::{http1, http2};
use crate::recorder::{Recorder, Stage};
use crate::tls::Handshake;

/// The largest head of an answer, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the request cannot be written")]
    Request(#[source] http::Error),
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the peer did not agree to speak HTTP/2")]
    NotHttp2,
    #[error("the exchange failed")]
    Exchange(#[source] hyper::Error),
    #[error("the exchange by HTTP/2 failed")]
    Http2(#[source] http2::Failed),
}

/// A connection that was made for an exchange.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    pub(crate) connection: TcpStream,
    /// The proxy that the request itself goes to, which must be told its whole URL.
    pub(crate) proxy: Option<&'a Proxy>,
    /// The most that is read, in bytes.
    pub(crate) bytes_max: usize,
}

impl Way<'_> {
    /// To the target, or to a proxy that has made a tunnel, for an answer as checks read them.
    pub(crate) fn direct(connection: TcpStream) -> Self {
        Self { connection, proxy: None, bytes_max: READ_BYTES_MAX }
    }
}

/// An answer whose head is here, and whose body can be read.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Parts,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Http1(http1::Answer),
    Http2(Box<http2::Answer>),
}

/// The protocols that are offered over TLS to speak `version`, best first.
pub(crate) fn protocols(version: Option<HttpVersion>) -> &'static [&'static [u8]] {
    match version {
        None => &[b"h2", b"http/1.1"],
        Some(HttpVersion::Http11) => &[b"http/1.1"],
        Some(HttpVersion::Http2) => &[b"h2"],
    }
}

/// Sends `hop` over a connection that was made for it, with TLS where there is a `handshake`, and waits
/// for the head of the answer. The recorder is told when each phase begins.
///
/// # Errors
/// What went wrong, in the phase that the recorder is in then.
pub(crate) async fn send(
    hop: &Hop,
    version: Option<HttpVersion>,
    way: Way<'_>,
    handshake: Option<Handshake>,
    recorder: &Recorder,
) -> Result<Response, Broken> {
    let transport = secure(way.connection, handshake, recorder).await.map_err(Broken::Tls)?;
    let (head, answer) = if speaks_http2(&transport, version)? {
        let request = hop.http2_request().map_err(Broken::Request)?;
        recorder.enter(Stage::Send);
        let (head, answer) =
            http2::ask(transport, way.bytes_max, recorder, request, hop.body()).await.map_err(Broken::Http2)?;
        (head, Answer::Http2(Box::new(answer)))
    } else {
        let request = match way.proxy {
            Some(proxy) => hop.proxy_request(proxy::authorization(proxy).as_deref()),
            None => hop.http1_request(),
        };
        let request = request.map_err(Broken::Request)?;
        recorder.enter(Stage::Send);
        let stream = Stream::http1(transport, recorder, hop.body().len(), way.bytes_max);
        let (head, answer) = http1::ask(stream, request).await.map_err(Broken::Exchange)?;
        (head, Answer::Http1(answer))
    };
    Ok(Response { head, answer })
}

async fn secure(stream: TcpStream, handshake: Option<Handshake>, recorder: &Recorder) -> io::Result<Transport> {
    let Some(handshake) = handshake else { return Ok(Transport::Plain(stream)) };
    // The last message of the handshake and the request are small and follow one another: the second
    // would wait until the peer has confirmed the first. A plain request goes out in one piece.
    stream.set_nodelay(true)?;
    Ok(Transport::Tls(Box::new(handshake.shake(stream, recorder).await?)))
}

/// Whether it is to be HTTP/2: as agreed on in the handshake, or without one as the check says.
///
/// # Errors
/// Where the check insists on it, and the handshake ended without a word about it.
fn speaks_http2(transport: &Transport, version: Option<HttpVersion>) -> Result<bool, Broken> {
    let insists = version == Some(HttpVersion::Http2);
    match transport.agreed() {
        None => Ok(insists),
        Some(protocol) if protocol == b"h2" => Ok(true),
        Some(_) if insists => Err(Broken::NotHttp2),
        Some(_) => Ok(false),
    }
}

impl Response {
    /// How long the body is, in bytes, where the head says so.
    pub(crate) fn content_length(&self) -> Option<u64> {
        match &self.answer {
            Answer::Http1(answer) => answer.content_length(),
            Answer::Http2(_) => http2::content_length(&self.head.headers),
        }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection fails, or the body ends before it is complete.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        match &mut self.answer {
            Answer::Http1(answer) => answer.poll_chunk(cx).map_err(Broken::Exchange),
            Answer::Http2(answer) => answer.poll_chunk(cx).map_err(Broken::Http2),
        }
    }

    /// Takes leave of the peer where its protocol has a way to do so that waits for nothing.
    pub(crate) fn close(self) {
        if let Answer::Http1(answer) = self.answer {
            answer.close();
        }
    }
}
