//! Versions of HTTP.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A version of HTTP that a check can insist on: `1.1` or `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl HttpVersion {
    /// The version as settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for HttpVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HttpVersion {
    /// Takes numbers as well: without quotes that is what YAML makes of a version.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Version;

        impl Visitor<'_> for Version {
            type Value = HttpVersion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version of HTTP, `1.1` or `2`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<HttpVersion, E> {
                match text {
                    "1.1" => Ok(HttpVersion::Http11),
                    "2" | "2.0" => Ok(HttpVersion::Http2),
                    other => Err(E::custom(format_args!(
                        "`{}` is not a version of HTTP that checks speak: expected `1.1` or `2`",
                        crate::shorten(other, 16)
                    ))),
                }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<HttpVersion, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<HttpVersion, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<HttpVersion, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Version)
    }
}

impl schemars::JsonSchema for HttpVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["1.1", "2", 1.1, 2], "description": "a version of HTTP" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_text_or_a_number() {
        for (json, version) in [
            (r#""1.1""#, HttpVersion::Http11),
            ("1.1", HttpVersion::Http11),
            (r#""2""#, HttpVersion::Http2),
            ("2", HttpVersion::Http2),
            ("2.0", HttpVersion::Http2),
        ] {
            assert_eq!(serde_json::from_str::<HttpVersion>(json).unwrap(), version, "{json}");
        }
        for json in ["1", "1.0", "3", "-2", r#""h2""#, "true", "null", "2e300"] {
            let told = serde_json::from_str::<HttpVersion>(json).unwrap_err().to_string();
            assert!(told.contains("`1.1` or `2`"), "{json}: {told}");
        }
        assert_eq!(serde_json::to_string(&HttpVersion::Http11).unwrap(), r#""1.1""#);
    }
}
