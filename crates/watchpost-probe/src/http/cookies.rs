//! Cookies that servers set on the way through redirects, and that go with the later requests of the same
//! check (RFC 6265). They are forgotten with the check.

use cookie::Cookie;
use http::HeaderMap;
use http::header::SET_COOKIE;
use rustls::pki_types::UnixTime;
use url::{Host, Url};

/// The most cookies that are kept. Further ones are passed over.
const COOKIES_MAX: usize = 50;
/// The most that all of them take, names and values, in bytes. What goes beyond is passed over.
const COOKIE_BYTES_MAX: usize = 16 * 1024;

/// The cookies of one check.
#[derive(Debug, Default)]
pub(crate) struct Cookies(Vec<Kept>);

/// A cookie, and where it goes.
#[derive(Debug)]
struct Kept {
    name: String,
    value: String,
    domain: String,
    /// Whether it goes to hosts below `domain` as well.
    with_subdomains: bool,
    path: String,
    secure: bool,
}

impl Cookies {
    /// Takes the cookies that `headers`, the head of an answer from `url`, set, and forgets those that they
    /// take back.
    pub(crate) fn take(&mut self, url: &Url, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE) {
            let Ok(text) = header.to_str() else { continue };
            let Ok(cookie) = Cookie::parse(text) else { continue };
            let Some(kept) = Kept::new(&cookie, url) else { continue };
            let same =
                |other: &Kept| (&other.name, &other.domain, &other.path) == (&kept.name, &kept.domain, &kept.path);
            let known = self.0.iter().position(same);
            if is_over(&cookie) {
                known.map(|at| self.0.remove(at));
                continue;
            }
            let others = self.0.iter().filter(|other| !same(other)).map(Kept::bytes).sum::<usize>();
            if others + kept.bytes() > COOKIE_BYTES_MAX {
                continue;
            }
            match known {
                Some(at) => self.0.get_mut(at).map(|place| *place = kept).unwrap_or_default(),
                None if self.0.len() < COOKIES_MAX => self.0.push(kept),
                None => {}
            }
        }
    }

    /// The value of the cookie `name`; of several by this name, of the one that was set first.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|kept| kept.name == name).map(|kept| kept.value.as_str())
    }

    /// Names and values of those that go with a request of `url`: the longest paths first, then in the order
    /// in which they came.
    pub(crate) fn of<'a>(&'a self, url: &Url) -> Vec<(&'a str, &'a str)> {
        let mut going: Vec<&Kept> = self.0.iter().filter(|kept| kept.goes_to(url)).collect();
        going.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        going.into_iter().map(|kept| (kept.name.as_str(), kept.value.as_str())).collect()
    }
}

impl Kept {
    /// `cookie` as the host of `url` may set it; `None` where it may not.
    fn new(cookie: &Cookie<'_>, url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let secure = cookie.secure() == Some(true);
        if secure && url.scheme() != "https" {
            return None;
        }
        let asked = cookie.domain().map(str::to_ascii_lowercase).filter(|domain| !domain.is_empty());
        let (domain, with_subdomains) = match asked {
            None => (host.to_owned(), false),
            Some(domain) if domain == host => {
                let is_name = matches!(url.host(), Some(Host::Domain(_)));
                (domain, is_name)
            }
            // A top-level domain is nobody's to set cookies for.
            Some(domain) if domain.contains('.') && is_below(url, &domain) => (domain, true),
            Some(_) => return None,
        };
        let path = match cookie.path() {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => {
                let path = url.path();
                let end = path.rfind('/').filter(|end| *end > 0).unwrap_or(1);
                path.get(..end).unwrap_or("/").to_owned()
            }
        };
        let (name, value) = (cookie.name().to_owned(), cookie.value().to_owned());
        Some(Self { name, value, domain, with_subdomains, path, secure })
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }

    fn goes_to(&self, url: &Url) -> bool {
        let is_host = url.host_str() == Some(&self.domain) || (self.with_subdomains && is_below(url, &self.domain));
        let rest = url.path().strip_prefix(self.path.as_str());
        let is_path = rest.is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        is_host && is_path && (!self.secure || url.scheme() == "https")
    }
}

