//! What a flow carries from step to step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value as Json};
use url::Url;
use watchpost_expr::{Value, Values};
use watchpost_model::{
    CaptureName, Captured, FlowStep, ReasonCode, StepReport, StepsEvidence, StepsSettings, TypeEvidence, shorten,
    text_of,
};

use super::capture::Source;
use crate::assertions::Findings;
use crate::http::{Cookies, HttpFacts};
use crate::recorder::Recorder;
use crate::secret::{REDACTED, Secrets};

/// How much of a captured value evidence shows, in characters.
const SHOWN_CHARS_MAX: usize = 256;
/// How much of all captured values a report shows, in characters.
const REPORT_CHARS_MAX: usize = 500;

/// A flow that is under way.
pub(super) struct Flow {
    /// A URL of the host that is checked.
    pub(super) host: Url,
    pub(super) cookies: Cookies,
    pub(super) captured: Captured,
    /// What was sent or captured so far, and is shown nowhere.
    pub(super) secrets: Secrets,
    /// What was found in the steps that are over.
    pub(super) findings: Findings,
    /// The captures as texts, for expressions.
    texts: Json,
    /// Which of them results may show.
    shown: BTreeSet<CaptureName>,
    /// When the step that is under way began.
    began: Duration,
}

impl Flow {
    pub(super) fn new(settings: &StepsSettings, recorder: &Recorder) -> Self {
        recorder.of_type(TypeEvidence::Steps(StepsEvidence::default()));
        Self {
            host: settings.host_url(),
            cookies: Cookies::default(),
            captured: Captured::new(),
            secrets: Secrets::default(),
            findings: Findings::default(),
            texts: Json::Object(Map::new()),
            shown: BTreeSet::new(),
            began: Duration::ZERO,
        }
    }

    /// Begins the step that is called `label`.
    pub(super) fn begin(&mut self, label: &str, recorder: &Recorder) {
        recorder.step(label);
        self.began = recorder.elapsed();
        let start_us = micros(self.began);
        let report = StepReport { step: label.to_owned(), start_us, ..StepReport::default() };
        recorder.amend_steps(|evidence| evidence.steps.push(report));
    }

    /// How long the step that is under way has taken.
    pub(super) fn took(&self, recorder: &Recorder) -> Duration {
        recorder.elapsed().saturating_sub(self.began)
    }

    /// Ends the step that is called `label`, and tells whether it came out as expected.
    pub(super) fn end(&mut self, label: &str, findings: Findings, recorder: &Recorder) -> bool {
        let passed = findings.reason().is_none();
        self.findings.join(label, findings);
        recorder.assertions(self.findings.reports.clone());
        let took_us = micros(self.took(recorder));
        recorder.amend_steps(|evidence| {
            evidence.steps_done += u32::from(passed);
            if let Some(report) = evidence.steps.last_mut() {
                (report.took_us, report.passed) = (Some(took_us), passed);
            }
        });
        passed
    }

    /// Keeps what `step` captures, and notes what is not there. What results must not show is hidden from now on.
    pub(super) fn capture(
        &mut self,
        step: &FlowStep,
        found: Vec<(CaptureName, Result<Json, String>)>,
        recorder: &Recorder,
    ) -> Findings {
        let mut findings = Findings::default();
        let (mut missing, mut kept) = (Vec::new(), Vec::new());
        for (name, value) in found {
            let value = match value {
                Ok(value) => value,
                Err(why) => {
                    missing.push(format!("no `{name}`: {why}"));
                    continue;
                }
            };
            let text = text_of(&value);
            if step.capture.get(&name).is_some_and(|capture| capture.show) {
                kept.push(format!("`{name}` is \"{}\"", shorten(&text, SHOWN_CHARS_MAX)));
                self.shown.insert(name.clone());
            } else {
                kept.push(format!("`{name}` is {REDACTED}"));
                self.secrets.add_captured(&text);
                self.shown.remove(&name);
            }
            if let Json::Object(texts) = &mut self.texts {
                texts.insert(name.to_string(), text.into());
            }
            self.captured.insert(name, value);
        }
        recorder.hide(&self.secrets);
        recorder.amend_steps(|evidence| evidence.captures = self.shown_values());
        if step.capture.is_empty() {
            return findings;
        }
        let names: Vec<_> = step.capture.keys().map(CaptureName::as_str).collect();
        let expr = format!("captures {}", shorten(&names.join(", "), REPORT_CHARS_MAX));
        let passed = missing.is_empty();
        let actual = if passed { kept.join(", ") } else { missing.join("; ") };
        let actual = shorten(&self.secrets.hide_in(actual), REPORT_CHARS_MAX).into_owned();
        let told = |actual: &str| format!("the answer has {actual}");
        findings.note(ReasonCode::AssertionFailed, expr, passed, actual, told);
        findings
    }

    fn shown_values(&self) -> BTreeMap<String, String> {
        let value = |name: &CaptureName| {
            let text = text_of(self.captured.get(name)?);
            Some((name.to_string(), shorten(&self.secrets.hide_in(text), SHOWN_CHARS_MAX).into_owned()))
        };
        self.shown.iter().filter_map(value).collect()
    }

    /// What `step` finds in an answer.
    pub(super) fn found(step: &FlowStep, source: &Source<'_>) -> Vec<(CaptureName, Result<Json, String>)> {
        step.capture.iter().map(|(name, capture)| (name.clone(), source.find(capture))).collect()
    }

    /// What expressions may ask for.
    pub(super) fn facts<'a>(&'a self, http: HttpFacts<'a>) -> FlowFacts<'a> {
        FlowFacts { http, captures: &self.texts }
    }

    /// `text`, which an expression read at `path`, as its report shows it; `secrets` are those of the answer.
    pub(super) fn redact(&self, path: &str, text: &str, secrets: &Secrets) -> String {
        let capture = path.strip_prefix("captures");
        let name = capture.map(|rest| rest.trim_matches(|c: char| matches!(c, '[' | ']' | '"' | '\'' | '.')));
        match name {
            Some(name) if !self.shown.iter().any(|shown| shown.as_str() == name) => REDACTED.to_owned(),
            _ => secrets.shown(path, text),
        }
    }
}

/// What expressions may ask of an answer within a flow.
pub(super) struct FlowFacts<'a> {
    http: HttpFacts<'a>,
    captures: &'a Json,
}

impl Values for FlowFacts<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "captures" => Some(Value::Json(self.captures)),
            name => self.http.get(name),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
