//! What the operator wants hidden in everything that leaves the process, whatever a target says.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use regex::bytes::Regex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use watchpost_model::{HeaderName, Labels, Pattern, Reason, Task, compile_pattern};

use crate::recorder::{Evidence, Recorder};
use crate::secret::REDACTED;
use crate::{BoxFuture, Probe, Verdict};

/// How far beyond what is shown a pattern is looked for, in bytes, so that what lies across the border is
/// hidden whole.
pub(crate) const AROUND_BYTES: usize = 1024;

/// What is hidden in results, besides what is known to be secret. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Redaction(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    headers: Vec<HeaderName>,
    patterns: Vec<Regex>,
}

impl Redaction {
    /// Hides the values of these headers, and whatever one of the patterns matches in anything that a
    /// target said.
    pub fn new(headers: Vec<HeaderName>, patterns: &[Pattern]) -> Self {
        if headers.is_empty() && patterns.is_empty() {
            return Self::default();
        }
        Self(Some(Arc::new(Rules { headers, patterns: patterns.iter().map(compile_pattern).collect() })))
    }

    /// Whether nothing is to be hidden.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the value of the header `name`, in lower case, is to be hidden.
    pub(crate) fn hides_header(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|rules| rules.headers.iter().any(|header| header.as_str() == name))
    }

    /// Where in `text` something is to be hidden.
    pub(crate) fn found<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        let patterns = self.0.iter().flat_map(|rules| &rules.patterns);
        // An empty match hides nothing.
        patterns
            .flat_map(|pattern| pattern.find_iter(text))
            .map(|found| found.range())
            .filter(|found| !found.is_empty())
    }

    /// Hides what is to be hidden in everything that was noted of a check.
    pub(crate) fn apply(&self, evidence: &mut Evidence) {
        if self.is_empty() {
            return;
        }
        let Evidence { assertions, http, hops, tls, of_type, .. } = evidence;
        let hide = |text: &mut String| self.hide_in(text);
        walk(assertions, &hide);
        walk(http, &hide);
        walk(hops, &hide);
        walk(tls, &hide);
        walk(of_type, &hide);
    }

    /// Hides what is to be hidden in what a source said of a target.
    pub(crate) fn hide_in_labels(&self, labels: &Labels) -> Labels {
        let hidden = |value: &str| {
            let mut text = value.to_owned();
            self.hide_in(&mut text);
            (text != value).then_some(text)
        };
        if self.is_empty() { labels.clone() } else { labels.changed(hidden) }
    }

    pub(crate) fn hide_in(&self, text: &mut String) {
        let Some(rules) = &self.0 else { return };
        for pattern in &rules.patterns {
            if let Cow::Owned(hidden) =
                pattern.replace_all(text.as_bytes(), regex::bytes::NoExpand(REDACTED.as_bytes()))
            {
                *text = String::from_utf8_lossy(&hidden).into_owned();
            }
        }
    }

    fn hide_in_reason(&self, reason: &mut Option<Reason>) {
        if let Some(reason) = reason {
            self.hide_in(&mut reason.message);
        }
    }
}

/// Shows `hide` every text of a message part. A part that cannot be taken apart is taken out whole: that would be a
/// defect, and must not show what was to be hidden.
pub(crate) fn walk<T: Serialize + DeserializeOwned + Default>(part: &mut T, hide: &impl Fn(&mut String)) {
    let walked = serde_json::to_value(&*part).and_then(|mut json| {
        walk_json(&mut json, hide);
        serde_json::from_value(json)
    });
    *part = walked.unwrap_or_default();
}

fn walk_json(json: &mut Json, hide: &impl Fn(&mut String)) {
    match json {
        Json::String(text) => hide(text),
        Json::Array(items) => items.iter_mut().for_each(|item| walk_json(item, hide)),
        Json::Object(fields) => fields.values_mut().for_each(|value| walk_json(value, hide)),
        _ => {}
    }
}

/// A probe in whose findings nothing is shown that is to be hidden, however it ends.
pub(crate) struct Redacting<P> {
    pub(crate) probe: P,
    pub(crate) redaction: Redaction,
}

impl<P: Probe> Probe for Redacting<P> {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        // The recorder does it when it is asked: a probe that is cut short cannot.
        recorder.redact_by(&self.redaction);
        let (redaction, run) = (&self.redaction, self.probe.run(task, recorder));
        Box::pin(async move {
            let mut verdict = run.await;
            redaction.hide_in_reason(&mut verdict.reason);
            verdict
        })
    }
}

#[cfg(test)]
mod tests {
    use watchpost_model::{AssertionReport, DialogueEvidence, HttpEvidence, TypeEvidence};

    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(Vec::new(), &[r"\d{4}-\d{4}".parse().unwrap(), "(?i)alice".parse().unwrap()])
    }

    #[test]
    fn every_text_is_gone_through_and_numbers_are_left() {
        let mut evidence = Evidence {
            assertions: vec![AssertionReport { expr: "a".into(), passed: true, actual: "card 1234-5678".into() }],
            http: Some(HttpEvidence {
                status: 200,
                headers: [("x".to_owned(), "for Alice".to_owned())].into(),
                redirects: vec!["http://a/alice".to_owned()],
                ..HttpEvidence::default()
            }),
            of_type: Some(TypeEvidence::Dialogue(DialogueEvidence {
                received_bytes: 12_345_678,
                received_excerpt: Some("alice".into()),
                ..DialogueEvidence::default()
            })),
            ..Evidence::default()
        };
        let numbers = evidence.clone();
        redaction().apply(&mut evidence);
        let shown = format!("{evidence:?}").to_lowercase();
        assert!(!shown.contains("alice") && !shown.contains("1234-5678"), "{shown}");
        assert_eq!(shown.matches(REDACTED).count(), 4, "{shown}");
        let http = evidence.http.unwrap();
        assert_eq!((http.status, http.headers.len()), (200, 1));
        assert!(matches!(evidence.of_type, Some(TypeEvidence::Dialogue(d)) if d.received_bytes == 12_345_678));
        let mut untouched = numbers.clone();
        Redaction::default().apply(&mut untouched);
        assert_eq!(untouched, numbers);
    }
}
