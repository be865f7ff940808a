//! What an `http` check requests: the URL, the method, the values of headers.

use crate::target::HostPort;
use crate::text::text_type;

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
pub(super) fn without_userinfo(text: &str) -> String {
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

    /// The URL in its parts; of a template, with samples in its places.
    pub fn parts(&self) -> url::Url {
        let text = crate::template::sampled("HttpUrl", self.as_str(), |text| parse(text).is_ok());
        // Invariant: `parse` accepted this very text when the value was made.
        #[expect(clippy::expect_used, reason = "valid by construction")]
        parse(&text).expect("a HttpUrl holds a valid URL")
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

    pub(super) fn is_default(&self) -> bool {
        self.as_str() == "GET"
    }
}

text_type!(
    zeroized
    /// The value of a header that is sent: visible ASCII, spaces and tabs.
    HeaderValue,
    "a header value",
    8192,
    |text| match http::HeaderValue::from_str(text) {
        Ok(_) if text.is_ascii() => Ok(()),
        _ => Err("a header value holds a character that is not allowed there: expected visible ASCII".into()),
    }
);

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
