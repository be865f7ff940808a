//! Reading requests and writing answers.

use watchpost_bus::{Bus, BusError, Headers, Message, Outgoing};
use watchpost_model::{
    CheckList, CheckShown, CheckStored, Drained, ErrorCode, ErrorReply, Format, Heartbeat, LastResults, LogLevelSet,
    Message as ModelMessage, PolicyTested, PoolResized, TasksHeld, V1, decode, encode, header,
};

/// How clients of NATS services tell an error from an answer (ADR-32 of NATS): in words, and as a number.
const SERVICE_ERROR: &str = "Nats-Service-Error";
const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";
/// How much of a sentence the header has.
const SERVICE_ERROR_CHARS_MAX: usize = 200;

/// How a request is written, and so its answer. One without a payload may come from a person at a terminal.
pub(crate) fn format_of(message: &Message) -> Format {
    match message.headers.get(header::CONTENT_TYPE) {
        None if message.payload.is_empty() => Format::Json,
        content_type => Format::detect(content_type, &message.payload),
    }
}

/// Reads a request. No payload at all stands for one without any field.
pub(super) fn read<M: ModelMessage>(message: &Message, format: Format) -> Result<M, ErrorReply> {
    let read = if message.payload.is_empty() { decode(b"{}", Format::Json) } else { decode(&message.payload, format) };
    read.map_err(|error| error.to_reply())
}

/// An answer that is an error.
pub(super) fn error(code: ErrorCode, message: impl Into<String>) -> ErrorReply {
    ErrorReply { v: V1, code, message: message.into(), field: None }
}

macro_rules! answers {
    ($($variant:ident($message:ty),)*) => {
        /// What a request is answered with.
        #[derive(Debug, Clone)]
        pub(super) enum Answer {
            $($variant(Box<$message>),)*
        }

        impl Answer {
            /// As it is written.
            pub(super) fn encode(&self, format: Format) -> Vec<u8> {
                match self {
                    $(Self::$variant(message) => encode(&**message, format),)*
                }
            }
        }

        $(impl From<$message> for Answer {
            fn from(message: $message) -> Self {
                Self::$variant(Box::new(message))
            }
        })*
    };
}

answers! {
    Stored(CheckStored),
    Shown(CheckShown),
    List(CheckList),
    Last(LastResults),
    Status(Heartbeat),
    Drained(Drained),
    Resized(PoolResized),
    LogLevel(LogLevelSet),
    Held(TasksHeld),
    Tested(PolicyTested),
}

/// Publishes an answer, with `reply` as where it can be answered in turn. Nobody waits for one that the bus does not
/// take; one that is too large for the bus is told as an error.
pub(crate) async fn send_answer(
    bus: &dyn Bus,
    to: String,
    format: Format,
    answer: Result<Vec<u8>, &ErrorReply>,
    reply: Option<String>,
) {
    let sent = match answer {
        Ok(payload) => {
            let headers = Headers::new().with(header::CONTENT_TYPE, format.content_type());
            bus.publish(Outgoing { subject: to.clone(), reply, headers, payload: payload.into() }).await
        }
        Err(reply) => send_error(bus, to.clone(), format, reply).await,
    };
    let sent = match sent {
        Err(BusError::TooLarge { bytes, bytes_max, .. }) => {
            let told = format!("the answer has {bytes} bytes, and the bus carries {bytes_max}: ask for less at a time");
            send_error(bus, to, format, &error(ErrorCode::TooLarge, told)).await
        }
        sent => sent,
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "the answer to a request was not sent");
    }
}

async fn send_error(bus: &dyn Bus, to: String, format: Format, reply: &ErrorReply) -> Result<(), BusError> {
    // A header has neither line breaks nor whitespace around it, and not every client reads more than ASCII.
    let ascii: String = reply.message.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
    let told = watchpost_model::shorten(ascii.trim(), SERVICE_ERROR_CHARS_MAX).replace('…', "...");
    let headers = Headers::new()
        .with(header::CONTENT_TYPE, format.content_type())
        .with(header::ERROR, reply.code.to_string())
        .with(SERVICE_ERROR, told.trim())
        .with(SERVICE_ERROR_CODE, service_code(reply.code).to_string());
    bus.publish(Outgoing::new(to, encode(reply, format)).headers(headers)).await
}

/// What comes nearest among the status codes of HTTP, as services of NATS have them.
fn service_code(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::BadPayload | ErrorCode::UnknownVersion => 400,
        ErrorCode::NotAllowed | ErrorCode::ReadOnly => 403,
        ErrorCode::UnknownCheck | ErrorCode::UnknownVerb => 404,
        ErrorCode::Conflict => 409,
        ErrorCode::TooLarge => 413,
        ErrorCode::Refused => 422,
        ErrorCode::TooOften => 429,
        ErrorCode::Unavailable => 503,
    }
}
