//! A dialogue over a stream: what is sent, what is expected, where TLS begins.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use watchpost_expr::{Field, Type};

use crate::expect::compile_bounded;
use crate::network::TlsSettings;
use crate::payload::Payload;
use crate::references::TextPart;
use crate::text::text_type;

/// The most steps of one dialogue.
pub const STEPS_MAX: usize = 32;
/// The most that is read for one expectation, in bytes.
pub const ANSWER_BYTES_MAX: u32 = 64 * 1024;

text_type!(
    /// A regular expression for a step: as elsewhere, but `^` and `$` match at the borders of lines as well.
    LinePattern,
    "the regular expression",
    1024,
    |text| compile_bounded(&with_lines(text)).map(|_| ())
);

fn with_lines(text: &str) -> String {
    format!("(?mR){text}")
}

impl LinePattern {
    /// The text to compile, which says by flags what `^` and `$` mean.
    pub fn flagged(&self) -> String {
        with_lines(self.as_str())
    }

    /// The names of its capture groups.
    pub fn captures(&self) -> Vec<String> {
        let flagged = self.flagged();
        let text = crate::template::sampled("LinePattern", &flagged, |text| compile_bounded(text).is_ok());
        let compiled = compile_bounded(&text);
        compiled.map(|regex| regex.capture_names().flatten().map(str::to_owned).collect()).unwrap_or_default()
    }
}

/// What expressions may ask of a dialogue.
pub(crate) const VARIABLES: &[Field] = &[
    Field::new("received", Type::String, "the last answer up to the end of its match, 4 KiB of it at most"),
    Field::new("received_bytes", Type::Int, "how much the peer sent, in bytes"),
    Field::new("captures", Type::Map(&Type::String), "what groups captured, by name; secrets left out"),
];

/// One step of a dialogue: send, then expect, then begin TLS; whichever of these it names.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DialogueStep {
    /// What to send. In a text `${name}` is what the group of this name captured in an earlier step; `$${` stands for
    /// `${`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Payload>,
    /// A regular expression that what the peer sends must match. What it sent beyond the match stays for the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<LinePattern>,
    /// How much may be read until `expect` matches, in bytes: 1 to 65536, the most if left out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "max_bytes")]
    #[schemars(range(min = 1, max = 65_536))]
    pub max_bytes: Option<u32>,
    /// Begins TLS, once the peer has agreed to it in plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starttls: Option<TlsSettings>,
    /// Whether no result may show what is sent and received in this step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl fmt::Debug for DialogueStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |sends: bool| sends.then_some(if self.secret { "[redacted]" } else { "…" });
        f.debug_struct("DialogueStep")
            .field("send", &shown(self.send.is_some()))
            .field("expect", &self.expect)
            .field("max_bytes", &self.max_bytes)
            .field("starttls", &self.starttls)
            .finish_non_exhaustive()
    }
}

fn max_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(bytes) = Option::<u64>::deserialize(deserializer)? else { return Ok(None) };
    match u32::try_from(bytes) {
        Ok(few) if (1..=ANSWER_BYTES_MAX).contains(&few) => Ok(Some(few)),
        _ => Err(serde::de::Error::custom(format_args!(
            "max_bytes {bytes} is out of range: expected 1 to {ANSWER_BYTES_MAX}"
        ))),
    }
}

/// Reads the steps of a dialogue.
pub(crate) fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DialogueStep>, D::Error> {
    crate::text::list(deserializer, "steps", STEPS_MAX)
}

/// What holds between the parts of a dialogue, whose settings are at `key`.
///
/// # Errors
/// What does not, with the step that is at fault.
pub(crate) fn validate(key: &str, steps: &[DialogueStep], is_simple: bool, mut is_tls: bool) -> Result<(), String> {
    if is_simple && !steps.is_empty() {
        return Err(format!("`{key}` has `steps` and `send` or `expect` beside them: expected these within the steps"));
    }
    let mut known = HashSet::new();
    for (i, step) in steps.iter().enumerate() {
        let wrong = |what: &str| format!("step {} of `{key}.steps` {what}", i + 1);
        if step.send.is_none() && step.expect.is_none() && step.starttls.is_none() {
            return Err(wrong("does nothing: expected `send`, `expect` or `starttls`"));
        }
        if step.max_bytes.is_some() && step.expect.is_none() {
            return Err(wrong("has `max_bytes` without `expect`: expected both, or neither"));
        }
        if let Some(Payload::Text(send)) = &step.send {
            for part in send.parts().map_err(|why| wrong(&format!("cannot be sent: {why}")))? {
                if let TextPart::Captured(name) = part
                    && !known.contains(name)
                {
                    return Err(wrong(&format!("sends `${{{name}}}`, which no earlier step captures")));
                }
            }
        }
        known.extend(step.expect.iter().flat_map(LinePattern::captures));
        if step.starttls.is_some() && std::mem::replace(&mut is_tls, true) {
            return Err(wrong("begins TLS, which there is already"));
        }
    }
    Ok(())
}

/// Whether a certificate is held against the target's own host, by `tls` or in a step.
pub(crate) fn verifies_target(tls: Option<&TlsSettings>, steps: &[DialogueStep]) -> bool {
    tls.into_iter().chain(steps.iter().filter_map(|step| step.starttls.as_ref())).any(TlsSettings::verifies_target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_make_no_sense_are_named() {
        let told = |steps: &str, is_tls| {
            let steps: Vec<DialogueStep> = serde_json::from_str(steps).unwrap();
            validate("tcp", &steps, false, is_tls).err().unwrap_or_default()
        };
        assert_eq!(told(r#"[{"expect": "(?P<a>x)"}, {"send": "${a}"}, {"starttls": {}}]"#, false), "");
        for (steps, is_tls, why) in [
            ("[{}]", false, "step 1 of `tcp.steps` does nothing"),
            (r#"[{"expect": "x"}, {"send": "${a}"}]"#, false, "step 2 of `tcp.steps` sends `${a}`, which no earlier"),
            (r#"[{"send": "${a}", "expect": "(?P<a>x)"}]"#, false, "step 1 of `tcp.steps` sends `${a}`"),
            (r#"[{"send": "${a"}]"#, false, "cannot be sent: `${a` is no reference"),
            (r#"[{"send": "a", "max_bytes": 1}]"#, false, "`max_bytes` without `expect`"),
            (r#"[{"starttls": {}}]"#, true, "begins TLS, which there is already"),
            (r#"[{"starttls": {}}, {"starttls": {}}]"#, false, "step 2 of `tcp.steps` begins TLS"),
        ] {
            assert!(told(steps, is_tls).contains(why), "{steps}: {}", told(steps, is_tls));
        }
    }

    #[test]
    fn what_is_secret_is_not_shown_in_traces() {
        let step: DialogueStep = serde_json::from_str(r#"{"send": "PASS hunter2", "secret": true}"#).unwrap();
        assert!(!format!("{step:?}").contains("hunter2"), "{step:?}");
    }
}
