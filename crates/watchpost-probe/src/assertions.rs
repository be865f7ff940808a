//! What a check expects, held against what was seen.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value as Json;
use watchpost_expr::{CompileError, Evaluation, Program, Redact, Values};
use watchpost_model::{
    AssertionReport, CertDays, Expect, Expression, HeaderExpect, HeaderName, JsonExpect, JsonPath, Latency, Reason,
    ReasonCode, Task, shorten,
};

use crate::Verdict;
use crate::context::ProbeContext;
use crate::facts::{Facts, Fields};
use crate::patterns::Patterns;
use crate::recorder::{Recorder, Spent};
use crate::secret::{REDACTED, Secrets, without_userinfo};
use crate::tls::DAYS_LEFT;
use crate::transcript::Transcript;

/// How much of a text is quoted in a report.
const QUOTED_CHARS_MAX: usize = 120;
/// A character takes at most four bytes; there is no need to decode more than is shown.
const QUOTED_BYTES_MAX: usize = QUOTED_CHARS_MAX * 4 + 1;
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
    fn quoted(&self, range: std::ops::Range<usize>) -> String {
        let end = range.end.min(range.start + QUOTED_BYTES_MAX);
        excerpt(&self.secrets.hide(self.body, range.start..end))
    }
}

/// Ends a check whose target has answered: holds what every type can be asked against what was seen,
/// reports it, and makes the verdict. `facts` tells what expressions can ask of this type, as a JSON
/// object; it is called only where one does.
pub(crate) fn conclude(
    context: &ProbeContext,
    task: &Task,
    recorder: &Recorder,
    findings: Findings,
    facts: impl FnOnce() -> serde_json::Value,
) -> Verdict {
    recorder.leave();
    let facts = if task.expect.that.0.is_empty() { serde_json::Value::Null } else { facts() };
    conclude_with(context, task, recorder, findings, &Fields(&facts), &|_: &str, _: &str| None)
}

/// The same, where `facts` makes what expressions ask for when they do, and `redact` hides what their
/// reports must not show.
pub(crate) fn conclude_with(
    context: &ProbeContext,
    task: &Task,
    recorder: &Recorder,
    mut findings: Findings,
    facts: &dyn Values,
    redact: &dyn Redact,
) -> Verdict {
    findings.hold(context, task, &task.expect, recorder, facts, redact);
    findings.latency(task.expect.max_latency, recorder.elapsed());
    settle(recorder, findings)
}

/// Reports what was found, and makes the verdict of it.
pub(crate) fn settle(recorder: &Recorder, findings: Findings) -> Verdict {
    let reason = findings.reason();
    if reason.is_none() {
        recorder.transcript(Transcript::forget);
    }
    recorder.assertions(findings.reports);
    reason.map_or_else(Verdict::pass, Verdict::fail)
}

/// Reports on assertions, and the reason of the first that does not hold.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) reports: Vec<AssertionReport>,
    failed: Option<Reason>,
    failed_count: usize,
}

impl Findings {
    /// Why the check fails, if it does.
    pub(crate) fn reason(&self) -> Option<Reason> {
        let mut reason = self.failed.clone()?;
        if self.failed_count > 1 {
            reason.message.push_str(&format!(" (and {} more)", self.failed_count - 1));
        }
        Some(reason)
    }

    /// Takes over what was found besides.
    pub(crate) fn extend(&mut self, others: Self) {
        self.reports.extend(others.reports);
        self.failed_count += others.failed_count;
        self.failed = self.failed.take().or(others.failed);
    }

    /// Takes over what was found in a part of the check, which is called `label`.
    pub(crate) fn join(&mut self, label: &str, mut part: Self) {
        let exprs = part.reports.iter_mut().map(|report| &mut report.expr);
        for text in exprs.chain(part.failed.iter_mut().map(|reason| &mut reason.message)) {
            text.insert_str(0, &format!("{label}: "));
        }
        self.extend(part);
    }

    /// Holds what every type can be asked, but for how long it took, against what was seen: `expect` is what the task
    /// expects, or a part of it.
    pub(crate) fn hold(
        &mut self,
        context: &ProbeContext,
        task: &Task,
        expect: &Expect,
        recorder: &Recorder,
        facts: &dyn Values,
        redact: &dyn Redact,
    ) {
        self.certificate(expect.cert_days, recorder);
        if expect.that.0.is_empty() {
            return;
        }
        let facts = Facts::new(facts, &recorder.seen(), &task.endpoint.labels);
        for expression in &expect.that.0 {
            self.expression(context.patterns.program(expression, task.check_type()), expression, &facts, redact);
        }
    }

    /// Notes an assertion; `told` is the sentence for people where it does not hold.
    pub(crate) fn note(
        &mut self,
        code: ReasonCode,
        expr: String,
        passed: bool,
        actual: String,
        told: impl FnOnce(&str) -> String,
    ) {
        if !passed {
            self.failed_count += 1;
            if self.failed.is_none() {
                self.failed = Some(Reason::new(code, told(&actual)));
            }
        }
        self.reports.push(AssertionReport { expr, passed, actual });
    }

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

