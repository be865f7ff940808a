//! Assertions in their short forms: what a check expects of an answer.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::text_type;
use crate::time::Latency;

/// The most assertions that one check may have.
pub const ASSERTIONS_MAX: usize = 64;
/// The largest compiled form of a regular expression, in bytes. Matching is linear in the input.
const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;
/// The most ranges in a set of status codes.
const STATUS_RANGES_MAX: usize = 64;

text_type!(
    /// A regular expression (syntax of the Rust `regex` crate; linear time, no look-around).
    Pattern,
    "the regular expression",
    1024,
    |text| compile_text(text).map(|_| ())
);

fn compile_text(text: &str) -> Result<regex::bytes::Regex, String> {
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
    // Invariant: `compile_text` accepted this very text when the value was made.
    #[expect(clippy::expect_used, reason = "valid by construction")]
    compile_text(pattern.as_str()).expect("a Pattern compiles")
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

/// A run of status codes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The first code.
    pub first: u16,
    /// The last code.
    pub last: u16,
}

impl StatusRange {
    fn new(first: u64, last: u64) -> Result<Self, String> {
        let range = 100..=999;
        match (u16::try_from(first), u16::try_from(last)) {
            (Ok(first), Ok(last)) if range.contains(&first) && range.contains(&last) && first <= last => {
                Ok(Self { first, last })
            }
            _ => {
                Err(format!("status {first}-{last} is out of range: expected codes from 100 to 999, the smaller first"))
            }
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{}` is not a status: expected for example `200`, `200-299` or `2xx`", crate::shorten(text, 20))
        };
        let number = |digits: &str| digits.trim().parse::<u64>().map_err(|_| wrong());
        let text = text.trim();
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse::<u8>().map_err(|_| wrong())?;
            return Self::new(u64::from(class) * 100, u64::from(class) * 100 + 99);
        }
        match text.split_once('-') {
            Some((first, last)) => Self::new(number(first)?, number(last)?),
            None => Self::new(number(text)?, number(text)?),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Status codes that are accepted: in YAML `200`, `200-299`, `2xx`, or a list of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<StatusRange>);

impl StatusSet {
    /// Whether `status` is accepted.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| (range.first..=range.last).contains(&status))
    }
}

impl std::str::FromStr for StatusSet {
    type Err = crate::Invalid;

    /// Reads ranges that are separated by commas.
    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        if text.split(',').count() > STATUS_RANGES_MAX {
            return Err(crate::Invalid::new(format!("too many statuses: expected at most {STATUS_RANGES_MAX} ranges")));
        }
        let ranges: Result<Vec<_>, _> = text.split(',').map(StatusRange::parse).collect();
        ranges.map(Self).map_err(crate::Invalid::new)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            range.fmt(f)?;
        }
        Ok(())
    }
}

impl Serialize for StatusSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Set;

        impl<'de> Visitor<'de> for Set {
            type Value = StatusSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 200, 200-299 or 2xx, or a list of them")
            }

            fn visit_u64<E: Error>(self, status: u64) -> Result<StatusSet, E> {
                StatusRange::new(status, status).map(|range| StatusSet(vec![range])).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, status: i64) -> Result<StatusSet, E> {
                self.visit_u64(u64::try_from(status).unwrap_or(0))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StatusSet, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StatusSet, A::Error> {
                let mut ranges = Vec::new();
                while let Some(StatusSet(more)) = seq.next_element()? {
                    ranges.extend(more);
                    if ranges.len() > STATUS_RANGES_MAX {
                        return Err(A::Error::custom(format_args!(
                            "the status list is too long: expected at most {STATUS_RANGES_MAX} ranges"
                        )));
                    }
                }
                if ranges.is_empty() {
                    return Err(A::Error::custom("the status list is empty: nothing could pass"));
                }
                Ok(StatusSet(ranges))
            }
        }

        deserializer.deserialize_any(Set)
    }
}

impl schemars::JsonSchema for StatusSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusSet".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A status such as 200, 200-299 or 2xx, or a list of them",
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 999 },
                { "type": "string" },
                { "type": "array", "minItems": 1, "items": { "type": ["integer", "string"] } },
            ],
        })
    }
}

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn is_empty(&self) -> bool {
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
    /// The longest total time that is acceptable (every type).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Latency>,
}

impl Expect {
    /// Whether nothing is expected beyond the type's own rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether anything is expected that only an HTTP answer has.
    pub(crate) fn first_http_only_key(&self) -> Option<&'static str> {
        [
            ("status", self.status.is_some()),
            ("body_contains", !self.body_contains.is_empty()),
            ("body_matches", !self.body_matches.is_empty()),
            ("header", !self.header.is_empty()),
        ]
        .into_iter()
        .find_map(|(key, used)| used.then_some(key))
    }

    pub(crate) fn assertion_count(&self) -> usize {
        usize::from(self.status.is_some())
            + self.body_contains.0.len()
            + self.body_matches.0.len()
            + self.header.len()
            + usize::from(self.max_latency.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_as_numbers_ranges_classes_and_lists() {
        let set = |json: &str| serde_json::from_str::<StatusSet>(json);
        for (json, shown) in [
            ("200", "200"),
            (r#""200-299""#, "200-299"),
            (r#""2xx""#, "200-299"),
            (r#"[200, "3xx"]"#, "200, 300-399"),
            (r#""200, 3xx""#, "200, 300-399"),
        ] {
            assert_eq!(set(json).unwrap().to_string(), shown, "{json}");
        }
        for bad in [
            "99",
            "1000",
            "-1",
            r#""299-200""#,
            r#""abc""#,
            "[]",
            "{}",
            r#""99999999999999999xx""#,
            r#""4611686018427387906xx""#,
        ] {
            assert!(set(bad).is_err(), "{bad}");
        }
        let many = (100..165).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert!(many.parse::<StatusSet>().is_err(), "none of them may be dropped without a word");
        let accepted = set(r#"["2xx", 404]"#).unwrap();
        assert!(accepted.contains(204) && accepted.contains(404) && !accepted.contains(500));
    }

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
