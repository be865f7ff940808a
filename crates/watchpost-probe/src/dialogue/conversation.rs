//! A stream over which texts are exchanged, with TLS from some moment on or without.

use std::io;
use std::time::Duration;

use regex::bytes::Regex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use watchpost_model::{Reason, ReasonCode, Side};

use crate::recorder::{Recorder, Stage};
use crate::tls::{self, Handshake};
use crate::{Verdict, assertions};

/// How much is read at once.
const READ_BYTES_AT_ONCE: usize = 4 * 1024;
/// How long a peer that has said much may pause before what it said is looked at.
const QUIET: Duration = Duration::from_millis(20);
/// The longest rest of a line before TLS begins.
const REST_BYTES_MAX: usize = 1024;

/// Any stream.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One side of a dialogue. What fails in it becomes a verdict that says where it was.
pub(crate) struct Conversation<'a> {
    /// `None` while TLS begins, and for ever where that failed.
    wire: Option<Box<dyn Wire>>,
    /// What was read and not matched yet.
    unread: Vec<u8>,
    whom: String,
    /// Whom the certificate must be for, where there is one.
    name: String,
    /// Whether what was taken last ended a line. Whatever follows it then is something new.
    at_line_start: bool,
    recorder: &'a Recorder,
}

/// What an attempt to read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Something.
    Some,
    /// The peer has closed.
    End,
    /// There is as much as may be.
    Full,
}

impl<'a> Conversation<'a> {
    /// With `whom`, as sentences call it, over `wire`.
    pub(crate) fn new(wire: impl Wire + 'static, whom: String, recorder: &'a Recorder) -> Self {
        let wire: Box<dyn Wire> = Box::new(wire);
        Self { wire: Some(wire), unread: Vec::new(), whom, name: String::new(), at_line_start: true, recorder }
    }

