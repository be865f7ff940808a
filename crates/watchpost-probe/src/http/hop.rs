//! One request of a check: the first, or one that a redirect leads to.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, RANGE, TE,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{Method, Request, StatusCode, Uri, Version};
use http_body_util::Full;
use url::{Host, Position, Url};
use watchpost_model::{HttpSettings, RouteSettings, shorten};

use super::cookies::Cookies;
use super::decode::ENCODINGS;
use crate::network::Destination;
use crate::redaction::Redaction;
use crate::secret::{Secrets, authorization, is_secret_header, reference_without_userinfo};

/// The longest destination of a redirect that is followed.
const LOCATION_BYTES_MAX: usize = 4096;
/// How much of a destination is reported, in characters.
const LOCATION_CHARS_SHOWN: usize = 1024;
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// How checks call themselves, unless their headers say otherwise.
const WATCHPOST: HeaderValue = HeaderValue::from_static(concat!("watchpost/", env!("CARGO_PKG_VERSION")));

/// A request, apart from the address that it goes to.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Option<Bytes>,
    /// Whether `Host` is the user's, who then means it for this host only.
    own_host: bool,
    /// The cookies that are the user's.
    own_cookies: Option<HeaderValue>,
    /// Whether it goes through a proxy.
    is_proxied: bool,
    /// What the check sends and no result shows.
    secrets: Secrets,
}

