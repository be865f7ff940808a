//! The opening handshake of a WebSocket (RFC 6455, section 4), over HTTP/1.1.

use data_encoding::BASE64;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use watchpost_model::{ReasonCode, WebsocketEvidence, WebsocketSettings, shorten};

use crate::broken::Broken;
use crate::secret::{Secrets, authorization, without_userinfo};
use crate::wire::Conversation;

/// What every server appends to the client's key (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The longest line of the answer's head, and the most lines.
const LINE_BYTES_MAX: usize = 8 * 1024;
const LINES_MAX: usize = 100;

/// A key that no server can know beforehand.
pub(super) fn key() -> String {
    let mut bytes = [0; 16];
    // Where the system gives no random bytes, nothing is lost but this: a cache might guess the answer.
    SystemRandom::new().fill(&mut bytes).ok();
    BASE64.encode(&bytes)
}

/// What a server answers to `key`.
fn accept(key: &str) -> String {
    BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()).as_ref())
}

/// The request for an upgrade, which carries `key`.
pub(super) fn request(settings: &WebsocketSettings, key: &str) -> String {
    let url = settings.url.parts();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mut request = format!(
        "GET {}{query} HTTP/1.1\r\nHost: {host}{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
        url.path()
    );
    let mut add = |name: &str, value: &str| request.push_str(&format!("{name}: {value}\r\n"));
    if !settings.subprotocols.is_empty() {
        let offered: Vec<_> = settings.subprotocols.iter().map(|name| name.as_str()).collect();
        add("Sec-WebSocket-Protocol", &offered.join(", "));
    }
    if let Some(authorization) = settings.auth.as_ref().map(authorization) {
        add("Authorization", &authorization);
    }
    if !settings.headers.keys().any(|name| name.as_str() == "user-agent") {
        add("User-Agent", concat!("watchpost/", env!("CARGO_PKG_VERSION")));
    }
    for (name, value) in &settings.headers {
        add(name.as_str(), value.as_str());
    }
    request.push_str("\r\n");
    request
}

