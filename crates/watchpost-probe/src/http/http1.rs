//! An exchange by HTTP/1.1. hyper writes and reads it; whoever waits for the answer drives it.

use std::error::Error as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::{io, iter};

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;

use super::exchange::HEAD_BYTES_MAX;
use super::stream::Stream;

/// The body of an answer, and the connection that it comes over.
#[derive(Debug)]
pub(super) struct Answer {
    body: Incoming,
    wire: Wire,
}

/// Sends `request` over `stream` and waits for the head of the answer.
pub(super) async fn ask(stream: Stream, request: Request<Full<Bytes>>) -> Result<(Parts, Answer), hyper::Error> {
    let mut http = http1::Builder::new();
    // It is also the most that is read at once.
    http.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await?;
    let mut wire = Wire { connection: Some(Box::new(connection)), has_ended: false, failed: None };
    let mut answer = pin!(unconstrained(sender.send_request(request)));
    let answer = std::future::poll_fn(|cx| wire.drive_until(cx, || answer.as_mut().poll(&mut unheard())));
    let (head, body) = answer.await?.into_parts();
    Ok((head, Answer { body, wire }))
}

impl Answer {
    /// How long the body is, in bytes, where the head says so.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece of the body; `None` at its end.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, hyper::Error>> {
        loop {
            // Asked first, since asking is what lets the connection read on.
            let mut frame = poll_frame(&mut self.body);
            if frame.is_pending() {
                frame = self.wire.drive_until(cx, || poll_frame(&mut self.body));
            }
            match ready!(frame) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(self.wire.cause_of(error))),
                Some(Ok(frame)) => {
                    // What follows the body is of no interest.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
    }

    /// Takes leave of the peer in the way of TLS, if the exchange has come to its end. This waits for
    /// nothing: a peer that takes no more does not hear it.
    pub(super) fn close(mut self) {
        if self.wire.has_ended
            && let Some(connection) = &mut self.wire.connection
        {
            // All that is left for a connection that has ended is to be shut down.
            let _unheard = Pin::new(&mut **connection).poll(&mut unheard());
        }
    }
}

fn poll_frame(body: &mut Incoming) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    Pin::new(body).poll_frame(&mut unheard())
}

/// For what is looked at, and not waited for.
fn unheard() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The connection that carries the exchange. It stays open until this is dropped, so that closing it is
/// no part of the answer, and a server that closes as well mostly does so first.
///
/// Invariant: nothing but driving it brings an answer or a piece of a body, and these are looked at right
/// after it was driven. So they need no waker of their own: what wakes the connection will do. This holds
/// only if they never say "not yet" for another reason, as tokio's channels do to a task that has done
/// much already: hence `unconstrained` above. (hyper's channel for bodies is not one of tokio's.)
#[derive(Debug)]
struct Wire {
    connection: Option<Box<Connection>>,
    has_ended: bool,
    /// What it ended with, where neither the request nor the body was told.
    failed: Option<hyper::Error>,
}

type Connection = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

impl Wire {
    /// Lets the connection do what can be done now, and then looks at what is waited for.
    fn drive_until<T>(&mut self, cx: &mut Context<'_>, mut look: impl FnMut() -> Poll<T>) -> Poll<T> {
        if let Some(connection) = &mut self.connection
            && !self.has_ended
            && let Poll::Ready(ended) = connection.poll_without_shutdown(cx)
        {
            self.has_ended = true;
            self.failed = ended.err();
        }
        let seen = look();
        if seen.is_pending() && self.has_ended {
            // Nothing will wake this task any more. Dropped connections tell who still waits for them.
            self.connection = None;
            return look();
        }
        seen
    }

