//! Everything that a result knows, under its row, for whoever wants to know why: where the time went,
//! whom the check talked to, what was expected and what was seen.

use std::fmt::Write;

use serde_json::Value as Json;
use watchpost_model::{
    AssertionReport, HopReport, HttpEvidence, Reason, SourceState, TargetReport, TaskResult, TlsEvidence, shorten,
};

use super::row::duration;

/// How wide the bars of a hop's phases are together.
const BAR_WIDTH: usize = 40;
/// How much of one value is shown, in characters.
const VALUE_CHARS_MAX: usize = 300;
/// The most lines of a body that are shown.
const BODY_LINES_MAX: usize = 40;
/// The most lines of a type's own evidence that are shown.
const EVIDENCE_LINES_MAX: usize = 60;

/// Appends what a result knows, each line indented, with an empty line at the end.
pub fn write_detail(text: &mut String, result: &TaskResult, colour: bool) {
    let mut page = Page { text, colour };
    page.target(&result.target);
    let whole = result.phases_us.total.unwrap_or_default();
    result.hops.iter().for_each(|hop| page.hop(hop, whole));
    if let Some(tls) = &result.tls {
        page.tls(tls, result.metrics.get("tls_days_left").copied());
    }
    if let Some(http) = &result.http {
        page.http(http);
    }
    if let Some(Ok(evidence)) = result.evidence.as_ref().map(serde_json::to_value) {
        page.evidence(&evidence);
    }
    result.assertions.iter().for_each(|assertion| page.assertion(assertion));
    for (name, value) in &result.metrics {
        page.line(&format!("  {} = {value}", clean(name)));
    }
    if result.queue_wait_us >= 1_000 {
        page.line(&format!("  waited {} for a free worker", duration(result.queue_wait_us)));
    }
    page.text.push('\n');
}