    fn body(
        &mut self,
        expr: String,
        fault: &str,
        wanted: &str,
        found: Option<std::ops::Range<usize>>,
        answer: Answer<'_>,
    ) {
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

    /// Whether an answer of a dialogue matches the pattern that is `shown`, and if not, what is `told` of why no more is
    /// to come. `hidden` are the secrets that the answer may hold; where it is one itself there are none to be told apart.
    pub(crate) fn answer(
        &mut self,
        at: Option<&str>,
        shown: &str,
        answer: &[u8],
        told: Option<String>,
        hidden: Option<&Secrets>,
    ) {
        let actual = match (answer, hidden) {
            ([], _) => "nothing".to_owned(),
            (answer, None) => format!("{} bytes: {REDACTED}", answer.len()),
            (answer, Some(secrets)) => format!("{} bytes: {}", answer.len(), excerpt_hiding(secrets, answer)),
        };
        let at = at.map(|at| format!("{at}: ")).unwrap_or_default();
        let told = told.as_deref();
        self.note(
            ReasonCode::AssertionFailed,
            format!("{at}answer matches {shown}"),
            told.is_none(),
            actual,
            |actual| format!("{at}{} before the answer matched {shown}; it sent {actual}", told.unwrap_or_default()),
        );
    }

    /// Whether the certificate of the server is valid for long enough yet.
    pub(crate) fn certificate(&mut self, min: Option<CertDays>, recorder: &Recorder) {
        let Some(min) = min.map(CertDays::get) else { return };
        let days_left = recorder.noted(DAYS_LEFT);
        let actual = days_left.map_or_else(|| "no TLS".to_owned(), |days| format!("{days:.1} days"));
        let passed = days_left.is_some_and(|days| days >= f64::from(min));
        let until = recorder.with_tls(|tls| tls.not_after).flatten();
        self.note(
            ReasonCode::AssertionFailed,
            format!("tls.days_left >= {min}"),
            passed,
            actual,
            |actual| match until {
                None => format!("there was no TLS, so no certificate could be valid for {min} days"),
                Some(until) => {
                    format!("the certificate is valid for {actual} more, until {until}, expected {min} days")
                }
            },
        );
    }

    /// Whether an expression holds of what was seen.
    fn expression(
        &mut self,
        program: Result<Program, CompileError>,
        expression: &Expression,
        facts: &Facts<'_>,
        redact: &dyn Redact,
    ) {
        let evaluated = match &program {
            Ok(program) => program.evaluate_redacted(facts, redact),
            Err(error) => return self.broken(expression, &error.to_string()),
        };
        let (passed, actual) = match evaluated {
            Ok(Evaluation { holds, seen }) => {
                (holds, seen.iter().map(|seen| seen.to_string()).collect::<Vec<_>>().join(", "))
            }
            Err(error) => (false, error.message),
        };
        let expr = expression.as_str().to_owned();
        let shown = shorten(expression.as_str(), QUOTED_CHARS_MAX);
        self.note(ReasonCode::AssertionFailed, expr, passed, actual, |actual| match actual {
            "" => format!("`{shown}` does not hold"),
            actual => format!("`{shown}` does not hold: {actual}"),
        });
    }

    fn broken(&mut self, expression: &Expression, why: &str) {
        let told = format!("the expression cannot be used: {why}");
        self.note(ReasonCode::AssertionFailed, expression.as_str().to_owned(), false, told, str::to_owned);
    }

    /// Whether a check that took `elapsed` was fast enough.
    pub(crate) fn latency(&mut self, max: Option<Latency>, elapsed: Duration) {
        let Some(max) = max else { return };
        let passed = elapsed < max.get();
        self.note(
            ReasonCode::AssertionFailed,
            format!("total < {max}"),
            passed,
            Spent(elapsed).to_string(),
            |actual| format!("total is {actual}, expected less than {max}"),
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

pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shorten(text, QUOTED_CHARS_MAX))
}

pub(crate) fn slashed(pattern: &str) -> String {
    format!("/{}/", shorten(pattern, QUOTED_CHARS_MAX))
}

/// The same, without the secrets.
pub(crate) fn excerpt_hiding(secrets: &Secrets, bytes: &[u8]) -> String {
    excerpt(&secrets.hide(bytes, 0..bytes.len().min(QUOTED_BYTES_MAX)))
}

/// The beginning of `bytes` as quoted text.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..QUOTED_BYTES_MAX).unwrap_or(bytes);
    format!("\"{}\"", shorten(&String::from_utf8_lossy(shown), QUOTED_CHARS_MAX))
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
    fn latency_says_how_long_it_took() {
        for (max, passed) in [("300ms", true), ("100ms", false)] {
            let expect: Expect = serde_json::from_value(serde_json::json!({ "max_latency": max })).unwrap();
            let mut findings = Findings::default();
            findings.latency(expect.max_latency, Duration::from_millis(120));
            let report = &findings.reports[0];
            assert_eq!((&*report.expr, report.passed, &*report.actual), (&*format!("total < {max}"), passed, "120 ms"));
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
