//! One call over HTTP/2. h2 writes and reads it; whoever waits for the answer drives the connection, in the
//! same task: nothing is spawned.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use h2::client::Builder;
use http::{HeaderMap, Request};
use watchpost_model::{ReasonCode, shorten};

use crate::broken::Broken;
use crate::recorder::{Recorder, Stage};
use crate::wire::{Below, Wire};

/// The largest head or trailer of an answer, in bytes.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// The most of a message that is read. A health has a few bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// What a server answered to a call.
pub(super) struct Answer {
    pub(super) status: http::StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) message: Vec<u8>,
    /// What came after the message, if anything did.
    pub(super) trailers: Option<HeaderMap>,
}

/// Sends `request` with `message` over `wire`, and waits for the whole answer.
///
/// # Errors
/// When there is none.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(super) async fn call(
    wire: Wire,
    request: Request<()>,
    message: Bytes,
    recorder: &Recorder,
) -> Result<Answer, Broken> {
    let below = wire.below();
    let broken = |error: &h2::Error| broken(error, &below);
    recorder.enter(Stage::FirstByte);
    let mut http = Builder::new();
    http.enable_push(false).max_header_list_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = http.handshake::<_, Bytes>(wire).await.map_err(|error| broken(&error))?;
    let exchange = async {
        let (answer, mut body) = sender.send_request(request, false)?;
        body.send_data(message, true)?;
        let (head, mut body) = answer.await?.into_parts();
        recorder.enter(Stage::Receive);
        let mut message = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            // It can only fail where more is given back than was taken.
            body.flow_control().release_capacity(piece.len()).ok();
            message.extend_from_slice(&piece);
            if message.len() > MESSAGE_BYTES_MAX {
                return Ok(None);
            }
        }
        let trailers = body.trailers().await?;
        Ok(Some(Answer { status: head.status, headers: head.headers, message, trailers }))
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    let mut ended: Option<Result<(), h2::Error>> = None;
    let answer = poll_fn(|cx| {
        if ended.is_none()
            && let Poll::Ready(end) = Pin::new(&mut connection).poll(cx)
        {
            ended = Some(end);
        }
        // What the exchange hands over is sent by the connection, which is woken for it.
        match exchange.as_mut().poll(cx) {
            Poll::Pending if ended.is_some() => Poll::Ready(Err(None)),
            answer => answer.map_err(Some),
        }
    });
    let error = match answer.await {
        Ok(Some(answer)) => return Ok(answer),
        Ok(None) => {
            let told = format!("sent a message of more than {MESSAGE_BYTES_MAX} bytes, the most that is read");
            return Err(Broken::garbage(told));
        }
        Err(error) => error,
    };
    // Where the peer said why it left, the connection knows, and the call only that it is over.
    match (ended, error) {
        (Some(Err(end)), _) if end.is_go_away() => Err(broken(&end)),
        (_, Some(error)) => Err(broken(&error)),
        (_, None) => Err(Broken::Io(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// What `error` means; what went wrong with the connection is in `below`, if that is where it went wrong.
fn broken(error: &h2::Error, below: &Below) -> Broken {
    if let Some(below) = below.lock().take() {
        return Broken::Io(below);
    }
    if error.is_io() {
        // The peer closed in between.
        return Broken::Io(io::ErrorKind::UnexpectedEof.into());
    }
    let why = shorten(&error.to_string(), 200).into_owned();
    match (error.is_remote(), error.is_go_away()) {
        (true, true) => Broken::Unanswered(ReasonCode::ConnectionClosed, format!("ended the HTTP/2 session: {why}")),
        (true, false) => Broken::Unanswered(ReasonCode::ConnectionReset, format!("reset the call: {why}")),
        (false, _) => Broken::garbage(format!("does not speak HTTP/2 as gRPC does: {why}")),
    }
}