struct Page<'a> {
    text: &'a mut String,
    colour: bool,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn dim(&self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What the source of the target says of it, and whether it still does.
    fn target(&mut self, target: &TargetReport) {
        let labels: Vec<_> = target.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !labels.is_empty() {
            self.line(&format!("  labels: {}", clean(&labels.join(", "))));
        }
        if let Some(source) = &target.source
            && source.state == SourceState::Degraded
        {
            let Reason { code, message } = &source.reason;
            let (name, since) = (clean(&source.name), source.since);
            self.line(&format!(
                "  {name} gives no targets since {since}, so its last ones are used: {} ({code})",
                clean(message)
            ));
        }
    }

    /// One hop: where it went, and a bar for each phase at the place where it lies in the `whole` check.
    fn hop(&mut self, hop: &HopReport, whole: u64) {
        let step = hop.step.as_ref().map(|step| format!("{}: ", clean(step))).unwrap_or_default();
        let mut head = format!("  → {step}{}", clean(&hop.target));
        if let Some(address) = hop.address {
            let _infallible = write!(head, " at {}", watchpost_model::shown_address(address));
        }
        if let Some(status) = hop.status {
            let _infallible = write!(head, ": {status}");
        }
        self.line(&head);
        if !hop.resolved.is_empty() {
            let addresses: Vec<_> = hop.resolved.iter().map(ToString::to_string).collect();
            self.line(&format!("    resolved to {}", addresses.join(", ")));
        }
        let ends = hop.spans.iter().map(|span| span.start_us.saturating_add(span.took_us));
        let end = ends.max().unwrap_or_default().max(whole).max(1);
        // Which column a time falls into; the last one takes what rounding leaves over.
        let column =
            |us: u64| usize::try_from(u128::from(us) * BAR_WIDTH as u128 / u128::from(end)).unwrap_or(BAR_WIDTH);
        for span in &hop.spans {
            let from = column(span.start_us).min(BAR_WIDTH - 1);
            // Whatever took place is seen.
            let to = column(span.start_us.saturating_add(span.took_us)).clamp(from + 1, BAR_WIDTH);
            let bar: String =
                (0..BAR_WIDTH).map(|column| if (from..to).contains(&column) { '█' } else { '·' }).collect();
            let at = duration(span.start_us);
            let took = duration(span.took_us);
            self.line(&format!("    {:<10} {bar} {took:>8} {}", span.phase.as_str(), self.dim(&format!("at {at}"))));
        }
    }

    fn tls(&mut self, tls: &TlsEvidence, days_left: Option<f64>) {
        let alpn = tls.alpn.as_ref().map(|alpn| format!("ALPN {alpn}"));
        let named = [tls.version.as_deref(), tls.cipher.as_deref(), alpn.as_deref()];
        let named: Vec<_> = named.into_iter().flatten().map(clean).collect();
        if !named.is_empty() {
            self.line(&format!("  * TLS: {}", named.join(", ")));
        }
        if let Some(Reason { code, message }) = &tls.problem {
            self.line(&format!("  * not valid, and taken all the same: {} ({code})", clean(message)));
        }
        for (name, value) in [("certificate", &tls.subject), ("issued by", &tls.issuer)] {
            if let Some(value) = value {
                self.line(&format!("  * {name}: {}", clean(value)));
            }
        }
        if let Some(not_after) = tls.not_after {
            let left = match days_left {
                Some(days) if days < 0.0 => format!(" ({:.1} days ago)", -days),
                Some(days) => format!(" (in {days:.1} days)"),
                None => String::new(),
            };
            self.line(&format!("  * expires: {not_after}{left}"));
        }
        if !tls.sans.is_empty() {
            self.line(&format!("  * for: {}", clean(&tls.sans.join(", "))));
        }
        for (i, subject) in tls.chain.iter().enumerate().skip(1) {
            self.line(&format!("  * chain {i}: {}", clean(subject)));
        }
    }

    fn http(&mut self, http: &HttpEvidence) {
        self.line(&format!("  < {} {}", clean(&http.version), http.status));
        for (name, value) in &http.headers {
            self.line(&format!("  < {}: {}", clean(name), clean(value)));
        }
        let truncated = if http.body_truncated { ", and goes on" } else { "" };
        self.line(&format!("  < body of {} bytes{truncated}", http.body_bytes));
        if let Some(excerpt) = &http.body_excerpt {
            self.excerpt(excerpt);
        }
    }

    fn excerpt(&mut self, excerpt: &str) {
        let mut lines = excerpt.lines();
        for line in lines.by_ref().take(BODY_LINES_MAX) {
            self.line(&format!("  | {}", clean(line)));
        }
        if lines.next().is_some() {
            self.line("  | …");
        }
    }

    /// The evidence of a type, whose fields this does not know: `{"dns": {"rcode": …}}`.
    fn evidence(&mut self, evidence: &Json) {
        let Some((check_type, fields)) = evidence.as_object().and_then(|object| object.iter().next()) else { return };
        let mut lines = Vec::new();
        flatten(check_type, fields, &mut lines);
        let more = lines.len().saturating_sub(EVIDENCE_LINES_MAX);
        for (path, value) in lines.iter().take(EVIDENCE_LINES_MAX) {
            match value.as_str() {
                Some(text) if text.contains('\n') => {
                    self.line(&format!("  < {path}:"));
                    self.excerpt(text);
                }
                Some(text) => self.line(&format!("  < {path}: {}", clean(text))),
                None => self.line(&format!("  < {path}: {value}")),
            }
        }
        if more > 0 {
            self.line(&format!("  < … and {more} more"));
        }
    }

    fn assertion(&mut self, assertion: &AssertionReport) {
        let AssertionReport { expr, passed, actual } = assertion;
        let (sign, colour) = if *passed { ("✓", "\x1b[32m") } else { ("✗", "\x1b[31m") };
        let sign = if self.colour { format!("{colour}{sign}\x1b[0m") } else { sign.to_owned() };
        let saw =
            if actual.is_empty() { String::new() } else { format!(" {}", self.dim(&format!("({})", clean(actual)))) };
        self.line(&format!("  {sign} {}{saw}", clean(expr)));
    }
}

/// The leaves of a JSON value with their paths; a list of plain values is one leaf.
fn flatten<'a>(path: &str, value: &'a Json, lines: &mut Vec<(String, std::borrow::Cow<'a, Json>)>) {
    use std::borrow::Cow;
    match value {
        Json::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, lines)),
        Json::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(&format!("{path}[{i}]"), item, lines));
        }
        Json::Array(items) => {
            let shown: Vec<_> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            lines.push((path.to_owned(), Cow::Owned(Json::String(shown.join(", ")))));
        }
        leaf => lines.push((path.to_owned(), Cow::Borrowed(leaf))),
    }
}