    /// What was read and not taken yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Takes the first `length` bytes of what was read.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.unread.split_off(length.min(self.unread.len()));
        let taken = std::mem::replace(&mut self.unread, rest);
        self.at_line_start = taken.last().is_none_or(|byte| *byte == b'\n');
        taken
    }

    /// Begins another part of the dialogue; `is_secret` if nothing of it may be shown.
    pub(crate) fn begin(&self, at: impl Into<Option<String>>, is_secret: bool) {
        self.recorder.transcript(|transcript| transcript.begin(at.into(), is_secret));
    }

    /// The peer as sentences call it.
    pub(crate) fn whom(&self) -> &str {
        &self.whom
    }

    /// The verdict on a peer that closed before it had answered.
    pub(crate) fn closed(&self) -> Verdict {
        self.broken(&io::ErrorKind::UnexpectedEof.into())
    }

    /// A sentence about the part of the dialogue that is under way.
    pub(crate) fn told(&self, sentence: String) -> String {
        self.recorder.transcript(|transcript| match transcript.at() {
            Some(at) => format!("{at}: {sentence}"),
            None => sentence,
        })
    }

    /// An error of the peer's that is told by `sentence`.
    pub(crate) fn error(&self, code: ReasonCode, sentence: String) -> Verdict {
        Verdict::error(Reason::new(code, self.told(sentence)))
    }

    fn broken(&self, error: &io::Error) -> Verdict {
        let mut verdict = tls::failure::verdict(error, &self.name, &self.whom, self.recorder);
        if let Some(reason) = &mut verdict.reason {
            reason.message = self.told(std::mem::take(&mut reason.message));
        }
        verdict
    }

    /// Sends `bytes`.
    ///
    /// # Errors
    /// The verdict on a connection that broke.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Verdict> {
        self.recorder.enter(Stage::Send);
        self.recorder.transcript(|transcript| transcript.said(Side::Check, bytes));
        let sent = match &mut self.wire {
            Some(wire) => write(wire, bytes).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        sent.map_err(|error| self.broken(&error))
    }

    /// Notes that an answer is waited for.
    pub(crate) fn listen(&self) {
        self.recorder.received(self.unread.len() as u64);
        self.recorder.enter(if self.unread.is_empty() { Stage::FirstByte } else { Stage::Receive });
    }

    /// Reads something more, until there are `max` bytes that were not taken yet.
    ///
    /// # Errors
    /// The verdict on a connection that broke.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    pub(crate) async fn read(&mut self, max: usize) -> Result<Read, Verdict> {
        let had = self.unread.len();
        let room = max.saturating_sub(had).min(READ_BYTES_AT_ONCE);
        if room == 0 {
            return Ok(Read::Full);
        }
        self.unread.reserve(room);
        let read = match &mut self.wire {
            Some(wire) => wire.take(room as u64).read_buf(&mut self.unread).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        match read {
            Ok(0) => return Ok(Read::End),
            Ok(_) => {}
            // By TLS, an end that was not announced.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Read::End),
            Err(error) => return Err(self.broken(&error)),
        }
        if had == 0 {
            self.recorder.enter(Stage::Receive);
        }
        self.recorder.received(self.unread.len() as u64);
        let heard = self.unread.get(had..).unwrap_or_default();
        self.recorder.transcript(|transcript| transcript.said(Side::Peer, heard));
        Ok(Read::Some)
    }

    /// Reads until what was read and not taken yet matches, the peer closes, or there are `max` bytes of it. To keep
    /// the work in proportion to what is read, even when that arrives byte by byte, a long answer is tried only once
    /// it has grown by an eighth, or when the peer pauses.
    ///
    /// # Errors
    /// The verdict on a connection that broke.
    pub(crate) async fn read_until(&mut self, regex: &Regex, max: usize) -> Result<Option<Read>, Verdict> {
        let mut tried = 0;
        loop {
            let (length, new) = (self.unread.len(), self.unread.len() - tried);
            let is_due = length <= READ_BYTES_AT_ONCE || new >= tried / 8;
            let read = if new == 0 || is_due {
                tried = length;
                if new > 0 && regex.is_match(&self.unread) {
                    return Ok(None);
                }
                self.read(max).await?
            } else {
                // Something has not been looked at yet, so a pause is a reason to do so.
                match tokio::time::timeout(QUIET, self.read(max)).await {
                    Ok(read) => read?,
                    Err(_) if regex.is_match(&self.unread) => return Ok(None),
                    Err(_) => {
                        tried = length;
                        continue;
                    }
                }
            };
            if read != Read::Some {
                return Ok((!regex.is_match(&self.unread) || self.unread.is_empty()).then_some(read));
            }
        }
    }

    /// Begins TLS. The peer has agreed to it, and nothing else in plain text may follow but the rest of the line by
    /// which it did: it could be anybody's.
    ///
    /// # Errors
    /// The verdict on a peer that goes on in plain text, or on a handshake that failed.
    pub(crate) async fn start_tls(&mut self, handshake: Handshake) -> Result<(), Verdict> {
        let mut line = 0;
        while !self.at_line_start && line == 0 && !self.unread.is_empty() {
            line = self.unread.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if line == 0 && self.read(REST_BYTES_MAX).await? != Read::Some {
                break;
            }
        }
        let beyond = self.unread.get(line..).unwrap_or_default();
        if !beyond.is_empty() {
            let shown = self.recorder.transcript(|transcript| assertions::excerpt_hiding(transcript.secrets(), beyond));
            let sentence = format!(
                "{} sent {} bytes in plain text after it agreed to TLS, which anybody on the way could have put there: \
                 {shown}",
                self.whom,
                beyond.len()
            );
            return Err(self.error(ReasonCode::ProtocolError, sentence));
        }
        self.unread.clear();
        let Some(wire) = self.wire.take() else { return Err(self.broken(&io::ErrorKind::NotConnected.into())) };
        self.name = handshake.server_name();
        let shaken = handshake.shake(wire, self.recorder).await;
        let stream = shaken.map_err(|error| self.broken(&error))?;
        self.recorder.leave();
        self.wire = Some(Box::new(stream));
        Ok(())
    }

    /// Says that this was all. A peer that is gone already need not hear it.
    pub(crate) async fn end(mut self) {
        if let Some(wire) = &mut self.wire {
            let _gone = wire.shutdown().await;
        }
    }
}

async fn write(wire: &mut Box<dyn Wire>, bytes: &[u8]) -> io::Result<()> {
    wire.write_all(bytes).await?;
    // TLS may hold back what it could not send at once.
    wire.flush().await
}
