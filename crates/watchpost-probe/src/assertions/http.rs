//! The short forms of `expect` about an HTTP answer.

use std::ops::Range;

use http::HeaderMap;
use serde_json::Value as Json;
use watchpost_model::{Expect, HeaderExpect, HeaderName, JsonExpect, JsonPath, ReasonCode, shorten};

use super::Findings;
use super::quoting::{QUOTED_BYTES_MAX, QUOTED_CHARS_MAX, excerpt, quoted, slashed};
use crate::patterns::Patterns;
use crate::secret::{REDACTED, Secrets, without_userinfo};

/// An HTTP check that names no status passes below this one.
const STATUS_ERROR_MIN: u16 = 400;

/// The HTTP answer that assertions look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// Whether the body went on beyond what was read.
    pub(crate) truncated: bool,
    /// What the check sent and no report shows.
    pub(crate) secrets: &'a Secrets,
}

impl Answer<'_> {
    /// What `range` of the body holds, as a report quotes it.
    fn quoted(&self, range: Range<usize>) -> String {
        let end = range.end.min(range.start + QUOTED_BYTES_MAX);
        excerpt(&self.secrets.hide(self.body, range.start..end))
    }
}

impl Findings {
    /// What the short forms of `expect` say about an HTTP answer.
    pub(crate) fn of_http(expect: &Expect, answer: Answer<'_>, patterns: &Patterns) -> Self {
        let mut findings = Self::default();
        findings.status(expect, answer.status);
        for needle in &expect.body_contains.0 {
            let found =
                memchr::memmem::find(answer.body, needle.as_str().as_bytes()).map(|at| at..at + needle.as_str().len());
            let shown = quoted(&answer.secrets.hide_in(needle.as_str().to_owned()));
            findings.body(format!("body contains {shown}"), "does not contain", &shown, found, answer);
        }
        for pattern in &expect.body_matches.0 {
            let found = patterns.compiled(pattern).find(answer.body).map(|found| found.range());
            let expr = format!("body matches {}", slashed(pattern.as_str()));
            findings.body(expr, "does not match", &slashed(pattern.as_str()), found, answer);
        }
        for (name, wanted) in &expect.header {
            findings.header(name, wanted, answer, patterns);
        }
        if !expect.json_path.is_empty() {
            let json = serde_json::from_slice(answer.body);
            for (path, wanted) in &expect.json_path {
                findings.json(path, wanted, json.as_ref(), answer, patterns);
            }
        }
        findings
    }

    fn status(&mut self, expect: &Expect, status: u16) {
        let (expr, passed, wanted) = match &expect.status {
            Some(set) => (format!("status in {set}"), set.contains(status), set.to_string()),
            None => (
                format!("status < {STATUS_ERROR_MIN}"),
                status < STATUS_ERROR_MIN,
                format!("a status below {STATUS_ERROR_MIN}"),
            ),
        };
        self.note(ReasonCode::HttpStatus, expr, passed, status.to_string(), |actual| {
            format!("status is {actual}, expected {wanted}")
        });
    }

    fn body(&mut self, expr: String, fault: &str, wanted: &str, found: Option<Range<usize>>, answer: Answer<'_>) {
        let size = answer.body.len();
        let actual = match &found {
            Some(range) => {
                format!("{} at byte {}", answer.quoted(range.clone()), range.start)
            }
            None if size == 0 => "an empty body".to_owned(),
            None if answer.truncated => format!("not in the first {size} bytes, and the body goes on beyond them"),
            None => format!("not in a body of {size} bytes: {}", answer.quoted(0..size)),
        };
        self.note(ReasonCode::AssertionFailed, expr, found.is_some(), actual, |actual| {
            format!("the body {fault} {wanted}: {actual}")
        });
    }

