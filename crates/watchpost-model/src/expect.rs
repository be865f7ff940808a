//! Assertions in their short forms: what a check expects of an answer.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dialogue::LinePattern;
use crate::json_path::{JsonExpect, JsonPath};
use crate::status::StatusSet;
use crate::text::text_type;
use crate::time::Latency;

/// The most assertions that one check may have.
pub const ASSERTIONS_MAX: usize = 64;
/// The largest compiled form of a regular expression, in bytes. Matching is linear in the input.
const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;

text_type!(
    /// A regular expression (syntax of the Rust `regex` crate; linear time, no look-around).
    Pattern,
    "the regular expression",
    1024,
    |text| compile_bounded(text).map(|_| ())
);

/// Compiles a regular expression within bounds of its own.
pub(crate) fn compile_bounded(text: &str) -> Result<regex::bytes::Regex, String> {
    regex::bytes::RegexBuilder::new(text)
        .size_limit(PATTERN_COMPILED_BYTES_MAX)
        .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX)
        .nest_limit(50)
        .build()
        .map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression is too large once compiled: expected a simpler one".to_owned()
            }
            other => {
                let detail = other.to_string();
                let last = detail.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("`{}` is not a regular expression: {last}", crate::shorten(text, 60))
            }
        })
}

/// Compiles a pattern for matching against bytes, with bounded memory.
pub fn compile_pattern(pattern: &Pattern) -> regex::bytes::Regex {
    let text = crate::template::sampled("Pattern", pattern.as_str(), |text| compile_bounded(text).is_ok());
    // Invariant: `compile_bounded` accepted this very text when the value was made.
    #[expect(clippy::expect_used, reason = "valid by construction")]
    compile_bounded(&text).expect("a Pattern compiles")
}

/// Compiles a pattern of a step, by its [flagged](crate::LinePattern::flagged) text, with bounded memory.
pub fn compile_lines(pattern: &LinePattern) -> regex::bytes::Regex {
    let flagged = pattern.flagged();
    let text = crate::template::sampled("LinePattern", &flagged, |text| compile_bounded(text).is_ok());
    // Invariant: `compile_bounded` accepted this very text when the value was made.
    #[expect(clippy::expect_used, reason = "valid by construction")]
    compile_bounded(&text).expect("a LinePattern compiles")
}

text_type!(
    /// A header's name; compared without regard to case, kept in lower case.
    HeaderNameText,
    "a header name",
    256,
    |text| match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{}` is not a header name", crate::shorten(text, 60))),
    }
);

/// A header's name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct HeaderName(HeaderNameText);

impl HeaderName {
    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::str::FromStr for HeaderName {
    type Err = crate::Invalid;

    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        text.to_ascii_lowercase().parse().map(Self)
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "a header name", 256)?;
        text.parse().map_err(D::Error::custom)
    }
}

text_type!(
    /// A text that an answer must contain.
    Needle,
    "the text to look for",
    4096,
    |text| match text.is_empty() {
        false => Ok(()),
        true => Err("the text to look for is empty: everything contains it".into()),
    }
);

text_type!(
    /// An expression that must hold of the answer: docs/expressions.md describes the language. Which
    /// variables it may use depends on the check's type, so that only the check as a whole tells
    /// whether it is valid.
    Expression,
    "the expression",
    watchpost_expr::limits::SOURCE_BYTES_MAX,
    |_| Ok(())
);

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de, T: std::str::FromStr<Err = crate::Invalid>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts<T>(std::marker::PhantomData<T>);

        impl<'de, T: std::str::FromStr<Err = crate::Invalid>> Visitor<'de> for Texts<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(|one| OneOrMany(vec![one])).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(OneOrMany::<T>(more)) = seq.next_element()? {
                    all.extend(more);
                    if all.len() > ASSERTIONS_MAX {
                        return Err(A::Error::custom(format_args!(
                            "the list is too long: expected at most {ASSERTIONS_MAX} entries"
                        )));
                    }
                }
                Ok(OneOrMany(all))
            }
        }

        deserializer.deserialize_any(Texts(std::marker::PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// What a header of the answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeaderExpect {
    /// Whether it is there at all.
    Present(bool),
    /// Its exact value.
    Equals(Needle),
    /// A regular expression that its value must match.
    Matches(Pattern),
}

/// For how many days a certificate must still be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct CertDays(#[schemars(range(min = 1, max = 10_000))] u16);

impl CertDays {
    /// The most days that can be asked for.
    pub const MAX: u16 = 10_000;

    /// The number of days, 1 to [`CertDays::MAX`].
    pub fn get(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for CertDays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let days = u64::deserialize(deserializer)?;
        match u16::try_from(days) {
            Ok(few) if (1..=Self::MAX).contains(&few) => Ok(Self(few)),
            _ => Err(D::Error::custom(format_args!("{days} days are out of range: expected 1 to {}", Self::MAX))),
        }
    }
}

/// What a check expects of an answer. Where it says nothing, the type's own rule holds: an `http`
/// check passes below status 400, a `tcp` check once connected and answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Status codes to accept (`http`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusSet>,
    /// Texts that the body must contain (`http`).
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub body_contains: OneOrMany<Needle>,
    /// Regular expressions that the body must match (`http`).
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub body_matches: OneOrMany<Pattern>,
    /// What headers must be, by name (`http`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<HeaderName, HeaderExpect>,
    /// What must be at places of a body that is JSON, by JSONPath (`http`), for example `$.state: up`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json_path: BTreeMap<JsonPath, JsonExpect>,
    /// Expressions that must hold (every type), for example `body.json.items.size() > 0`.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub that: OneOrMany<Expression>,
    /// For how many days the server's certificate must still be valid, 1 to 10 000 (types with TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_days: Option<CertDays>,
    /// The longest total time that is acceptable (every type).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Latency>,
}

impl Expect {
    /// Whether nothing is expected beyond the type's own rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The keys that every type has.
    pub(crate) const OF_EVERY_TYPE: &'static [&'static str] = &["that", "max_latency"];

    /// The first key in use that is neither one of `known` nor one that every type has.
    pub(crate) fn first_key_that_is_not_of(&self, known: &[&str]) -> Option<&'static str> {
        [
            ("status", self.status.is_some()),
            ("body_contains", !self.body_contains.is_empty()),
            ("body_matches", !self.body_matches.is_empty()),
            ("header", !self.header.is_empty()),
            ("cert_days", self.cert_days.is_some()),
            ("json_path", !self.json_path.is_empty()),
        ]
        .into_iter()
        .find_map(|(key, used)| (used && !known.contains(&key)).then_some(key))
    }

    pub(crate) fn assertion_count(&self) -> usize {
        usize::from(self.status.is_some())
            + self.body_contains.0.len()
            + self.body_matches.0.len()
            + self.header.len()
            + usize::from(self.cert_days.is_some())
            + self.json_path.len()
            + self.that.0.len()
            + usize::from(self.max_latency.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_would_eat_memory_is_refused() {
        assert!(r"(\w{200}){200}".parse::<Pattern>().is_err());
        assert!("(".parse::<Pattern>().is_err());
        assert!(&"(".repeat(1000).parse::<Pattern>().is_err());
        assert!("^ok$".parse::<Pattern>().is_ok());
    }

    #[test]
    fn header_names_lose_their_case() {
        assert_eq!("Content-Type".parse::<HeaderName>().unwrap().as_str(), "content-type");
        assert!("a b".parse::<HeaderName>().is_err());
    }
}
