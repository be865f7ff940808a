//! What a check expects, held against what was seen.

mod http;
mod quoting;

use std::time::Duration;

use watchpost_expr::{CompileError, Evaluation, Program, Redact, Values};
use watchpost_model::{AssertionReport, CertDays, Expect, Expression, Latency, Reason, ReasonCode, Task, shorten};

pub(crate) use self::http::Answer;
use self::quoting::QUOTED_CHARS_MAX;
pub(crate) use self::quoting::{excerpt, excerpt_hiding, quoted, slashed};
use crate::Verdict;
use crate::context::ProbeContext;
use crate::facts::{Facts, Fields};
use crate::recorder::{Recorder, Spent};
use crate::secret::{REDACTED, Secrets};
use crate::tls::DAYS_LEFT;
use crate::transcript::Transcript;

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

    /// Holds what every type can be asked, but for how long it took, against what was seen: `expect` is what the
    /// task expects, or a part of it.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
