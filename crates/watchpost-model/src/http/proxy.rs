//! Proxies that `http` checks go through.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::url::without_userinfo;
use crate::target::HostPort;
use crate::text::text_type;

/// What SOCKS has room for in a username or a password, in bytes (RFC 1929).
const SOCKS_LOGIN_BYTES_MAX: usize = 255;

text_type!(zeroized ProxyText, "the proxy", 2048, |text| parse(text).map(drop));

/// The URL of a proxy: `http://`, `socks5://` or `socks5h://`, then optionally `user:password@`, then host
/// and port. Whoever displays it sees no password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct ProxyUrl(ProxyText);

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// By HTTP: requests for `http` go to it whole, for `https` it is asked for a tunnel.
    Http,
    /// By SOCKS 5. The check resolves names.
    Socks5,
    /// By SOCKS 5. The proxy resolves names.
    Socks5h,
}

/// A proxy, in its parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// Where it is.
    pub address: HostPort,
    /// The username and the password that it wants.
    pub login: Option<(String, String)>,
}

impl ProxyUrl {
    /// The proxy in its parts.
    pub fn parts(&self) -> Proxy {
        // Invariant: `parse` accepted this very text when the value was made.
        #[expect(clippy::expect_used, reason = "valid by construction")]
        parse(self.0.as_str()).expect("a ProxyUrl holds a valid URL")
    }
}

impl std::str::FromStr for ProxyUrl {
    type Err = crate::Invalid;

    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", without_userinfo(self.0.as_str()))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?} {})", self.kind, self.address)
    }
}

fn parse(text: &str) -> Result<Proxy, String> {
    let shown = || crate::shorten(&without_userinfo(text), 120).into_owned();
    let parsed = url::Url::parse(text)
        .map_err(|e| format!("`{}` is not a proxy ({e}): expected for example `http://proxy.example:3128`", shown()))?;
    let (kind, port) = match parsed.scheme() {
        "http" => (ProxyKind::Http, 80),
        "socks5" => (ProxyKind::Socks5, 1080),
        "socks5h" => (ProxyKind::Socks5h, 1080),
        other => {
            return Err(format!(
                "the proxy `{}` has the scheme `{}`: expected `http`, `socks5` or `socks5h`",
                shown(),
                crate::shorten(other, 16)
            ));
        }
    };
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(format!("the proxy `{}` goes on behind its port: expected nothing there", shown()));
    }
    let host = parsed.host_str().unwrap_or_default();
    let address = format!("{host}:{}", parsed.port().unwrap_or(port))
        .parse()
        .map_err(|e| format!("the proxy `{}` has no usable address: {e}", shown()))?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
    let login = match (decoded(parsed.username()), decoded(parsed.password().unwrap_or_default())) {
        (Ok(user), Ok(password)) if user.is_empty() && password.is_empty() => None,
        (Ok(user), Ok(password)) => Some((user, password)),
        _ => return Err(format!("the user or password of the proxy `{}` is not UTF-8", shown())),
    };
    if let Some((user, password)) = &login {
        let is_bad = |text: &str| text.contains(char::is_control) || text.len() > SOCKS_LOGIN_BYTES_MAX;
        if user.is_empty() || user.contains(':') || is_bad(user) || is_bad(password) {
            return Err(format!(
                "the user or password of the proxy `{}` cannot be sent: expected 1 to {SOCKS_LOGIN_BYTES_MAX} bytes \
                 without control characters, and no colon in the user",
                shown()
            ));
        }
    }
    Ok(Proxy { kind, address, login })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_has_a_scheme_and_an_address_and_perhaps_a_login() {
        for (text, kind, address, login) in [
            ("http://proxy.example:3128", ProxyKind::Http, "proxy.example:3128", None),
            ("http://proxy.example/", ProxyKind::Http, "proxy.example:80", None),
            ("socks5://10.0.0.1", ProxyKind::Socks5, "10.0.0.1:1080", None),
            ("socks5h://[::1]:9050", ProxyKind::Socks5h, "[::1]:9050", None),
            ("socks5://u:p%40ss@a:1", ProxyKind::Socks5, "a:1", Some(("u", "p@ss"))),
            ("http://u@a:1", ProxyKind::Http, "a:1", Some(("u", ""))),
        ] {
            let proxy = text.parse::<ProxyUrl>().unwrap().parts();
            assert_eq!((proxy.kind, proxy.address.to_string().as_str()), (kind, address), "{text}");
            let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
            assert_eq!(proxy.login, login, "{text}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_told_and_shows_no_password() {
        for text in [
            "proxy.example:3128",
            "https://u:hunter2@a:1",
            "socks4://u:hunter2@a:1",
            "http://u:hunter2@a:99999",
            "http://u:hunter2@a:1/path",
            "http://u:hunter2@a:1/?query",
            "http://u%3Ax:hunter2@a:1",
            "http://:hunter2@a:1",
            "http://u:hunter2%0a@a:1",
            "http://u:hunter2%ff@a:1",
            "socks5://u:hunter2@",
            "socks5:a",
            "",
        ] {
            let told = text.parse::<ProxyUrl>().unwrap_err().to_string();
            assert!(told.contains("prox") && !told.contains("hunter2"), "{text}: {told}");
        }
        let proxy: ProxyUrl = "http://u:hunter2@a:1".parse().unwrap();
        assert!(!format!("{proxy:?} {:?}", proxy.parts()).contains("hunter2"));
    }
}
