//! Settings of the `steps` check type: a flow of HTTP requests, with values carried from one to the next.

mod capture;
mod fill;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use watchpost_expr::{Field, Type};

pub use self::capture::{Capture, CaptureName, CookieName};
pub(crate) use self::fill::{BodyForm, body_form, json_escaped, percent_encoded};
pub use self::fill::{Captured, Unfillable, text_of, written_forms};
use crate::dialogue::STEPS_MAX;
use crate::expect::{ASSERTIONS_MAX, Expect};
use crate::http::HttpSettings;
use crate::probe::{CheckType, TypeSettings, validate_expressions};
use crate::target::HostPort;
use crate::text::text_type;
use crate::{Invalid, variables};

/// The most values that a flow captures.
pub const CAPTURES_MAX: usize = 64;
/// The largest value that is captured, in bytes.
pub const CAPTURE_BYTES_MAX: usize = 8 * 1024;

text_type!(
    /// What a step is called in results: 1 to 64 bytes.
    StepName,
    "the name of a step",
    64,
    |text| match text {
        "" => Err("the name of a step is empty: leave it out where there is none".into()),
        text if text.contains(char::is_control) => Err("the name of a step holds a control character".into()),
        _ => Ok(()),
    }
);

/// What a `steps` check does: its steps in their order, until one does not come out as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct StepsSettings(
    #[serde(deserialize_with = "steps")]
    #[schemars(length(min = 1, max = 32))]
    Vec<FlowStep>,
);

/// One step of a flow: a request, what its answer must be, and what of it later steps need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowStep {
    /// What the step is called in results, beside its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<StepName>,
    /// The request, as for an `http` check. In its URL (after the host), header values and body `${name}` is what an
    /// earlier step captured by this name, and `$${` stands for `${`.
    pub http: HttpSettings,
    /// What the answer must be, as for an `http` check. `${name}` may stand in `body_contains`, and in what headers and
    /// places of JSON must equal. `max_latency` is that of the step.
    #[serde(default, skip_serializing_if = "Expect::is_empty")]
    pub expect: Expect,
    /// What of the answer is kept for later steps, by name. An answer that does not have it fails the step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<CaptureName, Capture>,
}

impl FlowStep {
    /// How many assertions a result has of it: of the status there is always one, of all captures together one.
    fn assertion_count(&self) -> usize {
        let of_status = usize::from(self.expect.status.is_none());
        self.expect.assertion_count() + of_status + usize::from(!self.capture.is_empty())
    }

    /// What holds between the parts, where earlier steps capture what `captured` has.
    fn validate(&self, captured: &Captured) -> Result<(), Invalid> {
        self.http.validate().map_err(|why| Invalid::new(why).at("http"))?;
        if let Some(key) = self.expect.first_key_that_is_not_of(HttpSettings::EXPECTS) {
            let message = format!("`expect.{key}` has no meaning for a step");
            return Err(Invalid::new(message).at(format!("expect.{key}")));
        }
        validate_expressions(&self.expect, CheckType::Steps).map_err(|why| why.within("expect"))?;
        for (name, capture) in &self.capture {
            let key = format!("capture.{name}");
            capture.validate().map_err(|why| Invalid::new(format!("`{key}` {why}")).at(&key))?;
        }
        self.filled(captured).map(drop).map_err(|unfillable| Invalid::new(unfillable.why))
    }
}

impl StepsSettings {
    /// The steps, at least one, in their order.
    pub fn steps(&self) -> &[FlowStep] {
        &self.0
    }

    /// What the step at `index` is called in sentences: `step 2 (login)`.
    pub fn label(&self, index: usize) -> String {
        match self.0.get(index).and_then(|step| step.name.as_ref()) {
            Some(name) => format!("step {} ({name})", index + 1),
            None => format!("step {}", index + 1),
        }
    }

    /// The URL of the first step, whose host is the one that is checked.
    pub fn host_url(&self) -> url::Url {
        self.first().url.parts()
    }

    fn first(&self) -> &HttpSettings {
        // Invariant: `steps` refuses an empty list.
        #[expect(clippy::expect_used, reason = "valid by construction")]
        &self.0.first().expect("a flow has at least one step").http
    }
}

fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FlowStep>, D::Error> {
    let steps = crate::text::list::<FlowStep, D>(deserializer, "steps", STEPS_MAX)?;
    match steps.is_empty() {
        false => Ok(steps),
        true => Err(serde::de::Error::custom("the list of steps is empty: expected at least one step")),
    }
}

/// What expressions may ask of a flow, beyond what they may ask of its last answer.
const VARIABLES: &[Field] =
    &[Field::new("captures", Type::Map(&Type::String), "what was captured until then, by name; as text")];

