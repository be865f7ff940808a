//! Bytes that a check sends, as people write them.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest form, in bytes.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes to send: a text, `{hex: …}` or `{base64: …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    form: Form,
    /// As it was written.
    written: Box<str>,
    bytes: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Hex,
    Base64,
}

impl Payload {
    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn new(form: Form, written: &str) -> Result<Self, String> {
        if written.len() > PAYLOAD_BYTES_MAX {
            return Err(format!("what to send has {} bytes: expected at most {PAYLOAD_BYTES_MAX}", written.len()));
        }
        let shown = || crate::shorten(written, 40);
        let bytes = match form {
            Form::Text => written.as_bytes().to_vec(),
            Form::Hex => hex(written).ok_or_else(|| {
                format!("`{}` is not in hexadecimal: expected pairs of digits, such as `00 ff`", shown())
            })?,
            Form::Base64 => {
                base64(written).ok_or_else(|| format!("`{}` is not in base64: expected for example `AP8=`", shown()))?
            }
        };
        Ok(Self { form, written: written.into(), bytes: bytes.into() })
    }
}

/// Pairs of digits; white space between them counts for nothing.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
    let pairs = digits?;
    let pair = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    };
    pairs.chunks(2).map(pair).collect()
}

/// The alphabet of RFC 4648, section 4, with the padding; white space counts for nothing.
fn base64(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let padding = symbols.iter().rev().take_while(|byte| **byte == b'=').count();
    let data = symbols.get(..symbols.len() - padding)?;
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3);
    for group in data.chunks(4) {
        let mut bits = 0u32;
        for symbol in group {
            let six = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        // What is missing of the last group are zeros.
        bits <<= 6 * (4 - group.len());
        let [_, first, second, third] = bits.to_be_bytes();
        let unused = bits & ((1 << (8 * (4 - group.len()))) - 1);
        match group.len() {
            4 => bytes.extend([first, second, third]),
            3 if unused == 0 => bytes.extend([first, second]),
            2 if unused == 0 => bytes.push(first),
            _ => return None,
        }
    }
    (padding == (4 - data.len() % 4) % 4).then_some(bytes)
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = match self.form {
            Form::Text => return serializer.serialize_str(&self.written),
            Form::Hex => "hex",
            Form::Base64 => "base64",
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, &*self.written)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrForm;

        impl<'de> Visitor<'de> for TextOrForm {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, `{hex: …}` or `{base64: …}`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Payload, E> {
                Payload::new(Form::Text, text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
                let wrong = || A::Error::custom("expected exactly one of `text`, `hex` and `base64`");
                let (key, written): (String, String) = map.next_entry()?.ok_or_else(wrong)?;
                let form = match key.as_str() {
                    "text" => Form::Text,
                    "hex" => Form::Hex,
                    "base64" => Form::Base64,
                    _ => return Err(wrong()),
                };
                match map.next_key::<String>()? {
                    None => Payload::new(form, &written).map_err(A::Error::custom),
                    Some(_) => Err(wrong()),
                }
            }
        }

        deserializer.deserialize_any(TextOrForm)
    }
}

impl schemars::JsonSchema for Payload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = |key: &str| {
            schemars::json_schema!({
                "type": "object",
                "properties": { key: { "type": "string", "maxLength": PAYLOAD_BYTES_MAX } },
                "required": [key],
                "additionalProperties": false,
            })
        };
        schemars::json_schema!({
            "description": "Bytes to send: a text, in hexadecimal, or in base64.",
            "anyOf": [
                { "type": "string", "maxLength": PAYLOAD_BYTES_MAX }, one("text"), one("hex"), one("base64"),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_texts_digits_or_base64_and_are_written_back_as_they_came() {
        for (json, bytes) in [
            (r#""ping\r\n""#, b"ping\r\n".as_slice()),
            (r#"{"hex":"00 fF\n10"}"#, &[0, 255, 16]),
            (r#"{"hex":""}"#, b""),
            (r#"{"base64":"AP8="}"#, &[0, 255]),
            (r#"{"base64":"AP8Q"}"#, &[0, 255, 16]),
            (r#"{"base64":"/w=="}"#, &[255]),
        ] {
            let read: Payload = serde_json::from_str(json).unwrap();
            assert_eq!(read.bytes(), bytes, "{json}");
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        let text: Payload = serde_json::from_str(r#"{"text": "00"}"#).unwrap();
        assert_eq!(text.bytes(), b"00");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for bad in [
            "{}",
            "1",
            r#"{"hex": "0"}"#,
            r#"{"hex": "0g"}"#,
            r#"{"base64": "AP8"}"#,
            r#"{"base64": "AP9="}"#,
            r#"{"base64": "A==="}"#,
            r#"{"base64": "===="}"#,
            r#"{"base64": "AP=8"}"#,
            r#"{"hex": "00", "text": "a"}"#,
            r#"{"bytes": "00"}"#,
        ] {
            assert!(serde_json::from_str::<Payload>(bad).is_err(), "{bad}");
        }
        let long = serde_json::to_string(&"x".repeat(PAYLOAD_BYTES_MAX + 1)).unwrap();
        assert!(serde_json::from_str::<Payload>(&long).is_err());
    }
}
