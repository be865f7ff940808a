//! Writing down what was asked of this process, by whom, and what came of it.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use watchpost_audit::{AuditEvent, AuditLog, Requester};
use watchpost_bus::{Message, is_of_another_account};
use watchpost_model::{CheckId, ErrorReply, Message as ModelMessage, RequestId, decode, header};

use super::answer::format_of;

/// Writes down that `verb` was asked for by `message`, and how it was answered.
pub(crate) fn write_down(audit: &AuditLog, verb: &str, message: &Message, refused: Option<&ErrorReply>) {
    if !audit.is_on() {
        return;
    }
    // What cannot be read was answered with an error that says so; whose it was is known all the same.
    let (request, check) = decode::<About>(&message.payload, format_of(message)).unwrap_or_default().told();
    audit.record(AuditEvent::ControlRequest {
        verb: verb.to_owned(),
        from: requester(message),
        request: request.map(|request| request.as_str().to_owned()),
        check,
        answer: refused.map_or_else(|| "done".to_owned(), |reply| reply.code.to_string()),
    });
}

/// Who sent a message, as far as it says.
pub(crate) fn requester(message: &Message) -> Requester {
    let header = |name| message.headers.get(name).map(str::to_owned);
    Requester {
        reply: message.reply.clone(),
        claimed: header(header::SENDER),
        // Within an account whoever asks could write it himself.
        connection: header(header::NATS_REQUEST_INFO)
            .filter(|_| message.reply.as_deref().is_some_and(is_of_another_account)),
    }
}

/// What requests have in common, whatever else they hold.
#[derive(Default, Serialize, Deserialize)]
struct About {
    #[serde(default)]
    request: Option<Said<RequestId>>,
    #[serde(default)]
    check: Option<Said<Named>>,
    #[serde(default)]
    document: Option<Said<Named>>,
}

/// What a field should hold, or anything else: a field that the request does not know could otherwise hide the rest.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Said<T> {
    This(T),
    #[serde(skip_serializing)]
    Other(IgnoredAny),
}

/// A check, by its id or as a whole.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Named {
    Id(CheckId),
    Document { id: CheckId },
}

impl About {
    fn told(self) -> (Option<RequestId>, Option<CheckId>) {
        let Self { request, check, document } = self;
        let check = check.and_then(Said::this).or_else(|| document.and_then(Said::this));
        (request.and_then(Said::this), check.map(Named::id))
    }
}

impl<T> Said<T> {
    fn this(self) -> Option<T> {
        match self {
            Self::This(this) => Some(this),
            Self::Other(_) => None,
        }
    }
}

impl Named {
    fn id(self) -> CheckId {
        match self {
            Self::Id(id) | Self::Document { id } => id,
        }
    }
}

impl ModelMessage for About {
    const NAME: &'static str = "request";
    const BYTES_MAX: usize = watchpost_bus::PAYLOAD_BYTES_MAX;
}

#[cfg(test)]
mod tests {
    use watchpost_bus::Headers;

    use super::*;

    fn about(payload: &'static str) -> (Option<String>, Option<String>) {
        let read: About = decode(payload.as_bytes(), watchpost_model::Format::Json).unwrap_or_default();
        let (request, check) = read.told();
        (request.map(|request| request.as_str().to_owned()), check.map(|check| check.to_string()))
    }

    #[test]
    fn a_request_says_which_check_it_is_about_in_one_of_three_ways() {
        let known = |request: Option<&str>, check: Option<&str>| (request.map(String::from), check.map(String::from));
        for (payload, expected) in [
            (r#"{"v": 1, "check": "web"}"#, known(None, Some("web"))),
            (r#"{"v": 1, "request": "r1", "check": {"id": "web", "tcp": {}}}"#, known(Some("r1"), Some("web"))),
            (r#"{"v": 1, "document": {"id": "web"}, "limit_ms": 5}"#, known(None, Some("web"))),
            // What no request has hides nothing of what it has.
            (r#"{"v": 1, "request": "r1", "check": "web", "document": 5}"#, known(Some("r1"), Some("web"))),
            (r#"{"request": ["r1"], "check": "web", "document": {"id": 5}}"#, known(None, Some("web"))),
            (r#"{"check": {"a": 1}, "document": {"id": "web"}}"#, known(None, Some("web"))),
            (r#"{}"#, known(None, None)),
            (r#"{"check": {"id": "not an id"}}"#, known(None, None)),
            ("nonsense", known(None, None)),
        ] {
            assert_eq!(about(payload), expected, "{payload}");
        }
    }

    #[test]
    fn who_asked_is_taken_from_the_message() {
        let info = r#"{"acc":"COMPANY"}"#;
        // What the server says is believed where the server must have said it.
        for (reply, connection) in [
            (None, None),
            (Some("_INBOX.1"), None),
            (Some("_R_.x.y"), Some(info)),
            (Some("_GR_.a.b._R_.x"), Some(info)),
        ] {
            let headers = Headers::new().with(header::SENDER, "a@b").with(header::NATS_REQUEST_INFO, info);
            let message = Message {
                subject: "watchpost.b.control.check.list".to_owned(),
                reply: reply.map(str::to_owned),
                headers: headers.with("Other", "x"),
                payload: bytes::Bytes::new(),
                status: None,
            };
            let expected = Requester {
                reply: reply.map(str::to_owned),
                claimed: Some("a@b".to_owned()),
                connection: connection.map(str::to_owned),
            };
            assert_eq!(requester(&message), expected);
        }
    }
}
