//! Settings of the `http` check type.

mod url;
mod version;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::url::{HeaderValue, HttpMethod, HttpUrl};
pub use self::version::HttpVersion;
use crate::HeaderName;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;

/// The most redirects that a check may follow.
pub const REDIRECTS_MAX: u8 = 10;
/// The largest body that a check sends, in bytes.
pub const BODY_SENT_BYTES_MAX: usize = 64 * 1024;
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
    /// The body to send, as text; at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "body")]
    pub body: Option<String>,
    /// The version of HTTP to speak: `1.1`, or `2`, which a server without TLS must know beforehand that it is to
    /// speak. Without it, both are offered over TLS and the server decides; without TLS it is 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<HttpVersion>,
    /// How many redirects to follow: 0 (the default) to 10.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "redirects")]
    #[schemars(range(max = 10))]
    pub max_redirects: u8,
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
            version: None,
            max_redirects: 0,
            tls: TlsSettings::default(),
            route: RouteSettings::default(),
        }
    }
}

impl TypeSettings for HttpSettings {
    const EXPECTS: &'static [&'static str] = &["status", "body_contains", "body_matches", "header"];

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
        Ok(())
    }

    fn verifies_host(&self) -> bool {
        self.url.is_https()
    }
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

fn body<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct OptionalBody;

    impl<'de> serde::de::Visitor<'de> for OptionalBody {
        type Value = Option<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the body as text")
        }

        fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            crate::text::deserialize(deserializer, "the body", BODY_SENT_BYTES_MAX).map(Some)
        }
    }

    deserializer.deserialize_option(OptionalBody)
}