/// What a peer may have made, as a terminal may show it.
fn clean(text: &str) -> String {
    shorten(text, VALUE_CHARS_MAX).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"v": 1, "task": "a291e387-34c7-5f65-bf6b-174d502d93c9", "check": "shop",
        "run": "a291e387-34c7-5f65-bf6b-174d502d93c9", "bastion": "b", "check_type": "http",
        "target": {"name": "http://a/", "endpoint": "a:80", "labels": {"env": "prod", "site": "x"},
            "source": {"name": "file t.json", "state": "degraded", "since": "2026-01-01T00:00:00Z",
                "reason": {"code": "no_endpoints", "message": "it is not there"}}}, "scheduled_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:01Z", "queue_wait_us": 7, "attempt": 1, "outcome": "fail",
        "phases_us": {"total": 40000},
        "hops": [{"target": "http://a/", "resolved": ["10.0.0.1", "::1"], "address": "10.0.0.1:80", "status": 302,
            "spans": [{"phase": "dns", "start_us": 0, "took_us": 10000},
                      {"phase": "connect", "start_us": 10000, "took_us": 1},
                      {"phase": "first_byte", "start_us": 20000, "took_us": 20000}]}],
        "assertions": [{"expr": "status < 400", "passed": true, "actual": "200"},
                       {"expr": "x == 1", "passed": false, "actual": "x = \u001b[31m2"}],
        "http": {"status": 200, "version": "HTTP/1.1", "headers": {"server": "ng\u0007inx"}, "body_bytes": 3,
            "body_excerpt": "a\u001b\nb"},
        "evidence": {"dialogue": {"received_bytes": 2, "received_excerpt": "hi"}},
        "tls": {"version": "TLSv1.3", "alpn": "h2", "verified": false,
            "problem": {"code": "tls_self_signed", "message": "nobody vouches for it"}, "sans": ["a", "b"], "chain": ["CN=a", "CN=root"], "not_after": "2027-01-01T00:00:00Z"},
        "metrics": {"tls_days_left": 10.5}}"#;

    #[test]
    fn everything_that_is_known_stands_under_the_row() {
        let result: TaskResult = serde_json::from_str(RESULT).unwrap();
        let mut text = String::new();
        write_detail(&mut text, &result, false);
        let full = "█".repeat(40);
        let expected = format!(
            "  labels: env=prod, site=x
  file t.json gives no targets since 2026-01-01T00:00:00Z, so its last ones are used: it is not there (no_endpoints)
  → http://a/ at 10.0.0.1:80: 302
    resolved to 10.0.0.1, ::1
    dns        {}{}  10.0 ms at 0 µs
    connect    {}█{}     1 µs at 10.0 ms
    first_byte {}{}  20.0 ms at 20.0 ms
  * TLS: TLSv1.3, ALPN h2
  * not valid, and taken all the same: nobody vouches for it (tls_self_signed)
  * expires: 2027-01-01T00:00:00Z (in 10.5 days)
  * for: a, b
  * chain 1: CN=root
  < HTTP/1.1 200
  < server: ng\\u{{7}}inx
  < body of 3 bytes
  | a\\u{{1b}}
  | b
  < dialogue.received_bytes: 2
  < dialogue.received_excerpt: hi
  ✓ status < 400 (200)
  ✗ x == 1 (x = \\u{{1b}}[31m2)
  tls_days_left = 10.5

",
            &full[..30],
            "·".repeat(30),
            "·".repeat(10),
            "·".repeat(29),
            "·".repeat(20),
            &full[..60],
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_result_of_another_version_with_odd_numbers_is_shown_all_the_same() {
        let odd = RESULT.replace(r#""took_us": 20000"#, r#""took_us": 9000000000000"#).replace("40000", "0");
        let result: TaskResult = serde_json::from_str(&odd).unwrap();
        let mut text = String::new();
        write_detail(&mut text, &result, true);
        assert!(text.contains("first_byte"), "{text}");
    }
}
