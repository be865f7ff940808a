//! One request of a check: the first, or one that a redirect leads to.

mod redirect;
mod request;

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    InvalidHeaderValue, RANGE, UPGRADE, USER_AGENT,
};
use url::{Host, Url};
use watchpost_model::{CheckType, HttpSettings, shorten};
use watchpost_policy::{Purpose, told_host};

use super::cookies::Cookies;
use super::decode::ENCODINGS;
use crate::network::{Destination, Errand};
use crate::redaction::Redaction;
use crate::secret::{Secrets, authorization};

pub(crate) use self::redirect::is_redirect;

/// How much of a destination is reported, in characters.
const LOCATION_CHARS_SHOWN: usize = 1024;
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
    /// Whether a redirect led to it.
    is_redirected: bool,
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
        let secrets = Secrets::of(settings);
        let is_redirected = false;
        let mut hop = Self { url, method, headers, body, own_host, own_cookies, is_proxied, is_redirected, secrets };
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

    /// Where it goes, by which way, and what for: the first request of all for `purpose`.
    pub(crate) fn destination<'a>(
        &'a self,
        endpoint: Option<SocketAddr>,
        settings: &'a HttpSettings,
        check_type: CheckType,
        purpose: Purpose,
    ) -> Destination<'a> {
        let purpose = if self.is_redirected { Purpose::Redirect } else { purpose };
        let errand = Some(Errand { check_type, purpose, method: Some(self.method.as_str()) });
        let server_name = settings.tls.server_name.as_ref().filter(|_| self.is_tls()).map(|name| name.as_str());
        let told = [self.told_host(), server_name];
        Destination { host: self.host_plain(), port: self.port(), endpoint, route: &settings.route, told, errand }
    }

    /// The host that the server is told in place of the URL's, without a port.
    fn told_host(&self) -> Option<&str> {
        let told = self.headers.get(HOST).filter(|_| self.tells_another_host())?;
        // What is no text is no name that anybody has.
        Some(told_host(told.to_str().unwrap_or_default()))
    }

    /// Whether `Host` is not that of the URL.
    pub(crate) fn tells_another_host(&self) -> bool {
        self.own_host && self.headers.get(HOST) != self.host_of_url().ok().as_ref()
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

    fn set_host(&mut self) -> Result<(), String> {
        if self.own_host {
            return Ok(());
        }
        let host = self.host_of_url().map_err(|_| "has a host that cannot be a Host header")?;
        self.headers.insert(HOST, host);
        Ok(())
    }

    fn host_of_url(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        match self.url.port() {
            Some(port) => HeaderValue::from_str(&format!("{}:{port}", self.host())),
            None => HeaderValue::from_str(self.host()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    pub(super) fn hop(json: &str) -> Hop {
        let settings: HttpSettings = serde_json::from_str(json).unwrap();
        let body = settings.body.as_ref().map(|body| Bytes::from(body.bytes().unwrap().into_owned()));
        Hop::first(&settings, body).unwrap()
    }

    pub(super) fn to(hop: &Hop, status: u16, location: &str) -> Result<Hop, String> {
        hop.follow(StatusCode::from_u16(status).unwrap(), Some(&HeaderValue::from_str(location).unwrap()))
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
}
