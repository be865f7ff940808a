//! The `websocket` check type: the opening handshake, then optionally a ping, and a message to send and one to
//! wait for.
//!
//! The handshake is ours, since its failures are what there is to tell; frames are tungstenite's.

mod handshake;

use std::time::Instant;

use futures_util::{FutureExt, SinkExt, StreamExt};
use regex::bytes::Regex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message, error::ProtocolError};
use watchpost_model::{
    Pattern, Payload, ProbeSettings, ReasonCode, Task, TypeEvidence, WebsocketEvidence, WebsocketSettings, shorten,
};

use self::handshake::Head;
use crate::assertions::{Findings, conclude, excerpt, slashed};
use crate::broken::Broken;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::{Recorder, Stage};
use crate::secret::Secrets;
use crate::wire::{Below, Conversation, Wire};
use crate::{BoxFuture, Probe, Verdict, failure};

/// The most that is read of one connection.
const READ_BYTES_MAX: u64 = 256 * 1024;
/// The largest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The most messages that are waited through for the one that is expected.
const MESSAGES_MAX: u64 = 1_000;
const ALPN: &[&[u8]] = &[b"http/1.1"];
const PING: &[u8] = b"watchpost";

/// Executes `websocket` checks.
#[derive(Debug)]
pub(crate) struct WebsocketProbe {
    context: ProbeContext,
}

impl WebsocketProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Websocket(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.url.to_string());
        let address = settings.url.host_port();
        let to = Destination::of(task, &address, &settings.route).by_method("GET");
        match self.converse(to, settings, recorder).await {
            Ok((seen, socket)) => {
                let mut findings = Findings::default();
                if let Some(pattern) = &settings.expect {
                    findings.message(pattern, &seen);
                }
                let verdict = conclude(&self.context, task, recorder, findings, || {
                    serde_json::json!({
                        "status": seen.evidence.status,
                        "subprotocol": seen.evidence.subprotocol,
                        "message": seen.message.as_deref().map(String::from_utf8_lossy),
                        "messages": seen.evidence.messages,
                    })
                });
                take_leave(socket);
                verdict
            }
            Err(broken) => {
                let host = settings.tls.server_name.as_ref();
                broken.verdict(to, host.map_or(to.host, |name| name.as_str()), recorder)
            }
        }
    }

    async fn converse(
        &self,
        to: Destination<'_>,
        settings: &WebsocketSettings,
        recorder: &Recorder,
    ) -> Result<(Seen, WebSocketStream<Wire>), Broken> {
        let message = match &settings.send {
            Some(Payload::Text(text)) => Some(Message::text(text.as_str())),
            Some(bytes) => {
                let bytes = self.context.files.payload(bytes).await.map_err(Broken::Judged)?;
                Some(Message::Binary(Bytes::from(bytes.into_owned())))
            }
            None => None,
        };
        let tls = settings.url.is_wss().then_some((&settings.tls, ALPN));
        let wire = Wire::open(&self.context, to, tls, READ_BYTES_MAX, recorder).await?;
        let below = wire.below();
        let headers = settings.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let secrets = Secrets::of_headers(headers, settings.auth.as_ref());
        let mut talk = Conversation::new(wire);
        let key = handshake::key();
        talk.say(handshake::request(settings, &key).as_bytes()).await;
        let head = Head::read(&mut talk).await?;
        let unagreed = WebsocketEvidence { status: head.status, ..WebsocketEvidence::default() };
        recorder.of_type(TypeEvidence::Websocket(unagreed));
        let evidence = head.agreed(settings, &key, &secrets)?;
        let (wire, rest) = talk.into_parts();
        let socket = WebSocketStream::from_partially_read(wire, rest.to_vec(), Role::Client, Some(limits())).await;
        let mut session = Session { socket, below, secrets, seen: Seen { evidence, message: None, matched: false } };
        let pattern = settings.expect.as_ref().map(|pattern| self.context.patterns.compiled(pattern));
        let run = session.run(message, settings.ping, pattern.as_deref(), recorder).await;
        recorder.of_type(TypeEvidence::Websocket(session.seen.evidence.clone()));
        run?;
        Ok((session.seen, session.socket))
    }
}

impl Probe for WebsocketProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Tells the server that this is all, and closes, without waiting for its answer.
fn take_leave(mut socket: WebSocketStream<Wire>) {
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _unheard = socket.close(Some(frame)).now_or_never();
}

/// What came of an exchange of messages.
struct Seen {
    evidence: WebsocketEvidence,
    /// The message that matched, or else the last one.
    message: Option<Bytes>,
    matched: bool,
}