    fn header(&mut self, name: &HeaderName, wanted: &HeaderExpect, answer: Answer<'_>, patterns: &Patterns) {
        let values: Vec<&[u8]> = answer.headers.get_all(name.as_str()).iter().map(|value| value.as_bytes()).collect();
        let name = name.as_str();
        // What is expected of a secret is one, too.
        let is_secret = answer.secrets.hides_header(name);
        let shown = |text: String| if is_secret { REDACTED.to_owned() } else { text };
        let hidden = |text: &str| quoted(&answer.secrets.hide_in(text.to_owned()));
        let (says, passed) = match wanted {
            HeaderExpect::Present(true) => ("is present".to_owned(), !values.is_empty()),
            HeaderExpect::Present(false) => ("is absent".to_owned(), values.is_empty()),
            HeaderExpect::Equals(text) => (
                format!("equals {}", shown(hidden(text.as_str()))),
                values.iter().any(|value| *value == text.as_str().as_bytes()),
            ),
            HeaderExpect::Matches(pattern) => {
                let compiled = patterns.compiled(pattern);
                (
                    format!("matches {}", shown(slashed(pattern.as_str()))),
                    values.iter().any(|value| compiled.is_match(value)),
                )
            }
        };
        let actual = match values.as_slice() {
            [] => "absent".to_owned(),
            _ if is_secret => REDACTED.to_owned(),
            values => {
                let text = String::from_utf8_lossy(&values.join(&b", "[..])).into_owned();
                excerpt(answer.secrets.hide_in(without_userinfo(name, text)).as_bytes())
            }
        };
        self.note(ReasonCode::AssertionFailed, format!("header {name} {says}"), passed, actual, |actual| {
            format!("header {name} is {actual}, expected that it {says}")
        });
    }

    fn json(
        &mut self,
        path: &JsonPath,
        wanted: &JsonExpect,
        json: Result<&Json, &serde_json::Error>,
        answer: Answer<'_>,
        patterns: &Patterns,
    ) {
        let path_shown = shorten(path.as_str(), QUOTED_CHARS_MAX);
        let says = match wanted {
            JsonExpect::Present(true) => "is present".to_owned(),
            JsonExpect::Present(false) => "is absent".to_owned(),
            JsonExpect::Equals(value) => {
                format!("equals {}", shorten(&answer.secrets.hide_in(value.to_string()), QUOTED_CHARS_MAX))
            }
            JsonExpect::Matches(pattern) => format!("matches {}", slashed(pattern.as_str())),
        };
        let (passed, actual) = match json {
            Err(_) if answer.truncated => {
                (false, "the body goes on beyond what is read, and is no JSON so far".to_owned())
            }
            Err(error) => (false, format!("the body is not JSON ({error})")),
            Ok(json) => {
                let found = patterns.json_path(path).query(json).all();
                let shown =
                    |found: &Json| shorten(&answer.secrets.hide_in(found.to_string()), QUOTED_CHARS_MAX).into_owned();
                let passed = match wanted {
                    JsonExpect::Present(present) => *present != found.is_empty(),
                    JsonExpect::Equals(value) => found.iter().any(|found| same(found, value)),
                    JsonExpect::Matches(pattern) => {
                        let pattern = patterns.compiled(pattern);
                        found.iter().any(|found| match found {
                            Json::String(text) => pattern.is_match(text.as_bytes()),
                            other => pattern.is_match(other.to_string().as_bytes()),
                        })
                    }
                };
                let actual = match found.as_slice() {
                    [] => "absent".to_owned(),
                    [one] => shown(one),
                    [first, rest @ ..] => format!("{} and {} more", shown(first), rest.len()),
                };
                (passed, actual)
            }
        };
        let is_json = json.is_ok();
        self.note(
            ReasonCode::AssertionFailed,
            format!("{path_shown} {says}"),
            passed,
            actual,
            |actual| match is_json {
                true => format!("{path_shown} in the body is {actual}, expected that it {says}"),
                false => format!("{actual}, expected that {path_shown} in it {says}"),
            },
        );
    }
}

