//! Bodies that `http` checks send.

use data_encoding::BASE64;
use serde::{Deserializer, Serializer};

use super::BODY_SENT_BYTES_MAX;
use crate::text::text_type;

text_type!(
    /// Bytes in base64, with padding.
    Base64Text,
    "the body in base64",
    BODY_SENT_BYTES_MAX.div_ceil(3) * 4,
    |text| BASE64.decode(text.as_bytes()).map(drop).map_err(|e| format!("`body_base64` is not base64: {e}"))
);

impl Base64Text {
    /// The bytes.
    pub fn decoded(&self) -> Vec<u8> {
        // Invariant: it was decoded once when the value was made.
        BASE64.decode(self.as_str().as_bytes()).unwrap_or_default()
    }
}

/// As a newtype, which no format shows: templates may stand in a body.
pub(super) fn write<S: Serializer>(body: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match body {
        Some(body) => serializer.serialize_newtype_struct("Body", body),
        None => serializer.serialize_none(),
    }
}

/// Reads a body as text, within its bound.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct OptionalBody;

    impl<'de> serde::de::Visitor<'de> for OptionalBody {
        type Value = Option<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the body as text")
        }

        fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            crate::text::deserialize(deserializer, "the body", BODY_SENT_BYTES_MAX).map(Some)
        }
    }

    deserializer.deserialize_option(OptionalBody)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_taken_as_such_or_told() {
        let bytes = |text: &str| text.parse::<Base64Text>().map(|text| text.decoded());
        assert_eq!(bytes("AAH/").unwrap(), [0, 1, 255]);
        assert!(bytes("").unwrap().is_empty());
        for bad in ["AAH", "A", "AAH_", "AA H/", "AAH/\n"] {
            assert!(bytes(bad).unwrap_err().to_string().contains("is not base64"), "{bad}");
        }
    }
}
