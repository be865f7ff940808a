//! A connection to a server, with TLS or without, on which one request is answered.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::recorder::{Recorder, Stage};

/// The most that a check reads in one exchange, in bytes: more than the largest head and body take in the
/// smallest pieces. What goes beyond says nothing, at length.
pub(super) const READ_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What an answer by HTTP/1 begins with. No frame of HTTP/2 does: it would be larger than any may be.
const HTTP1: &[u8] = b"HTTP/1";

/// What an exchange reads from and writes to.
///
/// The recorder, which is in the stage [`Stage::Send`], is told when the request is out, and with HTTP/1.1
/// of the first byte that is read.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    speech: Speech,
    progress: Progress,
    /// How many bytes must be written, at the least, before the request is out.
    unsent: usize,
    /// How many bytes were read, and how many may be.
    bytes_read: usize,
    bytes_max: usize,
    recorder: Recorder,
}

/// How the bytes travel.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What the bytes are.
#[derive(Debug)]
enum Speech {
    Http1,
    /// HTTP/2, with a place for what goes wrong below it. h2 would keep no more of that than its words.
    Http2(Arc<OnceLock<io::Error>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing was written yet, and so nothing is read: some servers answer whoever connects, and hyper
    /// takes an answer to nothing for an error.
    Silent,
    /// The request is not all out.
    Asking,
    /// The request is out.
    Asked,
    /// The answer has begun. With HTTP/2 what is read first is no part of it.
    Answered,
}

impl Transport {
    /// The connection below.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// The protocol that the handshake agreed on, empty where it agreed on none; `None` without TLS.
    pub(super) fn agreed(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(tls.get_ref().1.alpn_protocol().unwrap_or_default()),
        }
    }
}

impl Stream {
    /// For a request by HTTP/1.1 with a body of `body_bytes`. At most `bytes_max` are read.
    pub(super) fn http1(transport: Transport, recorder: &Recorder, body_bytes: usize, bytes_max: usize) -> Self {
        Self {
            transport,
            speech: Speech::Http1,
            progress: Progress::Silent,
            unsent: body_bytes,
            bytes_read: 0,
            bytes_max,
            recorder: recorder.clone(),
        }
    }

    /// For a request by HTTP/2 with a body of `body_bytes`. At most `bytes_max` are read; what goes wrong with
    /// the connection is put into `below`.
    pub(super) fn http2(
        transport: Transport,
        recorder: &Recorder,
        body_bytes: usize,
        bytes_max: usize,
        below: Arc<OnceLock<io::Error>>,
    ) -> Self {
        // Servers may begin by telling their settings, and h2 listens to them.
        let progress = Progress::Asking;
        Self { speech: Speech::Http2(below), progress, ..Self::http1(transport, recorder, body_bytes, bytes_max) }
    }

    /// Notes that `bytes` were written. Whoever wanted to read was put off until the first time, and nobody
    /// else sees to it that the task is woken for that.
    fn wrote(&mut self, bytes: usize, cx: &mut Context<'_>) {
        self.unsent = self.unsent.saturating_sub(bytes);
        if self.progress != Progress::Silent {
            return;
        }
        self.progress = Progress::Asking;
        let is_answered = match &self.transport {
            Transport::Plain(tcp) => tcp.poll_read_ready(cx).is_ready(),
            Transport::Tls(tls) => {
                let (tcp, session) = tls.get_ref();
                // What has been decrypted does not show on the socket any more.
                !session.wants_read() || tcp.poll_read_ready(cx).is_ready()
            }
        };
        if is_answered {
            cx.waker().wake_by_ref();
        }
    }

    /// Notes that everything that was written is out.
    fn flushed(&mut self) {
        if self.progress == Progress::Asking && self.unsent == 0 {
            self.progress = Progress::Asked;
            self.recorder.enter(Stage::FirstByte);
        }
    }

    /// Notes that `came` was read.
    ///
    /// # Errors
    /// When that is more than may be read, or no HTTP/2 where it should be.
    fn came(&mut self, came: &[u8]) -> io::Result<()> {
        let is_first = self.bytes_read == 0;
        self.bytes_read = self.bytes_read.saturating_add(came.len());
        if self.bytes_read > self.bytes_max {
            let message = format!("{} bytes came, and no end of the answer", self.bytes_max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        match self.speech {
            Speech::Http1 if !came.is_empty() && self.progress != Progress::Answered => {
                self.progress = Progress::Answered;
                if is_tls(came) {
                    self.recorder.answered_in_tls();
                }
                self.recorder.enter(Stage::Head);
            }
            Speech::Http2(_) if is_first && came.starts_with(HTTP1) => {
                let message = "it is one of HTTP/1, and the check speaks HTTP/2";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps what went wrong where it is not lost.
    fn failed(&self, error: io::Error) -> io::Error {
        let Speech::Http2(below) = &self.speech else { return error };
        let kind = error.kind();
        below.set(error).ok();
        kind.into()
    }

    /// The better reason for a connection that cannot be written to any more: a server that ended the TLS
    /// session may have said why.
    fn last_words(&mut self, error: io::Error, cx: &mut Context<'_>) -> io::Error {
        let Transport::Tls(tls) = &mut self.transport else { return error };
        let mut unread = [0; 1024];
        match Pin::new(tls).poll_read(cx, &mut ReadBuf::new(&mut unread)) {
            Poll::Ready(Err(told)) if told.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => told,
            _ => error,
        }
    }

    fn poll_written(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match ready!(written) {
            Ok(bytes) => {
                self.wrote(bytes, cx);
                Poll::Ready(Ok(bytes))
            }
            Err(error) => {
                let error = self.last_words(error, cx);
                Poll::Ready(Err(self.failed(error)))
            }
        }
    }
}

/// Whether `bytes` begin as an alert or a handshake of TLS does, and no HTTP.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [21 | 22, 3, ..])
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.progress == Progress::Silent {
            return Poll::Pending;
        }
        let had = buf.filled().len();
        let read = ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        });
        let read = read.and_then(|()| this.came(buf.filled().get(had..).unwrap_or_default()));
        Poll::Ready(read.map_err(|error| this.failed(error)))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.poll_written(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        };
        this.poll_written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        });
        match flushed {
            Ok(()) => {
                this.flushed();
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                let error = this.last_words(error, cx);
                Poll::Ready(Err(this.failed(error)))
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            // It is closed right after, which says the same to the peer for one system call less.
            Transport::Plain(_) => Poll::Ready(Ok(())),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
