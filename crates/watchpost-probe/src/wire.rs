//! A connection on which a check speaks the protocol of its type: with TLS or without, read up to a cap,
//! its phases noted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use watchpost_model::TlsSettings;

use crate::broken::Broken;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::{Recorder, Stage};
use crate::tls::Handshake;

/// How much is read at once.
const READ_BYTES_AT_ONCE: usize = 4 * 1024;

/// What a connection broke with.
pub(crate) type Below = Arc<Mutex<Option<io::Error>>>;

/// A connection. The recorder is told of the first byte of an answer, and of how much was read.
///
/// Invariant: no more than the cap and one read is ever taken from the peer; reading beyond it is an error.
#[derive(Debug)]
pub(crate) struct Wire {
    transport: Transport,
    recorder: Recorder,
    /// Whether the next byte is the first of an answer.
    is_waiting: bool,
    received: u64,
    read_bytes_max: u64,
    below: Below,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Connects to `to`, and shakes hands where there is `tls`, offering the protocols `alpn`. At most
    /// `read_bytes_max` bytes will be read.
    ///
    /// # Errors
    /// What went wrong, in the phase that the recorder is in then.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) async fn open(
        context: &ProbeContext,
        to: Destination<'_>,
        tls: Option<(&TlsSettings, &[&[u8]])>,
        read_bytes_max: u64,
        recorder: &Recorder,
    ) -> Result<Self, Broken> {
        let handshake = match tls {
            Some((tls, alpn)) => Some(context.tls.prepare(to.host, tls, alpn).await.map_err(Broken::Judged)?),
            None => None,
        };
        let stream = context.network.connect(to, recorder).await.map_err(Broken::Judged)?;
        // Questions are small and follow one another.
        stream.set_nodelay(true)?;
        let recorder = recorder.clone();
        let transport = Transport::Plain(stream);
        let wire = Self { transport, recorder, is_waiting: false, received: 0, read_bytes_max, below: Arc::default() };
        match handshake {
            Some(handshake) => Ok(wire.secured(handshake).await?),
            None => Ok(wire),
        }
    }

    /// The same connection, by TLS from now on. A connection by TLS stays as it is.
    ///
    /// # Errors
    /// What [`crate::tls::failure::verdict`] makes a verdict of.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) async fn secured(self, handshake: Handshake) -> io::Result<Self> {
        let Self { transport, recorder, received, read_bytes_max, below, .. } = self;
        let transport = match transport {
            Transport::Plain(stream) => Transport::Tls(Box::new(handshake.shake(stream, &recorder).await?)),
            secured @ Transport::Tls(_) => secured,
        };
        recorder.leave();
        Ok(Self { transport, recorder, is_waiting: false, received, read_bytes_max, below })
    }

    /// Notes that something is asked: the next byte that comes is the first of the answer.
    pub(crate) fn await_answer(&mut self) {
        self.recorder.enter(Stage::FirstByte);
        self.is_waiting = true;
    }

    /// Has the connection end by a reset once this is dropped, which leaves nothing behind on either side:
    /// an orderly close by us leaves a TIME_WAIT of a minute. For peers that make nothing of it, and checks
    /// that send nothing without waiting for an answer.
    pub(crate) fn end_by_reset(&self) {
        let stream = match &self.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.get_ref().0,
        };
        // Where it cannot be asked for, the end is as orderly as ever.
        stream.set_zero_linger().ok();
    }

    /// Where the error is kept that the connection broke with: some who read from a wire keep no more of
    /// it than its words.
    pub(crate) fn below(&self) -> Below {
        Arc::clone(&self.below)
    }

    /// Keeps `error` in [`Wire::below`] and gives another like it.
    fn broke(&self, error: io::Error) -> io::Error {
        let again = io::Error::new(error.kind(), error.to_string());
        // The first one is what the connection broke with.
        self.below.lock().get_or_insert(error);
        again
    }

    /// A wire, and the peer at its other end.
    #[cfg(test)]
    pub(crate) async fn to_a_peer(read_bytes_max: u64) -> (Self, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let transport = Transport::Plain(stream);
        let wire = Self {
            transport,
            recorder: Recorder::new(),
            is_waiting: false,
            received: 0,
            read_bytes_max,
            below: Arc::default(),
        };
        (wire, listener.accept().await.unwrap().0)
    }

    fn note(&mut self, read: usize) -> io::Result<()> {
        self.received += read as u64;
        if read > 0 && self.is_waiting {
            self.is_waiting = false;
            self.recorder.enter(Stage::Receive);
        }
        self.recorder.received(self.received);
        if self.received > self.read_bytes_max {
            let told = format!("it sent more than {} bytes, the most that is read", self.read_bytes_max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let had = buf.filled().len();
        let read = ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        });
        let noted = read.and_then(|()| this.note(buf.filled().len() - had));
        Poll::Ready(noted.map_err(|error| this.broke(error)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        });
        Poll::Ready(written.map_err(|error| this.broke(error)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A wire on which questions and answers alternate, and what was heard and not yet understood.
#[derive(Debug)]
pub(crate) struct Conversation {
    wire: Wire,
    heard: BytesMut,
    /// Why the last question did not go out. The peer may have said why before it closed, so it is heard first.
    unsaid: Option<io::Error>,
}

impl Conversation {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, heard: BytesMut::new(), unsaid: None }
    }

    /// Asks something. Where that fails, the answer tells why.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.wire.await_answer();
        let said = async {
            self.wire.write_all(bytes).await?;
            self.wire.flush().await
        };
        self.unsaid = said.await.err();
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// When the connection ends before, or the cap is reached.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    pub(crate) async fn exact(&mut self, length: usize) -> io::Result<Bytes> {
        while self.heard.len() < length {
            self.more().await?;
        }
        Ok(self.heard.split_to(length).freeze())
    }

    /// The next line, without its end, which is a line feed with or without a carriage return. `None` where it
    /// is longer than `bytes_max`.
    ///
    /// # Errors
    /// When the connection ends before.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    pub(crate) async fn line(&mut self, bytes_max: usize) -> io::Result<Option<Bytes>> {
        let mut seen = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', self.heard.get(seen..).unwrap_or_default()) {
                let mut line = self.heard.split_to(seen + at + 1).freeze();
                line.truncate(line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 });
                return Ok((line.len() <= bytes_max).then_some(line));
            }
            seen = self.heard.len();
            if seen > bytes_max {
                return Ok(None);
            }
            self.more().await?;
        }
    }

    /// The wire, and what was read of it and not taken.
    pub(crate) fn into_parts(self) -> (Wire, BytesMut) {
        (self.wire, self.heard)
    }

    /// Takes leave with `bytes` and closes, without waiting: a peer that takes no more does not hear it.
    pub(crate) fn goodbye(mut self, bytes: &[u8]) {
        let leaving = async {
            self.wire.write_all(bytes).await?;
            self.wire.flush().await?;
            self.wire.shutdown().await
        };
        let _unheard = leaving.now_or_never();
    }

    async fn more(&mut self) -> io::Result<()> {
        self.heard.reserve(READ_BYTES_AT_ONCE);
        match self.wire.read_buf(&mut self.heard).await {
            Ok(0) => Err(self.unsaid.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => {
                // The wire keeps what really went wrong, and gives what others make do with.
                let error = self.wire.below.lock().take().unwrap_or(error);
                Err(self.unsaid.take().unwrap_or(error))
            }
        }
    }
}