/// Whether the host of `url` is a name below `domain`.
fn is_below(url: &Url, domain: &str) -> bool {
    let Some(Host::Domain(host)) = url.host() else { return false };
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether a server takes `cookie` back by setting it to end at once, or to have ended.
fn is_over(cookie: &Cookie<'_>) -> bool {
    if let Some(age) = cookie.max_age() {
        return !age.is_positive();
    }
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    cookie.expires_datetime().is_some_and(|end| end.unix_timestamp() <= now)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn set(cookies: &mut Cookies, from: &str, texts: &[&str]) {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(SET_COOKIE, HeaderValue::from_str(text).unwrap());
        }
        cookies.take(&url(from), &headers);
    }

    fn sent(cookies: &Cookies, to: &str) -> String {
        let pairs: Vec<_> = cookies.of(&url(to)).iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    #[test]
    fn a_cookie_goes_where_it_was_set_for() {
        for (from, cookie, to, goes) in [
            ("http://a.example/x/y", "k=v", "http://a.example/x/z", true),
            ("http://a.example/x/y", "k=v", "http://a.example/x", true),
            ("http://a.example/x/y", "k=v", "http://a.example/xy", false),
            ("http://a.example/x/y", "k=v", "http://a.example/", false),
            ("http://a.example/x", "k=v", "http://a.example:81/y", true),
            ("http://a.example/x", "k=v; Path=/", "http://a.example/y?z", true),
            ("http://a.example/", "k=v; Path=/x/", "http://a.example/x/y", true),
            ("http://a.example/", "k=v; Path=x", "http://a.example/y", true),
            ("http://a.example/", "k=v", "http://b.a.example/", false),
            ("http://a.example/", "k=v", "http://b.example/", false),
            ("http://a.example/", "k=v; Domain=a.example", "http://b.a.example/", true),
            ("http://a.example/", "k=v; Domain=.A.Example", "http://a.example/", true),
            ("http://b.a.example/", "k=v; Domain=a.example", "http://c.a.example/", true),
            ("http://b.a.example/", "k=v; Domain=a.example", "http://ca.example/", false),
            ("http://a.example/", "k=v; Domain=example", "http://a.example/", false),
            ("http://a.example/", "k=v; Domain=b.example", "http://b.example/", false),
            ("http://a.example/", "k=v; Domain=b.a.example", "http://b.a.example/", false),
            ("http://10.0.0.1/", "k=v", "http://10.0.0.1/", true),
            ("http://10.0.0.1/", "k=v; Domain=10.0.0.1", "http://10.0.0.1/", true),
            ("http://10.0.0.1/", "k=v; Domain=0.0.1", "http://20.0.0.1/", false),
            ("http://10.0.0.1/", "k=v; Domain=0.0.1", "http://10.0.0.1/", false),
            ("https://a.example/", "k=v; Secure", "https://a.example/", true),
            ("https://a.example/", "k=v; Secure", "http://a.example/", false),
            ("http://a.example/", "k=v; Secure", "https://a.example/", false),
            ("http://a.example/", "k=v; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "http://a.example/", true),
            ("http://a.example/", "k=v; Max-Age=0", "http://a.example/", false),
            ("http://a.example/", "k=v; Max-Age=-1", "http://a.example/", false),
            ("http://a.example/", "k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "http://a.example/", false),
            ("http://a.example/", "k=v; Expires=Fri, 01 Jan 2999 00:00:00 GMT", "http://a.example/", true),
            ("http://a.example/", "k=v; Expires=some day", "http://a.example/", true),
            ("http://a.example/", "no cookie", "http://a.example/", false),
            ("http://a.example/", "=v", "http://a.example/", false),
        ] {
            let mut cookies = Cookies::default();
            set(&mut cookies, from, &[cookie]);
            assert_eq!(!sent(&cookies, to).is_empty(), goes, "{cookie} from {from} to {to}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_or_taken_back() {
        let mut cookies = Cookies::default();
        set(&mut cookies, "http://a.example/", &["a=1", "b=2; HttpOnly; SameSite=Lax", "c=3; Path=/x"]);
        assert_eq!(sent(&cookies, "http://a.example/x"), "c=3; a=1; b=2");
        set(&mut cookies, "http://a.example/", &["a=4", "b=; Max-Age=0", "c=; Max-Age=0"]);
        assert_eq!(sent(&cookies, "http://a.example/x"), "c=3; a=4");
    }

    #[test]
    fn cookies_are_bounded_in_number_and_size() {
        let mut cookies = Cookies::default();
        for i in 0..100 {
            set(&mut cookies, "http://a.example/", &[&format!("k{i}=v")]);
        }
        assert_eq!(cookies.of(&url("http://a.example/")).len(), COOKIES_MAX);
        let mut cookies = Cookies::default();
        for i in 0..40 {
            set(&mut cookies, "http://a.example/", &[&format!("k{i}={}", "v".repeat(1_000))]);
        }
        set(&mut cookies, "http://a.example/", &[&format!("k1={}", "w".repeat(1_000))]);
        let sent = sent(&cookies, "http://a.example/");
        assert!(sent.len() <= COOKIE_BYTES_MAX + 4 * COOKIES_MAX && sent.contains('w'), "{}", sent.len());
    }
}
