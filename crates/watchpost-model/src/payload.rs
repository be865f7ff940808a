//! What a check sends.

use std::borrow::Cow;
use std::fmt;

use data_encoding::BASE64;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::network::FilePath;
use crate::references::{self, TextPart};
use crate::text::text_type;

/// The most bytes that settings hold to be sent at once.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

text_type!(
    zeroized
    /// A text to send, at most 64 KiB.
    PayloadText,
    "the text to send",
    PAYLOAD_BYTES_MAX,
    |_| Ok(())
);

text_type!(
    /// Bytes in hexadecimal, at most 64 KiB of them; white space between them counts for nothing.
    Hex,
    "the bytes in hexadecimal",
    4 * PAYLOAD_BYTES_MAX,
    |text| hex(text).map(|_| ())
);

text_type!(
    /// Bytes in base64, with padding, at most 64 KiB of them.
    Base64,
    "the bytes in base64",
    PAYLOAD_BYTES_MAX.div_ceil(3) * 4,
    |text| base64(text).map(|_| ())
);

/// What a check sends: a text as it is, `"PING\r\n"`; bytes, `{hex: "00 ff"}` or `{base64: "AP8="}`; or what a file on
/// the machine that runs the check holds, `{file: "/etc/watchpost/body"}`, at most 1 MiB, read anew for each check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A text.
    Text(PayloadText),
    /// Bytes in hexadecimal.
    Hex(Hex),
    /// Bytes in base64.
    Base64(Base64),
    /// The content of a file.
    File(FilePath),
}

impl Payload {
    /// What is sent, unless it is in a file: then which that is.
    ///
    /// # Errors
    /// The file.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, &FilePath> {
        // Invariant: `hex` and `base64` accepted these very texts when the value was made.
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text.as_str().as_bytes())),
            Self::Hex(digits) => Ok(Cow::Owned(hex(digits.as_str()).unwrap_or_default())),
            Self::Base64(digits) => Ok(Cow::Owned(base64(digits.as_str()).unwrap_or_default())),
            Self::File(file) => Err(file),
        }
    }
}

impl PayloadText {
    /// The text with `${name}` told apart from the rest. `$${` stands for `${`.
    ///
    /// # Errors
    /// What is wrong with a `${`.
    pub fn parts(&self) -> Result<Vec<TextPart<'_>>, String> {
        references::parts(self.as_str())
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
    let wrong = || format!("`{}` are not bytes in hexadecimal: expected for example `0d 0a`", crate::shorten(text, 40));
    let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(wrong)?;
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    few(digits.chunks(2).filter_map(|pair| u8::try_from(byte(pair)).ok()).collect())
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    let wrong = |_| format!("`{}` is not base64: expected for example `AP8=`", crate::shorten(text, 40));
    few(BASE64.decode(text.as_bytes()).map_err(wrong)?)
}

fn few(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match bytes.len() {
        0..=PAYLOAD_BYTES_MAX => Ok(bytes),
        more => Err(format!("there are {more} bytes to send: expected at most {PAYLOAD_BYTES_MAX}")),
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Hex(digits) => serializer.serialize_newtype_variant("Payload", 1, "hex", digits),
            Self::Base64(digits) => serializer.serialize_newtype_variant("Payload", 2, "base64", digits),
            Self::File(file) => serializer.serialize_newtype_variant("Payload", 3, "file", file),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Key {
            Hex,
            Base64,
            File,
        }

        struct TextOrBytes;

        impl<'de> Visitor<'de> for TextOrBytes {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a text (in quotes where it reads as a number or boolean), or one of `hex`, `base64` and `file`",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Payload, E> {
                text.parse().map(Payload::Text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
                let one = || A::Error::custom("expected one of `hex`, `base64` and `file`");
                let payload = match map.next_key()?.ok_or_else(one)? {
                    Key::Hex => Payload::Hex(map.next_value()?),
                    Key::Base64 => Payload::Base64(map.next_value()?),
                    Key::File => Payload::File(map.next_value()?),
                };
                match map.next_key::<Key>()? {
                    None => Ok(payload),
                    Some(_) => Err(one()),
                }
            }
        }

        deserializer.deserialize_any(TextOrBytes)
    }
}

impl schemars::JsonSchema for Payload {
    fn schema_name() -> Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (text, file) = (generator.subschema_for::<PayloadText>(), generator.subschema_for::<FilePath>());
        let (hex, base64) = (generator.subschema_for::<Hex>(), generator.subschema_for::<Base64>());
        schemars::json_schema!({
            "description": "what to send: a text, bytes in hexadecimal or base64, or the content of a file",
            "anyOf": [text, {
                "type": "object",
                "properties": { "hex": hex, "base64": base64, "file": file },
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_a_text_or_bytes_or_a_file() {
        for (json, bytes) in [
            (r#""""#, b"".as_slice()),
            (r#""ping\r\n""#, b"ping\r\n"),
            (r#"{"hex":"0d 0A\nff00"}"#, &[13, 10, 255, 0]),
            (r#"{"base64":"AP8="}"#, &[0, 255]),
        ] {
            let payload: Payload = serde_json::from_str(json).unwrap();
            assert_eq!(payload.bytes().unwrap(), bytes, "{json}");
            assert_eq!(serde_json::to_string(&payload).unwrap(), json);
            let packed = rmp_serde::to_vec_named(&payload).unwrap();
            assert_eq!(rmp_serde::from_slice::<Payload>(&packed).unwrap(), payload);
        }
        let file: Payload = serde_json::from_str(r#"{"file": "/etc/body"}"#).unwrap();
        assert_eq!(file.bytes().unwrap_err().as_str(), "/etc/body");
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let one = "expected one of `hex`, `base64` and `file`";
        let too_long = format!(r#"{{"hex": "{}"}}"#, "00".repeat(PAYLOAD_BYTES_MAX + 1));
        let text = format!("{:?}", "x".repeat(PAYLOAD_BYTES_MAX + 1));
        for (json, told) in [
            ("{}", one),
            (r#"{"hex": "00", "base64": "AA=="}"#, one),
            (r#"{"text": "a"}"#, "unknown field `text`"),
            ("1", "expected a text (in quotes where it reads as a number or boolean)"),
            (r#"{"hex": "0"}"#, "not bytes in hexadecimal"),
            (r#"{"hex": "xx"}"#, "not bytes in hexadecimal"),
            (r#"{"base64": "AP8"}"#, "is not base64"),
            (r#"{"base64": "A-=="}"#, "is not base64"),
            (r#"{"base64": "AA H/"}"#, "is not base64"),
            (&too_long, "there are 65537 bytes to send: expected at most 65536"),
            (&text, "the text to send has 65537 bytes"),
        ] {
            let refused = serde_json::from_str::<Payload>(json).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
