//! One question and its answer, in datagrams or over a stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use watchpost_model::ReasonCode;

use super::message::{Answer, MESSAGE_BYTES_MAX, Question, Unfit};
use crate::network::datagram::Datagrams;
use crate::recorder::{Recorder, Stage};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The way to the server.
    Io(io::Error),
    /// What the server sent is not the answer, and nothing else can come.
    Unfit(Unfit),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Asks in a datagram, and waits for the one that is the answer. `ignored` is told of each that is not.
///
/// # Errors
/// What went wrong. A message that belongs to another question is none of that.
pub(super) async fn by_datagram(
    datagrams: &Datagrams,
    question: &Question,
    recorder: &Recorder,
    mut ignored: impl FnMut(&str),
) -> Result<Answer, Broken> {
    recorder.enter(Stage::Send);
    datagrams.send(question.bytes()).await?;
    recorder.enter(Stage::FirstByte);
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    loop {
        let length = datagrams.receive(&mut buffer).await?;
        match question.answer(buffer.get(..length).unwrap_or_default()) {
            Ok(answer) => return Ok(answer),
            Err(Unfit::Stranger(why)) => ignored(&why),
            Err(unfit) => return Err(Broken::Unfit(unfit)),
        }
    }
}

/// Asks over a stream, on which the first message is the answer.
///
/// # Errors
/// What went wrong, in the phase that the recorder is in then.
pub(super) async fn by_stream<S>(mut stream: S, question: &Question, recorder: &Recorder) -> Result<Answer, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    recorder.enter(Stage::Send);
    stream.write_all(&question.framed()).await?;
    stream.flush().await?;
    recorder.enter(Stage::FirstByte);
    let mut length = [0; 2];
    let (first, second) = length.split_at_mut(1);
    stream.read_exact(first).await?;
    recorder.enter(Stage::Receive);
    recorder.received(1);
    stream.read_exact(second).await?;
    let length = usize::from(u16::from_be_bytes(length));
    let mut message = Vec::with_capacity(length);
    while message.len() < length {
        recorder.received(2 + message.len() as u64);
        let rest = (length - message.len()) as u64;
        if (&mut stream).take(rest).read_buf(&mut message).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    question.answer(&message).map_err(Broken::Unfit)
}

/// The code of an answer that did not come.
pub(super) const NONE_IN_TIME: ReasonCode = ReasonCode::DnsTimeout;