/// Whether two values of JSON are the same; numbers are compared by their value.
fn same(a: &Json, b: &Json) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) if a.as_i64().is_none() || b.as_i64().is_none() => x == y,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expression, whether it holds, what was seen.
    type Report = (String, bool, String);

    fn check(expect: &str, answer: Answer<'_>) -> (Vec<Report>, Option<(String, String)>) {
        let expect: Expect = serde_json::from_str(expect).unwrap();
        let findings = Findings::of_http(&expect, answer, &Patterns::default());
        let reason = findings.reason().map(|r| (r.code.to_string(), r.message));
        (findings.reports.into_iter().map(|r| (r.expr, r.passed, r.actual)).collect(), reason)
    }

    fn one(expect: &str, answer: Answer<'_>) -> (String, bool, String, String) {
        let (reports, reason) = check(expect, answer);
        let (expr, passed, actual) = reports.into_iter().next_back().unwrap();
        (expr, passed, actual, reason.map(|(_, message)| message).unwrap_or_default())
    }

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("server", "nginx".parse().unwrap());
        headers.insert("set-cookie", "sid=hunter2".parse().unwrap());
        headers
    }

    #[test]
    fn every_assertion_says_what_it_saw() {
        let headers = headers();
        let answer = Answer {
            status: 200,
            headers: &headers,
            body: b"all is well",
            truncated: false,
            secrets: &Secrets::default(),
        };
        for (expect, expr, passed, actual) in [
            ("{}", "status < 400", true, "200"),
            (r#"{"status": "2xx"}"#, "status in 200-299", true, "200"),
            (r#"{"status": [301, 503]}"#, "status in 301, 503", false, "200"),
            (r#"{"body_contains": "is"}"#, "body contains \"is\"", true, "\"is\" at byte 4"),
            (r#"{"body_contains": "no"}"#, "body contains \"no\"", false, "not in a body of 11 bytes: \"all is well\""),
            (r#"{"body_matches": "^all"}"#, "body matches /^all/", true, "\"all\" at byte 0"),
            (r#"{"body_matches": "^x"}"#, "body matches /^x/", false, "not in a body of 11 bytes: \"all is well\""),
            (r#"{"header": {"Server": {"present": true}}}"#, "header server is present", true, "\"nginx\""),
            (r#"{"header": {"x-a": {"present": true}}}"#, "header x-a is present", false, "absent"),
            (r#"{"header": {"server": {"equals": "caddy"}}}"#, "header server equals \"caddy\"", false, "\"nginx\""),
            (r#"{"header": {"server": {"matches": "^ngi"}}}"#, "header server matches /^ngi/", true, "\"nginx\""),
            (
                r#"{"header": {"set-cookie": {"equals": "x"}}}"#,
                "header set-cookie equals [redacted]",
                false,
                "[redacted]",
            ),
        ] {
            let (got_expr, got_passed, got_actual, _) = one(expect, answer);
            assert_eq!((got_expr.as_str(), got_passed, got_actual.as_str()), (expr, passed, actual), "{expect}");
        }
    }

    #[test]
    fn the_reason_names_the_first_failure_and_counts_the_others() {
        let headers = headers();
        let answer =
            Answer { status: 503, headers: &headers, body: b"", truncated: false, secrets: &Secrets::default() };
        let (_, reason) = check(r#"{"status": "200-299", "body_contains": ["a", "b"]}"#, answer);
        assert_eq!(reason, Some(("http_status".into(), "status is 503, expected 200-299 (and 2 more)".into())));
        let (_, reason) = check(r#"{"status": 503, "body_contains": "a"}"#, answer);
        assert_eq!(reason, Some(("assertion_failed".into(), "the body does not contain \"a\": an empty body".into())));
    }

    #[test]
    fn a_text_that_is_missing_from_a_truncated_body_may_lie_beyond() {
        let headers = headers();
        let answer =
            Answer { status: 200, headers: &headers, body: b"aaaa", truncated: true, secrets: &Secrets::default() };
        let (_, passed, actual, _) = one(r#"{"body_contains": "b"}"#, answer);
        assert!(!passed && actual.contains("goes on beyond"), "{actual}");
    }
}
