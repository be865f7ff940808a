//! Sets of HTTP status codes.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most ranges in a set of status codes.
const STATUS_RANGES_MAX: usize = 64;

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
}
