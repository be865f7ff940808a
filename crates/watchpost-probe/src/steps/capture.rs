//! Finds in an answer what later steps need of it.

use std::cell::OnceCell;

use http::HeaderMap;
use serde_json::Value as Json;
use watchpost_model::{CAPTURE_BYTES_MAX, Capture, CookieName, HeaderName, JsonPath, Pattern, text_of};

use crate::assertions::slashed;
use crate::http::Cookies;
use crate::patterns::Patterns;

/// Where values are looked for.
pub(super) struct Source<'a> {
    headers: &'a HeaderMap,
    body: &'a [u8],
    /// Whether the body went on beyond what was read.
    truncated: bool,
    cookies: &'a Cookies,
    patterns: &'a Patterns,
    json: OnceCell<Result<Json, String>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        headers: &'a HeaderMap,
        (body, truncated): (&'a [u8], bool),
        cookies: &'a Cookies,
        patterns: &'a Patterns,
    ) -> Self {
        Self { headers, body, truncated, cookies, patterns, json: OnceCell::new() }
    }

    /// The value: a text that is not empty, a number, `true` or `false`.
    ///
    /// # Errors
    /// Why there is none, as the end of a sentence.
    pub(super) fn find(&self, capture: &Capture) -> Result<Json, String> {
        let Capture { json_path, header, cookie, regex, .. } = capture;
        let whole = match (json_path, header, cookie) {
            (Some(path), _, _) => Some(self.at(path)?),
            (None, Some(name), _) => Some(self.header(name)?.into()),
            (None, None, Some(name)) => Some(self.cookie(name)?.into()),
            (None, None, None) => None,
        };
        let value = match (regex, whole) {
            (None, whole) => whole.unwrap_or_default(),
            (Some(regex), Some(whole)) => self.part(regex, text_of(&whole).as_bytes(), "it")?.into(),
            (Some(regex), None) => self.part(regex, self.body, self.body_shown())?.into(),
        };
        match value.as_str().map_or(1, str::len) {
            0 => Err("it is empty".into()),
            bytes if bytes > CAPTURE_BYTES_MAX => Err(format!("it has {bytes} bytes, more than {CAPTURE_BYTES_MAX}")),
            _ => Ok(value),
        }
    }

    fn at(&self, path: &JsonPath) -> Result<Json, String> {
        let parsed = self.json.get_or_init(|| match serde_json::from_slice(self.body) {
            Ok(json) => Ok(json),
            Err(_) if self.truncated => Err("the body goes on beyond what is read, and is no JSON so far".into()),
            Err(error) => Err(format!("the body is not JSON ({error})")),
        });
        let json = parsed.as_ref().map_err(Clone::clone)?;
        match self.patterns.json_path(path).query(json).first() {
            None => Err(format!("`{path}` is not in the body")),
            Some(Json::Null) => Err(format!("`{path}` is null")),
            Some(Json::Array(_)) => Err(format!("`{path}` is a list")),
            Some(Json::Object(_)) => Err(format!("`{path}` is an object")),
            Some(found) => Ok(found.clone()),
        }
    }

    fn header(&self, name: &HeaderName) -> Result<&str, String> {
        let name = name.as_str();
        let value = self.headers.get(name).ok_or_else(|| format!("there is no header {name}"))?;
        std::str::from_utf8(value.as_bytes()).map_err(|_| format!("header {name} is not text"))
    }

    fn cookie(&self, name: &CookieName) -> Result<&str, String> {
        self.cookies.value(name.as_str()).ok_or_else(|| format!("no cookie `{name}` was set"))
    }

    /// What the group of `regex` matches in `text`, or all that matches where it has no group.
    fn part(&self, regex: &Pattern, text: &[u8], of: &str) -> Result<String, String> {
        let shown = slashed(regex.as_str());
        let compiled = self.patterns.compiled(regex);
        let captures = compiled.captures(text).ok_or_else(|| format!("{shown} does not match {of}"))?;
        let group = captures.len() - 1;
        let found = captures.get(group).ok_or_else(|| format!("the group of {shown} matches nothing of {of}"))?;
        let text = std::str::from_utf8(found.as_bytes()).map_err(|_| format!("what {shown} matches is not text"))?;
        Ok(text.to_owned())
    }

    fn body_shown(&self) -> &'static str {
        if self.truncated { "the body as far as it is read" } else { "the body" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(capture: &str, body: &[u8]) -> Result<String, String> {
        let capture: Capture = serde_json::from_str(capture).unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-id", "order 17/a".parse().unwrap());
        headers.append("x-id", "second".parse().unwrap());
        headers.append("x-raw", http::HeaderValue::from_bytes(b"\xff").unwrap());
        headers.append("set-cookie", "sid=s1; Path=/elsewhere".parse().unwrap());
        let (mut cookies, patterns) = (Cookies::default(), Patterns::default());
        cookies.take(&url::Url::parse("http://a/").unwrap(), &headers);
        Source::new(&headers, (body, false), &cookies, &patterns).find(&capture).map(|value| value.to_string())
    }

    #[test]
    fn values_are_found_where_a_capture_says() {
        let json =
            br#"{"token": "t1", "n": 17, "ok": true, "none": null, "list": [{"id": "a1"}, {"id": "b2"}], "empty": ""}"#;
        for (capture, value) in [
            (r#"{"json_path": "$.token"}"#, Ok(r#""t1""#)),
            (r#"{"json_path": "$.n"}"#, Ok("17")),
            (r#"{"json_path": "$.ok"}"#, Ok("true")),
            (r#"{"json_path": "$.list[*].id"}"#, Ok(r#""a1""#)),
            (r#"{"json_path": "$.n", "regex": "^."}"#, Ok(r#""1""#)),
            (r#"{"json_path": "$.none"}"#, Err("`$.none` is null")),
            (r#"{"json_path": "$.list"}"#, Err("`$.list` is a list")),
            (r#"{"json_path": "$"}"#, Err("`$` is an object")),
            (r#"{"json_path": "$.x"}"#, Err("`$.x` is not in the body")),
            (r#"{"json_path": "$.empty"}"#, Err("it is empty")),
            (r#"{"header": "X-Id"}"#, Ok(r#""order 17/a""#)),
            (r#"{"header": "x-id", "regex": "order (\\d+)"}"#, Ok(r#""17""#)),
            (r#"{"header": "x-id", "regex": "item (\\d+)"}"#, Err("/item (\\d+)/ does not match it")),
            (r#"{"header": "x-raw"}"#, Err("header x-raw is not text")),
            (r#"{"header": "x"}"#, Err("there is no header x")),
            (r#"{"cookie": "sid"}"#, Ok(r#""s1""#)),
            (r#"{"cookie": "SID"}"#, Err("no cookie `SID` was set")),
            (r#"{"regex": "\"n\": \\d+"}"#, Ok(r#""\"n\": 17""#)),
            (r#"{"regex": "(?:a|b)(\\d)"}"#, Ok(r#""1""#)),
            (r#"{"regex": "zzz"}"#, Err("/zzz/ does not match the body")),
            (r#"{"regex": "token(x)?"}"#, Err("the group of /token(x)?/ matches nothing of the body")),
        ] {
            assert_eq!(found(capture, json), value.map(str::to_owned).map_err(str::to_owned), "{capture}");
        }
        assert!(found(r#"{"json_path": "$.a"}"#, b"<html>").unwrap_err().starts_with("the body is not JSON"));
        assert_eq!(found(r#"{"regex": "(?-u)a.*"}"#, b"a\xff").unwrap_err(), "what /(?-u)a.*/ matches is not text");
        let large = vec![b'a'; CAPTURE_BYTES_MAX + 1];
        assert_eq!(found(r#"{"regex": "a+"}"#, &large).unwrap_err(), "it has 8193 bytes, more than 8192");
        assert!(found(r#"{"regex": "a+"}"#, &large[1..]).is_ok());
    }
}
