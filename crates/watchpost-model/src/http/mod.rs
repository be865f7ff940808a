//! Settings of the `http` check type.

mod auth;
mod proxy;
mod url;
mod version;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, RecordType, Type};

pub use self::auth::{BasicAuth, BasicUser, HttpAuth};
pub use self::proxy::{Proxy, ProxyKind, ProxyUrl};
pub use self::url::{HeaderValue, HttpMethod, HttpUrl};
pub use self::version::HttpVersion;
use crate::HeaderName;
use crate::network::{RouteSettings, TlsSettings};
use crate::payload::Payload;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::variables::TEXTS;

/// The most redirects that a check may follow.
pub const REDIRECTS_MAX: u8 = 10;
/// The most headers that a check sends.
const HEADERS_MAX: usize = 64;

/// What an `http` check asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// What to request. The host stays in `Host` and SNI whichever address is connected to.
    pub url: HttpUrl,
    /// The request method.
    #[serde(default, skip_serializing_if = "HttpMethod::is_default")]
    pub method: HttpMethod,
    /// Headers to send, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<HeaderName, HeaderValue>,
    /// The body to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Payload>,
    /// How the check shows who it is. It is sent to the origin of the URL only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// The version of HTTP to speak: `1.1`, or `2`, which a server without TLS must know beforehand that it is to
    /// speak. Without it, both are offered over TLS and the server decides; without TLS it is 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<HttpVersion>,
    /// Whether a body that comes packed (gzip, deflate, brotli or zstd) is asked for and unpacked. With `false` it is
    /// neither, and expectations see it as it comes.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub decompress: bool,
    /// How many redirects to follow: 0 (the default) to 10.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "redirects")]
    #[schemars(range(max = 10))]
    pub max_redirects: u8,
    /// The proxy to go through: `http://`, `socks5://` (the check resolves names) or `socks5h://` (the proxy does), with
    /// `user:password@` before its host if it wants them. Without it there is none, whatever the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyUrl>,
    /// How TLS is spoken, where the URL asks for it.
    #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
    pub tls: TlsSettings,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl HttpSettings {
    /// A GET of `url` that follows no redirect.
    pub fn get(url: HttpUrl) -> Self {
        Self {
            url,
            method: HttpMethod::default(),
            headers: BTreeMap::new(),
            body: None,
            auth: None,
            version: None,
            decompress: true,
            max_redirects: 0,
            proxy: None,
            tls: TlsSettings::default(),
            route: RouteSettings::default(),
        }
    }
}

static BODY: RecordType = RecordType {
    name: "record body",
    fields: &[
        Field::new("text", Type::String, "the body, unpacked, as far as it is read; what is no UTF-8 is replaced"),
        Field::new("json", Type::Dyn, "the body as JSON").absent_because("the body is not JSON"),
        Field::new("size", Type::Int, "how much of the body was read, in bytes"),
        Field::new("truncated", Type::Bool, "whether the body goes on beyond what is read"),
    ],
};

/// What expressions may ask of an HTTP answer.
const VARIABLES: &[Field] = &[
    Field::new("status", Type::Int, "the status code"),
    Field::new("version", Type::String, "the protocol version, for example `HTTP/1.1`"),
    Field::new(
        "headers",
        Type::Map(&Type::String),
        "the headers by name, whatever its case; several values joined by `, `",
    ),
    Field::new("body", Type::Record(&BODY), "the body"),
    Field::new("redirects", TEXTS, "where redirects led, in order"),
];

impl TypeSettings for HttpSettings {
    const EXPECTS: &'static [&'static str] =
        &["status", "body_contains", "body_matches", "header", "json_path", "cert_days"];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.url.host_port())
    }

    fn target_name(&self) -> String {
        self.url.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        if self.headers.len() > HEADERS_MAX {
            return Err(format!("`http.headers` has {} entries: expected at most {HEADERS_MAX}", self.headers.len()));
        }
        for reserved in ["content-length", "transfer-encoding", "connection"] {
            if self.headers.keys().any(|name| name.as_str() == reserved) {
                return Err(format!("`http.headers` sets `{reserved}`, which the request itself decides: remove it"));
            }
        }
        if let Some(auth) = &self.auth {
            if self.headers.keys().any(|name| name.as_str() == "authorization") {
                return Err("`http.headers` sets `authorization`, and so does `http.auth`: expected one of them".into());
            }
            auth.validate()?;
        }
        Ok(())
    }

    fn verifies_host(&self) -> bool {
        self.url.is_https()
    }
}

fn yes() -> bool {
    true
}

fn is_true(given: &bool) -> bool {
    *given
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

fn redirects<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let n = u64::deserialize(deserializer)?;
    match u8::try_from(n) {
        Ok(n) if n <= REDIRECTS_MAX => Ok(n),
        _ => Err(serde::de::Error::custom(format_args!(
            "max_redirects {n} is out of range: expected 0 to {REDIRECTS_MAX}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(json: &str) -> Result<(), String> {
        let settings: HttpSettings = serde_json::from_str(json).map_err(|e| e.to_string())?;
        settings.validate()
    }

    #[test]
    fn there_is_one_way_to_log_in() {
        for more in [r#""auth": {"basic": {"username": "u"}}"#, r#""auth": {"bearer": "abc.def"}"#] {
            validated(&format!(r#"{{"url": "http://a", {more}}}"#)).unwrap();
        }
        for (more, told) in [
            (r#""auth": {"bearer": "hunter2"}, "headers": {"Authorization": "x"}"#, "`authorization`"),
            (r#""auth": {"bearer": ""}"#, "the token is empty"),
            (r#""auth": {"bearer": "hunter2 hunter2"}"#, "expected visible ASCII"),
            (r#""auth": {"basic": {"username": "u", "password": "hunter2\n"}}"#, "control character"),
            (r#""auth": {"basic": {"username": "u:hunter2"}}"#, "colon"),
            (r#""auth": {"basic": {"username": ""}}"#, "the username is empty"),
        ] {
            let error = validated(&format!(r#"{{"url": "http://a", {more}}}"#)).unwrap_err();
            assert!(error.contains(told) && !error.contains("hunter2"), "{more}: {error}");
        }
    }

    #[test]
    fn no_debug_output_has_a_password() {
        let json = r#"{"url": "http://a", "auth": {"basic": {"username": "u", "password": "hunter2"}}}"#;
        let settings: HttpSettings = serde_json::from_str(json).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
    }
}