/// The head of the server's answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads the head of an answer.
    ///
    /// # Errors
    /// When the connection fails, or what comes is no such head.
    pub(super) async fn read(talk: &mut Conversation) -> Result<Self, Broken> {
        let too_long =
            || Broken::garbage(format!("sent a line of more than {LINE_BYTES_MAX} bytes in its answer's head"));
        let line = talk.line(LINE_BYTES_MAX).await?.ok_or_else(too_long)?;
        let status = status(&line).ok_or_else(|| {
            let begin = String::from_utf8_lossy(line.get(..200).unwrap_or(&line)).into_owned();
            Broken::garbage(format!("does not speak HTTP: it said \"{}\"", shorten(&begin, 60)))
        })?;
        let mut headers = Vec::new();
        loop {
            let line = talk.line(LINE_BYTES_MAX).await?.ok_or_else(too_long)?;
            if line.is_empty() {
                return Ok(Self { status, headers });
            }
            if headers.len() == LINES_MAX {
                return Err(Broken::garbage(format!("sent more than {LINES_MAX} headers")));
            }
            let line = String::from_utf8_lossy(&line);
            let (name, value) = line.split_once(':').ok_or_else(|| {
                Broken::garbage(format!("sent the header `{}`, which has no colon", shorten(&line, 60)))
            })?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether one of the words that `name` lists is `word`.
    fn lists(&self, name: &str, word: &str) -> bool {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        values.any(|(_, value)| value.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(word)))
    }

    /// What the server agreed to.
    ///
    /// # Errors
    /// When it did not.
    pub(super) fn agreed(
        &self,
        settings: &WebsocketSettings,
        key: &str,
        secrets: &Secrets,
    ) -> Result<WebsocketEvidence, Broken> {
        self.is_switching(secrets)?;
        for (name, word) in [("upgrade", "websocket"), ("connection", "upgrade")] {
            if !self.lists(name, word) {
                let given =
                    self.get(name).map_or_else(|| "none".to_owned(), |value| format!("`{}`", shorten(value, 60)));
                return Err(Broken::garbage(format!(
                    "answered 101 without `{name}: {word}`, and so not with a WebSocket: there is {given}"
                )));
            }
        }
        match self.get("sec-websocket-accept") {
            Some(answer) if answer == accept(key) => {}
            Some(_) => {
                return Err(Broken::garbage(
                    "answered 101 with a `Sec-WebSocket-Accept` that is not for the check's key",
                ));
            }
            None => return Err(Broken::garbage("answered 101 without `Sec-WebSocket-Accept`")),
        }
        if let Some(extensions) = self.get("sec-websocket-extensions") {
            let extensions = shorten(extensions, 60);
            return Err(Broken::garbage(format!("uses the extension `{extensions}`, which the check did not offer")));
        }
        let subprotocol = self.get("sec-websocket-protocol").map(|name| shorten(name, 128).into_owned());
        let is_offered = |name: &str| settings.subprotocols.iter().any(|offered| offered.as_str() == name);
        match &subprotocol {
            Some(name) if !is_offered(name) => {
                return Err(Broken::garbage(format!("chose the subprotocol `{name}`, which the check did not offer")));
            }
            None if !settings.subprotocols.is_empty() => {
                let what = "chose none of the subprotocols that the check offers";
                return Err(Broken::Refused(ReasonCode::UpgradeRefused, what.to_owned()));
            }
            _ => {}
        }
        Ok(WebsocketEvidence { status: self.status, subprotocol, ..WebsocketEvidence::default() })
    }

    fn is_switching(&self, secrets: &Secrets) -> Result<(), Broken> {
        let status = self.status;
        let refused = |code, what| Err(Broken::Refused(code, what));
        match status {
            101 => Ok(()),
            401 | 403 | 407 => refused(
                ReasonCode::AuthFailed,
                format!("does not let the check in: it answered with the status {status}"),
            ),
            300..=399 => {
                let to = self.get("location").map_or_else(String::new, |location| {
                    let location = without_userinfo("location", location.to_owned());
                    format!(" to {}", shorten(&secrets.hide_in(location), 200))
                });
                let what = format!("redirects the check with the status {status}{to}: WebSockets are not redirected");
                refused(ReasonCode::UpgradeRefused, what)
            }
            _ => {
                let what = format!("answered the handshake with the status {status}, expected 101");
                refused(ReasonCode::UpgradeRefused, what)
            }
        }
    }
}

/// The status code in `line`, if it is the first one of an HTTP answer.
fn status(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.get(..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    matches!(rest.as_bytes().get(3), None | Some(b' ')).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn a_key_has_its_answer() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_ne!(key(), key());
    }

    #[test]
    fn the_first_line_has_a_status() {
        for (line, read) in [
            ("HTTP/1.1 101 Switching Protocols", Some(101)),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.0 404 Not Found", Some(404)),
            ("HTTP/1.1 1010 No", None),
            ("HTTP/1.1 +10 No", None),
            ("HTTP/2 200", None),
            ("SSH-2.0-OpenSSH_9.2", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()), read, "{line}");
        }
    }

    #[test]
    fn a_request_says_what_the_check_says() {
        let settings = r#"{"url": "ws://a.example:8080/feed?x=1", "auth": {"basic": {"username": "ann", "password": "hunter2"}},
            "subprotocols": ["v2", "v1"], "headers": {"X-A": "b"}}"#;
        let request = request(&serde_json::from_str(settings).unwrap(), "KEY");
        for line in [
            "GET /feed?x=1 HTTP/1.1\r\nHost: a.example:8080\r\n",
            "\r\nSec-WebSocket-Key: KEY\r\n",
            "\r\nSec-WebSocket-Protocol: v2, v1\r\n",
            "\r\nAuthorization: Basic YW5uOmh1bnRlcjI=\r\n",
            "\r\nx-a: b\r\n\r\n",
        ] {
            assert!(request.contains(line), "{request}");
        }
    }
}
