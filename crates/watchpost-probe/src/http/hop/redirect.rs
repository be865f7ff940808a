//! From one hop to the next: what a redirect asks for, and what goes along.

use http::header::{
    ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, USER_AGENT,
};
use http::{Method, StatusCode};
use watchpost_model::shorten;

use super::Hop;
use crate::secret::{is_secret_header, reference_without_userinfo};

/// The longest destination of a redirect that is followed.
const LOCATION_BYTES_MAX: usize = 4096;

impl Hop {
    /// The request that a redirect asks for.
    ///
    /// # Errors
    /// Why it cannot be followed, as the end of a sentence about the redirect.
    pub(crate) fn follow(&self, status: StatusCode, location: Option<&HeaderValue>) -> Result<Self, String> {
        let location = location.ok_or("has no Location header")?;
        if location.len() > LOCATION_BYTES_MAX {
            return Err(format!("has a Location of {} bytes, more than {LOCATION_BYTES_MAX}", location.len()));
        }
        let text = std::str::from_utf8(location.as_bytes()).map_err(|_| "has a Location that is not text")?;
        let shown = || shorten(&self.secrets.hide_in(reference_without_userinfo(text)), 120).into_owned();
        let mut url = self.url.join(text).map_err(|e| format!("leads to `{}`, which is not a URL ({e})", shown()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("leads to `{}`, which is not an http or https URL", shown()));
        }
        url.set_fragment(None);
        // Credentials in a Location are the server's idea; they are neither sent nor shown. Only a
        // URL without a host refuses this, which was excluded above.
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        debug_assert!(cleared.is_ok(), "{url}");

        let mut next = Self { url, is_redirected: true, ..self.clone() };
        if becomes_get(&self.method, status) {
            next.method = Method::GET;
            next.body = None;
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
                next.headers.remove(name);
            }
        }
        let same_place = self.same_place(&next);
        if !same_place || self.url.scheme() != next.url.scheme() {
            next.headers = next.for_anybody();
            next.own_cookies = None;
        }
        if !same_place {
            next.own_host = false;
        }
        next.set_host()?;
        Ok(next)
    }

    /// Whether `other` goes to the same host and port.
    fn same_place(&self, other: &Self) -> bool {
        self.url.host() == other.url.host() && self.port() == other.port()
    }

    /// The headers that another origin may see. It must not learn what was meant for this one, and
    /// a name does not always tell that its value is a secret: only what is known to be harmless goes.
    fn for_anybody(&self) -> HeaderMap {
        let harmless = |(name, _): &(&HeaderName, &HeaderValue)| is_for_anybody(name);
        self.headers.iter().filter(harmless).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Whether a header says only what kind of answer is wanted, what a body is, or who asks.
fn is_for_anybody(name: &HeaderName) -> bool {
    [ACCEPT, USER_AGENT, CONTENT_TYPE, CONTENT_LANGUAGE, CONTENT_ENCODING, CONNECTION, HOST].contains(name)
        || (name.as_str().starts_with("accept-") && !is_secret_header(name.as_str()))
}

/// Whether an answer is a redirect that can be followed.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// As browsers do it (Fetch standard, "HTTP-redirect fetch"): 303 turns everything but GET and HEAD
/// into GET, 301 and 302 only POST.
fn becomes_get(method: &Method, status: StatusCode) -> bool {
    match status {
        StatusCode::SEE_OTHER => *method != Method::GET && *method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::super::tests::{hop, to};
    use super::*;

    #[test]
    fn methods_and_bodies_change_as_in_browsers() {
        for (method, status, becomes) in [
            ("POST", 301, "GET"),
            ("POST", 302, "GET"),
            ("POST", 303, "GET"),
            ("POST", 307, "POST"),
            ("POST", 308, "POST"),
            ("PUT", 302, "PUT"),
            ("PUT", 303, "GET"),
            ("HEAD", 303, "HEAD"),
        ] {
            let from = hop(&format!(r#"{{"url": "http://a/", "method": "{method}", "body": "x"}}"#));
            let next = to(&from, status, "/b").unwrap();
            assert_eq!(next.method.as_str(), becomes, "{method} {status}");
            assert_eq!(next.body.is_some(), becomes == method, "{method} {status}");
        }
    }

    #[test]
    fn another_origin_gets_no_secrets_and_another_host_its_own_name() {
        let from =
            hop(r#"{"url": "https://a.example/", "headers": {"Authorization": "x", "Cookie": "x", "X-Api-Key": "x",
                "X-Plain": "x", "Accept": "y", "Accept-Token": "x", "User-Agent": "y", "Host": "c.example"}}"#);
        let names = |hop: &Hop| {
            let mut names: Vec<_> = hop.headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names.join(" ")
        };
        let same = to(&from, 302, "/login").unwrap();
        assert_eq!(
            names(&same),
            "accept accept-encoding accept-token authorization connection cookie host user-agent x-api-key x-plain"
        );
        assert_eq!(same.headers[HOST], "c.example");
        let other = to(&from, 302, "https://b.example:8443/").unwrap();
        assert_eq!(names(&other), "accept accept-encoding connection host user-agent");
        assert_eq!(other.headers[HOST], "b.example:8443");
        let downgraded = to(&from, 302, "http://a.example:443/").unwrap();
        assert_eq!(names(&downgraded), "accept accept-encoding connection host user-agent");
        let back = to(&other, 302, "https://a.example/").unwrap();
        assert_eq!(names(&back), "accept accept-encoding connection host user-agent");
    }

    #[test]
    fn who_is_logging_in_is_told_to_the_origin_only() {
        for (auth, told) in [
            (r#"{"basic": {"username": "Aladdin", "password": "open sesame"}}"#, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            (r#"{"basic": {"username": "test", "password": "123£"}}"#, "Basic dGVzdDoxMjPCow=="),
            (r#"{"bearer": "mF_9.B5f-4.1JqM"}"#, "Bearer mF_9.B5f-4.1JqM"),
        ] {
            let from = hop(&format!(r#"{{"url": "http://a.example/x", "auth": {auth}}}"#));
            assert_eq!(from.headers[AUTHORIZATION], told);
            assert_eq!(to(&from, 302, "/y").unwrap().headers[AUTHORIZATION], told);
            assert!(!to(&from, 302, "https://a.example/y").unwrap().headers.contains_key(AUTHORIZATION));
            let (_, credentials) = told.split_once(' ').unwrap();
            let shown = from.secrets.hide_in(format!("{told} and {credentials}"));
            assert_eq!(shown, "[redacted] and [redacted]");
        }
    }

    #[test]
    fn a_redirect_that_leads_nowhere_says_why() {
        let from = hop(r#"{"url": "http://a.example/x"}"#);
        for (location, told) in [
            ("http://", "not a URL"),
            ("ftp://a/", "not an http or https URL"),
            ("javascript:alert(1)", "not an http or https URL"),
            ("ftp://hunter2@a/", "`ftp://a/`"),
            ("http://u:hunter2@a:99999/", "`http://a:99999/`"),
            ("http://a:99999/", "not a URL"),
            (&"x".repeat(5000), "5000 bytes"),
        ] {
            let error = to(&from, 302, location).unwrap_err();
            assert!(error.contains(told) && !error.contains("hunter2"), "{location}: {error}");
        }
        assert!(from.follow(StatusCode::FOUND, None).is_err());
    }

    #[test]
    fn credentials_in_a_location_are_neither_sent_nor_shown() {
        let from = hop(r#"{"url": "http://a.example/x"}"#);
        assert_eq!(to(&from, 302, "//user:hunter2@b/y#z").unwrap().shown_url(), "http://b/y");
    }
}
