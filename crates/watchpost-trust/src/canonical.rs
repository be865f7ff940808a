//! The bytes that a signature is over: one way only to write a check (RFC 8785, the JSON Canonicalization Scheme).

use std::fmt::Write;

use serde_json::{Map, Number, Value};
use watchpost_model::{BastionGroup, Check, CheckDocument, CheckSignature, SignerKey, Timestamp};

/// What stands before the JSON, so that no signature over anything else is ever one over a check.
const DOMAIN: &str = "watchpost signed check 1\n";

/// What a signature says besides the check.
pub(crate) struct Said<'a> {
    pub(crate) by: &'a SignerKey,
    pub(crate) group: &'a BastionGroup,
    pub(crate) revision: u64,
    pub(crate) at: Timestamp,
}

impl<'a> From<&'a CheckSignature> for Said<'a> {
    fn from(signature: &'a CheckSignature) -> Self {
        let CheckSignature { by, group, revision, at, .. } = signature;
        Self { by, group, revision: *revision, at: *at }
    }
}

/// What a signature of a check is over: a line that says so, and the JSON object of `at`, `by`, `check` (the whole
/// check without its signature, with its interval and timeout where it left them out), `group` and `revision`.
pub fn canonical_bytes(check: &Check, signature: &CheckSignature) -> Vec<u8> {
    canonical(check.clone().into(), &signature.into())
}

pub(crate) fn canonical(document: CheckDocument, said: &Said<'_>) -> Vec<u8> {
    let document = CheckDocument { signature: None, ..document };
    let object = Map::from_iter([
        ("at".to_owned(), said.at.to_string().into()),
        ("by".to_owned(), said.by.as_str().into()),
        // Invariant: checks are plain data with text keys, which JSON can always express.
        ("check".to_owned(), serde_json::to_value(document).unwrap_or_default()),
        ("group".to_owned(), said.group.as_str().into()),
        ("revision".to_owned(), said.revision.into()),
    ]);
    let mut out = DOMAIN.to_owned();
    write_value(&mut out, &Value::Object(object));
    out.into_bytes()
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_text(out, text),
        Value::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, value);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            // By UTF-16 code units (RFC 8785, section 3.2.3), which is not the order of bytes.
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write_value(out, value);
            }
            out.push('}');
        }
    }
}

/// As ECMAScript writes texts (RFC 8785, section 3.2.2.2).
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            // Writing into a text cannot fail.
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// As ECMAScript writes numbers (RFC 8785, section 3.2.2.3). Integers beyond 2^53, which it does not have, are written
/// in full: rounded, two of them would have one signature.
fn write_number(out: &mut String, number: &Number) {
    match number.as_f64().filter(|_| number.is_f64()) {
        None => out.push_str(&number.to_string()),
        Some(float) => write_float(out, float),
    }
}

/// ECMA-262, Number::toString, from the shortest digits that read back as the same number.
fn write_float(out: &mut String, float: f64) {
    if float == 0.0 {
        return out.push('0');
    }
    if float < 0.0 {
        out.push('-');
    }
    let shortest = format!("{:e}", float.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Where the point stands, counted in digits from the first.
    let point = exponent + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or_default());
    match usize::try_from(point) {
        _ if (count..=21).contains(&point) => {
            out.push_str(&digits);
            out.push_str(&zeros(point - count));
        }
        Ok(before @ 1..=21) => {
            out.push_str(&digits[..before]);
            out.push('.');
            out.push_str(&digits[before..]);
        }
        _ if (-5..=0).contains(&point) => {
            out.push_str("0.");
            out.push_str(&zeros(-point));
            out.push_str(&digits);
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            // Writing into a text cannot fail.
            write!(out, "e{exponent:+}").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jcs(json: &str) -> String {
        let mut out = String::new();
        write_value(&mut out, &serde_json::from_str(json).unwrap());
        out
    }

    #[test]
    fn values_are_written_as_the_examples_of_the_scheme() {
        // RFC 8785, sections 3.2.2 to 3.2.4, but for a number of more digits than the reader takes for what they are.
        let input = r#"{"numbers":[333333333.3333333,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                        \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(jcs(input), expected);
        let input = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        assert_eq!(
            jcs(input),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn floats_are_written_as_ecmascript_does() {
        // RFC 8785, appendix B.
        for (bits, written) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        ] {
            let mut out = String::new();
            write_float(&mut out, f64::from_bits(bits));
            assert_eq!(out, written, "{bits:x}");
        }
        assert_eq!(jcs("18446744073709551615"), "18446744073709551615");
    }
}