impl Hop {
    /// The request that the settings describe, with a body if there is one.
    ///
    /// # Errors
    /// What in them cannot be sent. The model validates them, so this would be a defect.
    pub(crate) fn first(settings: &HttpSettings, body: Option<Bytes>) -> Result<Self, String> {
        let mut url = settings.url.parts();
        url.set_fragment(None);
        let mut headers = HeaderMap::with_capacity(settings.headers.len() + 5);
        for (name, value) in &settings.headers {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).map_err(|e| e.to_string())?;
            headers.insert(name, HeaderValue::from_str(value.as_str()).map_err(|e| e.to_string())?);
        }
        if let Some(auth) = &settings.auth {
            let value = HeaderValue::try_from(authorization(auth)).map_err(|_| "`auth` cannot be sent".to_owned())?;
            headers.insert(AUTHORIZATION, value);
        }
        // The connection is not used again. Saying so lets the server close first, so that the
        // TIME_WAIT, which would use up local ports here, is on its side.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        // A part of a packed body cannot be unpacked.
        if settings.decompress && !headers.contains_key(ACCEPT_ENCODING) && !headers.contains_key(RANGE) {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
        }
        let method = Method::from_bytes(settings.method.as_str().as_bytes()).map_err(|e| e.to_string())?;
        let is_proxied = settings.proxy.is_some();
        let own_host = headers.contains_key(HOST);
        let own_cookies = headers.get(COOKIE).cloned();
        let mut hop =
            Self { url, method, headers, body, own_host, own_cookies, is_proxied, secrets: Secrets::of(settings) };
        hop.set_host()?;
        hop.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        hop.headers.entry(USER_AGENT).or_insert(WATCHPOST);
        Ok(hop)
    }

    /// The same request, of whose answer no result shows what `rules` hide, nor these `secrets`.
    pub(crate) fn hiding(mut self, rules: &Redaction, secrets: &Secrets) -> Self {
        if !rules.is_empty() {
            self.secrets = self.secrets.with_rules(rules);
        }
        self.secrets.join(secrets);
        self
    }

    /// The host by name, as sentences call it.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn is_proxied(&self) -> bool {
        self.is_proxied
    }

    /// Whether the host is a name, and not an address.
    pub(crate) fn has_name(&self) -> bool {
        matches!(self.url.host(), Some(Host::Domain(_)))
    }

    /// Whether it offers to go on in another protocol.
    pub(crate) fn asks_for_upgrade(&self) -> bool {
        self.headers.contains_key(UPGRADE)
    }

    /// The host without the brackets of an IPv6 address.
    pub(crate) fn host_plain(&self) -> &str {
        let host = self.host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Where it goes, and by which way.
    pub(crate) fn destination<'a>(&'a self, endpoint: Option<SocketAddr>, route: &'a RouteSettings) -> Destination<'a> {
        Destination { host: self.host_plain(), port: self.port(), endpoint, route }
    }

    /// Where this hop goes so that it stays with the instance that is checked at `endpoint`, if it
    /// goes to the host of `first` at all: another port of the same host is one of the same instance.
    pub(crate) fn at_instance(&self, first: &Url, mut endpoint: SocketAddr) -> Option<SocketAddr> {
        if self.url.host() != first.host() {
            return None;
        }
        if Some(self.port()) != first.port_or_known_default() {
            endpoint.set_port(self.port());
        }
        Some(endpoint)
    }

    /// Whether `other` goes to the same host and port.
    fn same_place(&self, other: &Self) -> bool {
        self.url.host() == other.url.host() && self.port() == other.port()
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// The URL as redirects report it.
    pub(crate) fn shown_url(&self) -> String {
        shorten(&self.secrets.hide_in(self.url.to_string()), LOCATION_CHARS_SHOWN).into_owned()
    }

    /// What the check sends and no result shows.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Has these hidden as well.
    pub(crate) fn hide(&mut self, secrets: &Secrets) {
        self.secrets.join(secrets);
    }

    /// What goes over a connection of HTTP/1.1 to the target itself.
    ///
    /// # Errors
    /// When the URL has something in it that no request line can have.
    pub(crate) fn http1_request(&self) -> Result<Request<Full<Bytes>>, http::Error> {
        let target = Uri::try_from(&self.url[Position::BeforePath..Position::AfterQuery])?;
        let mut request = Request::new(Full::new(self.body()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        *request.headers_mut() = self.headers.clone();
        // hyper says how long a body is that is not empty.
        if self.sends_nothing() {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(request)
    }

    /// What goes to a proxy by HTTP/1.1, which is told who asks by `login`.
    ///
    /// # Errors
    /// When the URL, or `login`, has something in it that no request can have.
    pub(crate) fn proxy_request(&self, login: Option<&str>) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = self.http1_request()?;
        *request.uri_mut() = Uri::try_from(&self.url[..Position::AfterQuery])?;
        if let Some(login) = login {
            request.headers_mut().insert(PROXY_AUTHORIZATION, HeaderValue::from_str(login)?);
        }
        Ok(request)
    }

    /// The head of what goes over a connection of HTTP/2.
    ///
    /// # Errors
    /// When the URL, or the `Host` in its place, has something in it that no request can have.
    pub(crate) fn http2_request(&self) -> Result<Request<()>, http::Error> {
        let path = &self.url[Position::BeforePath..Position::AfterQuery];
        let authority = self.headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        let target = Uri::builder().scheme(self.url.scheme()).authority(authority).path_and_query(path).build()?;
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        // They speak of the connection, for which HTTP/2 has other means (RFC 9113, section 8.2.2).
        for name in [HOST, CONNECTION, UPGRADE, TE, TRANSFER_ENCODING, KEEP_ALIVE, PROXY_CONNECTION] {
            headers.remove(name);
        }
        let bytes = self.body.as_ref().map_or(0, Bytes::len);
        if bytes > 0 || self.sends_nothing() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        }
        Ok(request)
    }

    /// What is sent after the head; empty where there is nothing.
    pub(crate) fn body(&self) -> Bytes {
        self.body.clone().unwrap_or_default()
    }

    /// Whether the method means to send something and there is nothing. Servers may insist on knowing how
    /// much that is (RFC 9110, section 8.6).
    fn sends_nothing(&self) -> bool {
        let is_empty = self.body.as_ref().is_none_or(Bytes::is_empty);
        is_empty && [Method::POST, Method::PUT, Method::PATCH].contains(&self.method)
    }

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

        let mut next = Self { url, ..self.clone() };
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

    /// The same request with those of `cookies` that are for it.
    pub(crate) fn with_cookies(mut self, cookies: &Cookies) -> Self {
        let set = cookies.of(&self.url);
        let own = self.own_cookies.as_ref().and_then(|own| own.to_str().ok()).map(str::to_owned);
        let pairs: Vec<_> = own.into_iter().chain(set.iter().map(|(name, value)| format!("{name}={value}"))).collect();
        // What a server sent in a header can be sent in one.
        match HeaderValue::try_from(pairs.join("; ")) {
            Ok(cookies) if !pairs.is_empty() => {
                self.headers.insert(COOKIE, cookies);
                self.secrets.extend(set.into_iter().map(|(_, value)| value));
            }
            _ => {
                self.headers.remove(COOKIE);
            }
        }
        self
    }

    /// The URL, without user, password and fragment.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The headers that another origin may see. It must not learn what was meant for this one, and
    /// a name does not always tell that its value is a secret: only what is known to be harmless goes.
    fn for_anybody(&self) -> HeaderMap {
        let harmless = |(name, _): &(&HeaderName, &HeaderValue)| is_for_anybody(name);
        self.headers.iter().filter(harmless).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn set_host(&mut self) -> Result<(), String> {
        if self.own_host {
            return Ok(());
        }
        let host = match self.url.port() {
            Some(port) => HeaderValue::from_str(&format!("{}:{port}", self.host())),
            None => HeaderValue::from_str(self.host()),
        };
        self.headers.insert(HOST, host.map_err(|_| "has a host that cannot be a Host header")?);
        Ok(())
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
    use super::*;

    fn hop(json: &str) -> Hop {
        let settings: HttpSettings = serde_json::from_str(json).unwrap();
        let body = settings.body.as_ref().map(|body| Bytes::from(body.bytes().unwrap().into_owned()));
        Hop::first(&settings, body).unwrap()
    }

    fn to(hop: &Hop, status: u16, location: &str) -> Result<Hop, String> {
        hop.follow(StatusCode::from_u16(status).unwrap(), Some(&HeaderValue::from_str(location).unwrap()))
    }

    #[test]
    fn a_request_names_the_path_and_the_host_of_its_url() {
        for (url, target, host) in [
            ("http://a.example/x?y#z", "/x?y", "a.example"),
            ("https://a.example:8443", "/", "a.example:8443"),
            ("http://10.0.0.1:81/ä", "/%C3%A4", "10.0.0.1:81"),
            ("http://[::1]/?", "/?", "[::1]"),
        ] {
            let request = hop(&format!(r#"{{"url": "{url}"}}"#)).http1_request().unwrap();
            assert_eq!(
                (request.uri().to_string().as_str(), &request.headers()[HOST]),
                (target, &host.parse().unwrap())
            );
        }
        let own = hop(r#"{"url": "http://a.example", "headers": {"Host": "b.example"}}"#).http1_request().unwrap();
        assert_eq!(own.headers()[HOST], "b.example");
    }

    #[test]
    fn a_method_that_sends_something_says_that_it_is_nothing() {
        let length = |hop: &Hop| hop.http1_request().unwrap().headers().get(CONTENT_LENGTH).cloned();
        for (method, body, told) in [
            ("POST", "", true),
            ("PUT", "", true),
            ("PATCH", r#", "body": """#, true),
            ("POST", r#", "body": "x""#, false),
            ("GET", "", false),
            ("HEAD", "", false),
            ("DELETE", "", false),
        ] {
            let from = hop(&format!(r#"{{"url": "http://a/", "method": "{method}"{body}}}"#));
            // Where there is a body, hyper says how long it is.
            assert_eq!(length(&from).is_some_and(|length| length == "0"), told, "{method}{body}");
            assert!(length(&to(&from, 303, "/b").unwrap()).is_none());
            assert_eq!(length(&to(&from, 307, "http://b/").unwrap()), length(&from));
        }
    }

    #[test]
    fn a_host_is_told_without_brackets() {
        for (url, name) in
            [("https://a_b.example/", "a_b.example"), ("https://10.0.0.1:1/", "10.0.0.1"), ("https://[::1]/", "::1")]
        {
            assert_eq!(hop(&format!(r#"{{"url": "{url}"}}"#)).host_plain(), name);
        }
    }

    #[test]
    fn a_hop_on_the_same_host_stays_with_the_instance() {
        let first = hop(r#"{"url": "http://a.example/"}"#);
        let at = |location: &str| {
            let instance = "10.0.0.2:8080".parse().unwrap();
            to(&first, 302, location).unwrap().at_instance(first.url(), instance).map(|at| at.to_string())
        };
        assert_eq!(at("/x").as_deref(), Some("10.0.0.2:8080"));
        assert_eq!(at("https://a.example/").as_deref(), Some("10.0.0.2:443"));
        assert_eq!(at("http://A.example:81/").as_deref(), Some("10.0.0.2:81"));
        assert_eq!(at("http://b.example/"), None);
    }

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
