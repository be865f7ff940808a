//! A connection to a server, with TLS or without, on which one request is answered.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::recorder::{Recorder, Stage};

/// The most that is read in one exchange, in bytes: more than the largest head and body take in the
/// smallest pieces. What goes beyond says nothing, at length.
const READ_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What an exchange reads from and writes to.
///
/// Nothing is read before something was written: some servers answer whoever connects, and hyper takes
/// an answer to nothing for an error. The recorder, which is in the stage [`Stage::Send`], is told when
/// everything is written, and of the first byte that is read.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    progress: Progress,
    recorder: Recorder,
    /// How many bytes may still be read.
    left: usize,
}

/// How the bytes travel.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing was written yet.
    Silent,
    /// What was written is not all out.
    Asking,
    /// All that was written is out.
    Asked,
    /// Something was read.
    Answered,
}

impl Stream {
    pub(crate) fn new(transport: Transport, recorder: &Recorder) -> Self {
        Self { transport, progress: Progress::Silent, recorder: recorder.clone(), left: READ_BYTES_MAX }
    }

    /// Notes that something was written. Whoever wanted to read was put off until the first time, and
    /// nobody else sees to it that the task is woken for that.
    fn asking(&mut self, cx: &mut Context<'_>) {
        let before = self.progress;
        match before {
            Progress::Asking | Progress::Answered => return,
            // The request goes on.
            Progress::Asked => self.recorder.enter(Stage::Send),
            Progress::Silent => {}
        }
        self.progress = Progress::Asking;
        if before == Progress::Asked {
            return;
        }
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
        ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        let read = buf.filled().len() - had;
        let Some(left) = this.left.checked_sub(read) else {
            let message = format!("more than {READ_BYTES_MAX} bytes came, and no end of the answer");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        };
        this.left = left;
        if this.progress != Progress::Answered && read > 0 {
            this.progress = Progress::Answered;
            if is_tls(buf.filled().get(had..).unwrap_or_default()) {
                this.recorder.answered_in_tls();
            }
            this.recorder.enter(Stage::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        })?;
        this.asking(cx);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        })?;
        this.asking(cx);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        })?;
        if this.progress == Progress::Asking {
            this.progress = Progress::Asked;
            this.recorder.enter(Stage::FirstByte);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            // It is closed right after, which says the same to the peer for one system call less.
            Transport::Plain(_) => Poll::Ready(Ok(())),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