struct Session {
    socket: WebSocketStream<Wire>,
    below: Below,
    secrets: Secrets,
    seen: Seen,
}

impl Session {
    /// Sends `message` and a ping, where they are to be sent, and reads until what is waited for has come.
    async fn run(
        &mut self,
        message: Option<Message>,
        ping: bool,
        pattern: Option<&Regex>,
        recorder: &Recorder,
    ) -> Result<(), Broken> {
        let hears_unasked = message.is_none();
        if let Some(message) = message {
            self.say(message, recorder).await?;
        }
        let asked = Instant::now();
        if ping {
            self.say(Message::Ping(Bytes::from_static(PING)), recorder).await?;
        }
        let mut awaits_pong = ping;
        if pattern.is_some() && hears_unasked {
            self.socket.get_mut().await_answer();
        }
        while awaits_pong || pattern.is_some_and(|_| !self.seen.matched) {
            let message = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => Bytes::from(text),
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(Message::Pong(payload))) => {
                    if awaits_pong && payload == PING {
                        awaits_pong = false;
                        recorder.metric("ping_ms", asked.elapsed().as_secs_f64() * 1_000.0);
                    }
                    continue;
                }
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => return self.closed(frame, awaits_pong),
                Some(Err(error)) => return Err(self.broken(error)),
                None => return Err(Broken::Io(std::io::ErrorKind::UnexpectedEof.into())),
            };
            self.seen.evidence.messages += 1;
            if self.seen.matched {
                continue;
            }
            self.seen.matched = pattern.is_some_and(|pattern| pattern.is_match(&message));
            self.seen.message = Some(message);
            if pattern.is_some() && !self.seen.matched && self.seen.evidence.messages == MESSAGES_MAX {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn say(&mut self, message: Message, recorder: &Recorder) -> Result<(), Broken> {
        recorder.enter(Stage::Send);
        let said = self.socket.send(message).await;
        said.map_err(|error| self.broken(error))?;
        self.socket.get_mut().await_answer();
        Ok(())
    }

    /// What it means that the server closed.
    fn closed(&mut self, frame: Option<CloseFrame>, awaits_pong: bool) -> Result<(), Broken> {
        if let Some(frame) = frame {
            let reason = shorten(&self.secrets.hide_in(frame.reason.to_string()), 125).into_owned();
            self.seen.evidence.close_code = Some(frame.code.into());
            self.seen.evidence.close_reason = (!reason.is_empty()).then_some(reason);
        }
        if awaits_pong {
            let how = how_closed(&self.seen.evidence);
            let what = format!("{how} before it answered the ping");
            return Err(Broken::Unanswered(ReasonCode::ConnectionClosed, what));
        }
        Ok(())
    }

    fn broken(&self, error: WsError) -> Broken {
        if let Some(below) = self.below.lock().take() {
            return Broken::Io(below);
        }
        match error {
            WsError::Io(error) => Broken::Io(error),
            WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Broken::Io(std::io::ErrorKind::UnexpectedEof.into())
            }
            WsError::Capacity(_) => {
                Broken::garbage(format!("sent a message of more than {MESSAGE_BYTES_MAX} bytes, the most that is read"))
            }
            other => {
                Broken::garbage(format!("does not follow the WebSocket protocol: {}", shorten(&other.to_string(), 200)))
            }
        }
    }
}

/// "closed the WebSocket with 1011 ("no database")".
fn how_closed(evidence: &WebsocketEvidence) -> String {
    let code = evidence.close_code.map_or_else(|| " without a code".to_owned(), |code| format!(" with {code}"));
    let reason = evidence.close_reason.as_ref().map(|reason| format!(" (\"{reason}\")")).unwrap_or_default();
    format!("closed the WebSocket{code}{reason}")
}

impl Findings {
    /// Whether one of the server's messages matched.
    fn message(&mut self, pattern: &Pattern, seen: &Seen) {
        let messages = seen.evidence.messages;
        let actual = match &seen.message {
            Some(message) if seen.matched => excerpt(message),
            Some(message) => format!("{messages} messages, the last {}", excerpt(message)),
            None => "no message".to_owned(),
        };
        let told = match seen.evidence.close_code.is_some() || messages < MESSAGES_MAX {
            true => format!("the server {}", how_closed(&seen.evidence)),
            false => format!("the server sent {MESSAGES_MAX} messages, the most that are read,"),
        };
        let expr = format!("a message matches {}", slashed(pattern.as_str()));
        self.note(ReasonCode::AssertionFailed, expr, seen.matched, actual, |actual| {
            format!("{told} before a message matched {}: {actual}", slashed(pattern.as_str()))
        });
    }
}
