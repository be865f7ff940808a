//! What a step keeps of its answer for later ones.

use serde::{Deserialize, Deserializer, Serialize};

use crate::expect::{HeaderName, Pattern, compile_pattern};
use crate::json_path::JsonPath;
use crate::references::is_name;
use crate::text::text_type;

text_type!(
    /// The name of a captured value: 1 to 64 of `A-Z a-z 0-9 _`.
    CaptureName,
    "the name of a captured value",
    64,
    |text| match is_name(text) {
        true => Ok(()),
        false => Err(format!(
            "`{}` cannot be the name of a captured value: expected letters, digits and _",
            crate::shorten(text, 40)
        )),
    }
);

text_type!(
    /// The name of a cookie.
    CookieName,
    "the name of a cookie",
    256,
    |text| {
        let is_token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
        match !text.is_empty() && text.bytes().all(is_token) {
            true => Ok(()),
            false => Err(format!("`{}` is not the name of a cookie", crate::shorten(text, 60))),
        }
    }
);

/// Where in an answer a value is found. With nothing but `regex` it is looked for in the body; `regex` beside another key
/// takes its part of what is found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// A place in a body that is JSON (RFC 9535): a text, number, `true` or `false`; of several the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_path: Option<JsonPath>,
    /// A header of the answer, by name; of several the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
    /// A cookie that was set by then, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<CookieName>,
    /// A regular expression. Its group is captured, where it has one, and otherwise all that it matches.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "with_one_group")]
    pub regex: Option<Pattern>,
    /// Whether results may show the value. Without it, it is taken for a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show: bool,
}

impl Capture {
    /// What holds between the parts.
    ///
    /// # Errors
    /// What does not.
    pub(super) fn validate(&self) -> Result<(), String> {
        let sources = [self.json_path.is_some(), self.header.is_some(), self.cookie.is_some()];
        match (sources.iter().filter(|given| **given).count(), &self.regex) {
            (1, _) | (0, Some(_)) => Ok(()),
            (0, None) => Err("does not say from where: expected `json_path`, `header`, `cookie` or `regex`".into()),
            _ => Err("says from several places: expected one of `json_path`, `header` and `cookie`".into()),
        }
    }
}

/// Several groups would leave open which one is meant.
fn with_one_group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Pattern>, D::Error> {
    let Some(pattern) = Option::<Pattern>::deserialize(deserializer)? else { return Ok(None) };
    match compile_pattern(&pattern).captures_len() - 1 {
        0 | 1 => Ok(Some(pattern)),
        groups => Err(serde::de::Error::custom(format_args!(
            "the regular expression has {groups} groups: expected one around what is captured, and `(?:…)` elsewhere"
        ))),
    }
}
