//! What a server answered to the one question of a check, held against what it should be.

use watchpost_model::{ReasonCode, ValueExpect};

use crate::assertions::{Findings, excerpt, quoted, slashed};
use crate::patterns::Patterns;
use crate::recorder::Recorder;

/// What a query answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The first column of the first row; `None` where there is no row, or it is NULL.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) rows: u64,
}

impl Answer {
    /// Holds the query's first value against `expect`, notes the number that it reads as, and tells that.
    pub(crate) fn judge(
        answer: Option<&Self>,
        expect: Option<&ValueExpect>,
        findings: &mut Findings,
        patterns: &Patterns,
        recorder: &Recorder,
    ) -> Option<serde_json::Number> {
        let value = answer.and_then(|answer| answer.value.as_deref());
        if let Some(expect) = expect {
            findings.value("the query's first value", expect, value, patterns);
        }
        let number = value.and_then(number);
        if let Some(number) = number.as_ref().and_then(serde_json::Number::as_f64) {
            recorder.metric("value", number);
        }
        number
    }

    /// The value as text.
    pub(crate) fn text(&self) -> Option<String> {
        self.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

impl Findings {
    /// What `value` says about `expect`; `what` names it in reports. `None` is the absence of a value.
    pub(crate) fn value(&mut self, what: &str, expect: &ValueExpect, value: Option<&[u8]>, patterns: &Patterns) {
        let (says, passed) = match expect {
            ValueExpect::Equals(text) => {
                (format!("equals {}", quoted(text.as_str())), value == Some(text.as_str().as_bytes()))
            }
            ValueExpect::Matches(pattern) => (
                format!("matches {}", slashed(pattern.as_str())),
                value.is_some_and(|value| patterns.compiled(pattern).is_match(value)),
            ),
        };
        let actual = value.map_or_else(|| "no value".to_owned(), excerpt);
        self.note(ReasonCode::AssertionFailed, format!("{what} {says}"), passed, actual, |actual| {
            format!("{what} is {actual}, expected that it {says}")
        });
    }
}

/// The number that `text` reads as, whole where it can be.
pub(crate) fn number(text: &[u8]) -> Option<serde_json::Number> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    // `inf`, `nan` and the like are no numbers that could be compared.
    serde_json::Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_read_as_numbers_are_numbers() {
        for (text, read) in [
            ("42", "42"),
            (" -1 ", "-1"),
            ("1.50", "1.5"),
            ("nan", ""),
            ("inf", ""),
            ("", ""),
            ("0x1", ""),
            ("1 2", ""),
        ] {
            assert_eq!(number(text.as_bytes()).map(|n| n.to_string()).unwrap_or_default(), read, "{text}");
        }
        assert_eq!(number(b"\xff"), None);
    }

    #[test]
    fn values_are_compared_as_texts_and_an_absent_one_is_nothing() {
        let check = |expect: &str, value: Option<&[u8]>| {
            let mut findings = Findings::default();
            findings.value("GET", &serde_json::from_str(expect).unwrap(), value, &Patterns::default());
            (findings.reports[0].passed, findings.reason().map(|r| r.message).unwrap_or_default())
        };
        assert!(check(r#"{"equals": "1"}"#, Some(b"1")).0);
        assert!(check(r#"{"matches": "^1"}"#, Some(b"12")).0);
        assert!(check(r#"{"equals": ""}"#, Some(b"")).0);
        let told = "GET is no value, expected that it equals \"\"";
        assert_eq!(check(r#"{"equals": ""}"#, None), (false, told.to_owned()));
        let told = "GET is \"0\", expected that it matches /^1/";
        assert_eq!(check(r#"{"matches": "^1"}"#, Some(b"0")), (false, told.to_owned()));
    }
}
