//! A question over HTTPS (RFC 8484), by the same connections and TLS as `http` checks.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use watchpost_model::{DnsSettings, DohMethod, HostPort, HttpSettings, HttpUrl, Reason, ReasonCode, shorten};

use super::message::{MESSAGE_BYTES_MAX, Question};
use crate::Verdict;
use crate::http::exchange::Response;
use crate::http::failure;
use crate::http::hop::Hop;
use crate::recorder::{Recorder, Stage};

/// What questions and answers are called.
const DNS_MESSAGE: &str = "application/dns-message";

/// The settings of the request that carries `question` to `server`, and its body.
///
/// # Errors
/// What in them cannot be sent. The model validates them, so this would be a defect.
pub(super) fn request(settings: &DnsSettings, server: &HostPort, question: &Question) -> Result<Hop, String> {
    let is_get = settings.https.method == DohMethod::Get;
    let host = if server.host().contains(':') { format!("[{}]", server.host()) } else { server.host().to_owned() };
    let mut url = format!("https://{host}:{}{}", server.port(), settings.https.path);
    if is_get {
        url.push_str("?dns=");
        url.push_str(&data_encoding::BASE64URL_NOPAD.encode(question.bytes()));
    }
    let mut request = HttpSettings::get(url.parse::<HttpUrl>().map_err(|e| e.to_string())?);
    let mut headers = vec![("accept", DNS_MESSAGE), ("accept-encoding", "identity")];
    if !is_get {
        request.method = "POST".parse().map_err(|e| format!("{e}"))?;
        headers.push(("content-type", DNS_MESSAGE));
    }
    for (name, value) in headers {
        let name = name.parse().map_err(|e| format!("{e}"))?;
        request.headers.insert(name, value.parse().map_err(|e| format!("{e}"))?);
    }
    Hop::first(&request, (!is_get).then(|| Bytes::copy_from_slice(question.bytes())))
}

/// Reads the message that is the body of `response`.
///
/// # Errors
/// The verdict on an answer of HTTP that holds none.
pub(super) async fn message(
    response: &mut Response,
    hop: &Hop,
    whom: &str,
    recorder: &Recorder,
) -> Result<Vec<u8>, Verdict> {
    recorder.enter(Stage::Receive);
    let status = response.head.status.as_u16();
    if status != 200 {
        let message = format!("{whom} answers status {status} to the question, and no DNS message");
        return Err(Verdict::error(Reason::new(ReasonCode::HttpStatus, message)));
    }
    let content_type = response.head.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if !content_type.as_deref().is_some_and(is_dns_message) {
        let told = match content_type {
            Some(content_type) => format!("is `{}`", shorten(&content_type, 80)),
            None => "does not say what it is".to_owned(),
        };
        let message = format!("the answer of {whom} {told}, expected `{DNS_MESSAGE}`");
        return Err(Verdict::error(Reason::new(ReasonCode::ProtocolError, message)));
    }
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|broken| failure::of_request(&broken, hop, recorder))?;
        let Some(chunk) = chunk else { return Ok(body) };
        body.extend_from_slice(&chunk);
        recorder.received(body.len() as u64);
        if body.len() > MESSAGE_BYTES_MAX {
            let message =
                format!("the answer of {whom} has more than {MESSAGE_BYTES_MAX} bytes, as no DNS message has");
            return Err(Verdict::error(Reason::new(ReasonCode::ProtocolError, message)));
        }
    }
}

/// Whether a media type, with or without parameters, is that of DNS messages.
fn is_dns_message(content_type: &str) -> bool {
    let bare = content_type.split(';').next().unwrap_or_default();
    bare.trim().eq_ignore_ascii_case(DNS_MESSAGE)
}