impl TypeSettings for StepsSettings {
    const EXPECTS: &'static [&'static str] = &[];
    const VARIABLES: &'static [Field] = VARIABLES;
    const TABLES: &'static [&'static [Field]] = &[HttpSettings::VARIABLES, VARIABLES, variables::COMMON];

    fn host_port(&self) -> Option<HostPort> {
        self.first().host_port()
    }

    fn target_name(&self) -> String {
        self.first().target_name()
    }

    fn validate_parts(&self) -> Result<(), Invalid> {
        let captures: usize = self.0.iter().map(|step| step.capture.len()).sum();
        if captures > CAPTURES_MAX {
            return Err(Invalid::new(format!("`steps` capture {captures} values: expected at most {CAPTURES_MAX}")));
        }
        let mut captured = Captured::new();
        for (i, step) in self.0.iter().enumerate() {
            step.validate(&captured)
                .map_err(|why| why.of(&format!("{} of `steps`", self.label(i))).within(&format!("[{i}]")))?;
            captured.extend(step.capture.keys().map(|name| (name.clone(), Json::from("x"))));
        }
        let assertions: usize = self.0.iter().map(FlowStep::assertion_count).sum();
        if assertions > ASSERTIONS_MAX {
            return Err(Invalid::new(format!(
                "`steps` have {assertions} assertions, with one for each status and one for the captures of each step: \
                 expected at most {ASSERTIONS_MAX}"
            )));
        }
        Ok(())
    }

    fn verifies_host(&self) -> bool {
        let first = self.first().url.host_port();
        self.0.iter().map(|step| &step.http.url).any(|url| url.is_https() && url.host_port().host() == first.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Check;

    fn check(steps: &str) -> Result<Check, String> {
        serde_json::from_str(&format!(r#"{{"id": "flow", "steps": {steps}}}"#)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_flow_is_read_and_written_as_it_is() {
        let json = r#"[{"name":"login","http":{"url":"http://a:81/login"},"expect":{"that":"captures.token.size() > 3"},
            "capture":{"token":{"json_path":"$.token"},"sid":{"cookie":"sid","regex":"^(.)","show":true}}},
            {"http":{"url":"http://a:81/${sid}","headers":{"authorization":"Bearer ${token}"}}}]"#;
        let check = check(json).unwrap();
        assert_eq!(check.target_name(), "http://a:81/login");
        assert_eq!(check.check_type(), Some(CheckType::Steps));
        let written = serde_json::to_value(&check).unwrap();
        assert_eq!(written["steps"], serde_json::from_str::<Json>(json).unwrap());
        let packed = crate::encode(&check, crate::Format::MsgPack);
        assert_eq!(crate::decode::<Check>(&packed, crate::Format::MsgPack).unwrap(), check);
    }

    #[test]
    fn what_cannot_work_is_told_with_its_step() {
        let get = |more: &str| format!(r#"{{"http": {{"url": "http://a/"}}{more}}}"#);
        for (steps, told) in [
            ("[]".to_owned(), "at least one step"),
            (format!("[{}]", vec![get(""); 33].join(",")), "expected at most 32"),
            (format!("[{}, {{}}]", get("")), "missing field `http`"),
            (
                r#"[{"http": {"url": "http://a/${t}"}}]"#.to_owned(),
                "step 1 of `steps`: `http.url` refers to `${t}`, which no",
            ),
            (
                r#"[{"name": "a b", "http": {"url": "http://a/${t}"}, "capture": {"t": {"header": "x"}}}]"#.to_owned(),
                "step 1 (a b) of `steps`: `http.url` refers to `${t}`",
            ),
            (r#"[{"http": {"url": "http://a/", "body": "${t"}}]"#.to_owned(), "`http.body`: `${t` is no reference"),
            (format!("[{}]", get(r#", "capture": {"t": {}}"#)), "`capture.t` does not say from where"),
            (
                format!("[{}]", get(r#", "capture": {"t": {"header": "x", "cookie": "y"}}"#)),
                "`capture.t` says from several places",
            ),
            (format!("[{}]", get(r#", "capture": {"t": {"regex": "(a)(b)"}}"#)), "has 2 groups"),
            (format!("[{}]", get(r#", "capture": {"a-b": {"regex": "a"}}"#)), "cannot be the name of a captured value"),
            (format!("[{}]", get(r#", "capture": {"a": {"cookie": "a b"}}"#)), "is not the name of a cookie"),
            (format!("[{}]", get(r#", "expect": {"that": "stats == 200"}"#)), "`expect.that`: in `stats == 200`"),
            (
                format!("[{}]", get(r#", "expect": {"body_contains": "${t}"}"#)),
                "`expect.body_contains` refers to `${t}`",
            ),
            (format!("[{}]", get(r#", "name": """#)), "the name of a step is empty"),
            (
                r#"[{"http": {"url": "http://a/", "headers": {"connection": "x"}}}]"#.to_owned(),
                "step 1 of `steps`: `http.headers`",
            ),
            (
                format!("[{}]", get(&format!(r#", "expect": {{"body_contains": {:?}}}"#, vec!["x"; 64]))),
                "`steps` have 65 assertions",
            ),
        ] {
            let error = check(&steps).unwrap_err();
            assert!(error.contains(told), "{steps}: {error}");
        }
        let captures: Vec<_> = (0..65).map(|i| format!(r#""c{i}": {{"header": "x"}}"#)).collect();
        let error = check(&format!("[{}]", get(&format!(r#", "capture": {{{}}}"#, captures.join(","))))).unwrap_err();
        assert!(error.contains("capture 65 values"), "{error}");
    }

    #[test]
    fn only_what_every_type_has_is_expected_of_the_whole() {
        let check = |expect: &str| {
            let json =
                format!(r#"{{"id": "flow", "steps": [{{"http": {{"url": "http://a/"}}}}], "expect": {expect}}}"#);
            serde_json::from_str::<Check>(&json).map_err(|e| e.to_string())
        };
        check(r#"{"max_latency": "1s", "that": "status == 200 && captures.size() == 0"}"#).unwrap();
        let error = check(r#"{"status": 200}"#).unwrap_err();
        assert!(error.contains("expected `that` or `max_latency` there"), "{error}");
    }
}
