//! Settings of the `http` check type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, RecordType, Type};

use crate::HeaderName;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;
use crate::variables::TEXTS;

/// The most redirects that a check may follow.
pub const REDIRECTS_MAX: u8 = 10;
/// The largest body that a check sends, in bytes.
pub const BODY_SENT_BYTES_MAX: usize = 64 * 1024;
/// The most headers that a check sends.
const HEADERS_MAX: usize = 64;

text_type!(
    /// An absolute `http` or `https` URL with a host.
    HttpUrl,
    "the url",
    4096,
    |text| parse(text).map(|_| ())
);

fn parse(text: &str) -> Result<url::Url, String> {
    let shown = || crate::shorten(&without_userinfo(text), 120).into_owned();
    // The parser would drop these without a word, and what is shown would not be what is requested.
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(format!("`{}` holds white space or control characters: expected them percent-encoded", shown()));
    }
    let parsed = url::Url::parse(text)
        .map_err(|e| format!("`{}` is not a URL ({e}): expected for example `https://example.com/health`", shown()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(format!("`{}` has the scheme `{}`: expected `http` or `https`", shown(), parsed.scheme()));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(format!("`{}` carries a user or password: send an `Authorization` header instead", shown()));
    }
    if parsed.port() == Some(0) {
        return Err(format!("`{}` has port 0: expected 1 to 65535", shown()));
    }
    Ok(parsed)
}

/// Works on texts that are no URLs as well: errors quote them.
fn without_userinfo(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{path}")
}

impl HttpUrl {
    /// Whether it asks for TLS.
    pub fn is_https(&self) -> bool {
        self.parts().scheme() == "https"
    }

    /// The URL in its parts.
    pub fn parts(&self) -> url::Url {
        // Invariant: `parse` accepted this very text when the value was made.
        #[expect(clippy::expect_used, reason = "valid by construction")]
        parse(self.as_str()).expect("a HttpUrl holds a valid URL")
    }

    /// The host and port that the URL points at, the scheme's default port where it names none.
    pub fn host_port(&self) -> HostPort {
        let parts = self.parts();
        let host = parts.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        HostPort::trusted(host, parts.port_or_known_default().unwrap_or(80))
    }
}

text_type!(
    /// A request method, for example `GET`: an HTTP token of at most 16 upper-case letters.
    HttpMethod,
    "the method",
    16,
    |text| {
        let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if !good {
            return Err(format!("`{}` is not a method: expected for example `GET`", crate::shorten(text, 16)));
        }
        if text == "CONNECT" {
            return Err("the method CONNECT opens a tunnel: expected a method that asks for a response".into());
        }
        Ok(())
    }
);

impl Default for HttpMethod {
    fn default() -> Self {
        Self::from_static("GET")
    }
}

impl HttpMethod {
    fn from_static(text: &'static str) -> Self {
        #[expect(clippy::expect_used, reason = "called with literals that the tests read")]
        text.parse().expect("a literal method is valid")
    }

    fn is_default(&self) -> bool {
        self.as_str() == "GET"
    }
}

text_type!(
    /// The value of a header that is sent: visible ASCII, spaces and tabs.
    HeaderValue,
    "a header value",
    8192,
    |text| match http::HeaderValue::from_str(text) {
        Ok(_) if text.is_ascii() => Ok(()),
        _ => Err("a header value holds a character that is not allowed there: expected visible ASCII".into()),
    }
);

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
            max_redirects: 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_must_be_http_with_a_host_and_without_credentials() {
        for good in ["http://a", "https://a.example:8443/x?y=1#z", "http://[::1]:80/"] {
            assert!(good.parse::<HttpUrl>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a:99999",
            "http://u:p@a/",
            "http://a b/",
            "http://[::1",
            "http://a:0/",
            " http://a",
            "http://a/\n",
        ] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
        for secret in ["http://user:hunter2@a/", "http://user:hunter2@a:99999/", "ftp://u:hunter2@h", "u:hunter2@h"] {
            let told = secret.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn host_and_port_come_from_the_url_or_its_scheme() {
        let host_port = |url: &str| url.parse::<HttpUrl>().unwrap().host_port().to_string();
        assert_eq!(host_port("http://a/"), "a:80");
        assert_eq!(host_port("https://a/"), "a:443");
        assert_eq!(host_port("http://[::1]:81/"), "[::1]:81");
    }

    #[test]
    fn literal_methods_are_valid() {
        assert_eq!(HttpMethod::default().as_str(), "GET");
        assert!("CONNECT".parse::<HttpMethod>().is_err());
        assert!("G T".parse::<HttpMethod>().is_err());
    }
}