    /// What is behind `error`: hyper tells a body less of a failed connection than it tells the connection.
    fn cause_of(&mut self, error: hyper::Error) -> hyper::Error {
        let mut sources = iter::successors(error.source(), |&error| error.source());
        if sources.any(|source| source.is::<io::Error>()) {
            return error;
        }
        self.failed.take().unwrap_or(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::super::stream::{READ_BYTES_MAX, Transport};
    use super::*;
    use crate::recorder::{Recorder, Stage};

    const LIMIT: Duration = Duration::from_secs(5);

    /// A connection whose ends hold as few bytes as possible, and a POST with more than they do.
    async fn narrow() -> (TcpStream, TcpStream, Request<Full<Bytes>>) {
        let server = TcpSocket::new_v4().unwrap();
        server.set_recv_buffer_size(4096).unwrap();
        server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = server.listen(1).unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_send_buffer_size(4096).unwrap();
        let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let request = Request::post("/").header("connection", "close").body(Full::from(vec![b'x'; 1 << 20])).unwrap();
        (client, listener.accept().await.unwrap().0, request)
    }

    async fn asked(
        client: TcpStream,
        request: Request<Full<Bytes>>,
    ) -> (Recorder, Result<(Parts, Answer), hyper::Error>) {
        let recorder = Recorder::new();
        recorder.enter(Stage::Send);
        let bytes = request.body().size_hint().exact().unwrap();
        let stream = Stream::http1(Transport::Plain(client), &recorder, bytes as usize, READ_BYTES_MAX);
        let answer = tokio::time::timeout(LIMIT, ask(stream, request)).await;
        (recorder, answer.unwrap())
    }

    async fn chunk(answer: &mut Answer) -> Result<Option<Bytes>, hyper::Error> {
        std::future::poll_fn(|cx| answer.poll_chunk(cx)).await
    }

    #[tokio::test]
    async fn an_answer_that_waits_for_the_request_is_the_answer() {
        let (client, mut server, _) = narrow().await;
        server.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy").await.unwrap();
        client.readable().await.unwrap();
        let started = Instant::now();
        let (recorder, answer) = asked(client, Request::get("/").body(Full::default()).unwrap()).await;
        let (head, mut answer) = answer.unwrap();
        assert_eq!((head.status.as_u16(), recorder.position().stage), (503, Stage::Head));
        assert_eq!(chunk(&mut answer).await.unwrap().unwrap(), "busy");
        assert_eq!(server.read_u8().await.unwrap(), b'G');
        // A time-out looks once more when the time is over, which must not be what found the answer.
        assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn sending_lasts_until_the_peer_has_taken_the_request() {
        let (client, mut server, request) = narrow().await;
        let pause = Duration::from_millis(60);
        let serving = async {
            tokio::time::sleep(pause).await;
            let mut heard = vec![0; 1 << 20];
            server.read_exact(&mut heard).await.unwrap();
            // What is left of it is less than what the sockets hold.
            tokio::time::sleep(pause).await;
            server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let ((recorder, answer), ()) = tokio::join!(asked(client, request), serving);
        assert_eq!(answer.unwrap().0.status.as_u16(), 204);
        let evidence = recorder.finish();
        let shown: Vec<_> = evidence.hops[0].spans.iter().map(|span| span.phase.as_str()).collect();
        assert_eq!(shown, ["send", "first_byte", "receive"]);
        let phases = evidence.phases;
        let pause_us = pause.as_micros() as u64 - 1_000;
        assert!(phases.send.unwrap() >= pause_us && phases.first_byte.unwrap() >= pause_us, "{phases:?}");
    }

    /// hyper notices the reset when it writes, while it does not read since it has something to hand over.
    #[tokio::test]
    async fn a_body_that_ends_with_its_connection_tells_why() {
        let (client, mut server, request) = narrow().await;
        let answering = async {
            server.read_u8().await.unwrap();
            server.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 100\r\n\r\n").await.unwrap();
        };
        let ((_, answer), ()) = tokio::join!(asked(client, request), answering);
        let (_, mut answer) = answer.unwrap();
        server.write_all(b"begun").await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        assert_eq!(chunk(&mut answer).await.unwrap().unwrap(), "begun");
        let error = tokio::time::timeout(LIMIT, chunk(&mut answer)).await.unwrap().unwrap_err();
        let io = iter::successors(error.source(), |&e| e.source()).find_map(|e| e.downcast_ref::<io::Error>());
        assert!(io.is_some_and(|io| io.raw_os_error().is_some()), "{error:?}");
    }

    #[tokio::test]
    async fn a_connection_that_ends_without_a_word_is_not_waited_for() {
        let (client, server, request) = narrow().await;
        drop(server);
        assert!(asked(client, request).await.1.is_err());
    }
}
