//! A hop as it travels: by HTTP/1.1, through a proxy, by HTTP/2.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, Uri, Version};
use http_body_util::Full;
use url::Position;

use super::Hop;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

impl Hop {
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
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hop, to};
    use super::*;

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
}
