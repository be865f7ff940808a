//! Settings of the `websocket` check type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::HeaderName;

use crate::expect::Pattern;
use crate::http::{HeaderValue, HttpAuth};
use crate::network::{RouteSettings, TlsSettings};
use crate::payload::Payload;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;

/// The most headers that a check sends.
const HEADERS_MAX: usize = 64;
/// The most subprotocols that a check offers.
const SUBPROTOCOLS_MAX: usize = 16;

text_type!(
    /// An absolute `ws` or `wss` URL with a host.
    WebsocketUrl,
    "the url",
    4096,
    |text| parse(text).map(|_| ())
);

text_type!(
    /// The name of a subprotocol, for example `graphql-ws`: a token of HTTP.
    Subprotocol,
    "a subprotocol",
    128,
    |text| match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{}` is not a subprotocol: expected for example `graphql-ws`", crate::shorten(text, 60))),
    }
);

fn parse(text: &str) -> Result<url::Url, String> {
    // What stands before an `@` may be a password.
    let shown = || {
        let (before, after) = text.rsplit_once('@').unwrap_or(("", text));
        let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
        let separator = if scheme.is_empty() { "" } else { "://" };
        crate::shorten(&format!("{scheme}{separator}{after}"), 120).into_owned()
    };
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(format!("`{}` holds white space or control characters: expected them percent-encoded", shown()));
    }
    let parsed = url::Url::parse(text)
        .map_err(|e| format!("`{}` is not a URL ({e}): expected for example `wss://example.com/feed`", shown()))?;
    if !matches!(parsed.scheme(), "ws" | "wss") {
        return Err(format!("`{}` has the scheme `{}`: expected `ws` or `wss`", shown(), parsed.scheme()));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(format!("`{}` carries a user or password: expected them under `auth`", shown()));
    }
    if parsed.port() == Some(0) {
        return Err(format!("`{}` has port 0: expected 1 to 65535", shown()));
    }
    Ok(parsed)
}

impl WebsocketUrl {
    /// Whether it asks for TLS.
    pub fn is_wss(&self) -> bool {
        self.parts().scheme() == "wss"
    }

    /// The URL in its parts.
    pub fn parts(&self) -> url::Url {
        let text = crate::template::sampled("WebsocketUrl", self.as_str(), |text| parse(text).is_ok());
        // Invariant: `parse` accepted this very text when the value was made.
        #[expect(clippy::expect_used, reason = "valid by construction")]
        parse(&text).expect("a WebsocketUrl holds a valid URL")
    }

    /// The host and port that the URL points at, the scheme's default port where it names none.
    pub fn host_port(&self) -> HostPort {
        let parts = self.parts();
        let host = parts.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        HostPort::trusted(host, parts.port_or_known_default().unwrap_or(80))
    }
}

/// What a `websocket` check does: the opening handshake, then optionally a ping, and a message to send and one
/// to wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebsocketSettings {
    /// Where to connect: `ws://HOST[:PORT]/PATH`, or `wss://` with TLS.
    pub url: WebsocketUrl,
    /// Headers to send with the handshake, by name; at most 64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<HeaderName, HeaderValue>,
    /// Who logs in, `basic` or `bearer`; sent with the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// The subprotocols to offer, best first; at most 16. The server must choose one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subprotocols: Vec<Subprotocol>,
    /// A message to send once connected: a text, or bytes, which go out as a binary message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Payload>,
    /// Whether the server must answer a ping; `false` if left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ping: bool,
    /// A regular expression that one of the server's messages must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
    /// How TLS is spoken, where the URL asks for it.
    #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
    pub tls: TlsSettings,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl WebsocketSettings {
    /// Shakes hands with `url` and does no more.
    pub fn connect(url: WebsocketUrl) -> Self {
        Self {
            url,
            headers: BTreeMap::new(),
            auth: None,
            subprotocols: Vec::new(),
            send: None,
            ping: false,
            expect: None,
            tls: TlsSettings::default(),
            route: RouteSettings::default(),
        }
    }
}

/// What expressions may ask of an answer.
const VARIABLES: &[Field] = &[
    Field::new("status", Type::Int, "the status code of the handshake"),
    Field::new("subprotocol", Type::String, "the subprotocol that the server chose")
        .absent_because("the server chose no subprotocol"),
    Field::new("message", Type::String, "the message that matched `expect`, or else the last one")
        .absent_because("no message was waited for, or none came"),
    Field::new("messages", Type::Int, "how many messages came"),
];

impl TypeSettings for WebsocketSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.url.host_port())
    }

    fn target_name(&self) -> String {
        self.url.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        if self.headers.len() > HEADERS_MAX {
            return Err(format!(
                "`websocket.headers` has {} entries: expected at most {HEADERS_MAX}",
                self.headers.len()
            ));
        }
        let of_the_handshake = |name: &str| {
            name.starts_with("sec-websocket-")
                || matches!(name, "host" | "upgrade" | "connection" | "content-length" | "transfer-encoding")
        };
        if let Some(name) = self.headers.keys().find(|name| of_the_handshake(name.as_str())) {
            let name = name.as_str();
            return Err(format!("`websocket.headers` sets `{name}`, which the handshake itself decides: remove it"));
        }
        if self.subprotocols.len() > SUBPROTOCOLS_MAX {
            let given = self.subprotocols.len();
            return Err(format!("`websocket.subprotocols` has {given} entries: expected at most {SUBPROTOCOLS_MAX}"));
        }
        if self.auth.is_some() && self.headers.keys().any(|name| name.as_str() == "authorization") {
            return Err("`websocket.auth` and the header `authorization` say the same: expected one of them".into());
        }
        Ok(())
    }

    fn verifies_host(&self) -> bool {
        self.url.is_wss() && !self.tls.insecure && self.tls.server_name.is_none()
    }
}
