//! Signed checks of which something was altered.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;
use watchpost_model::{Check, Format, decode, encode};
use watchpost_trust::verify;

use crate::rig::{FULL, group, signed, trusted};

/// Whether what is written there is accepted, and is not the check that was signed.
fn is_taken_for_it(original: &Check, bytes: &[u8], format: Format) -> bool {
    let Ok(read) = decode::<Check>(bytes, format) else { return false };
    read != *original && verify(&read, &group("site"), &trusted()).is_ok()
}

/// Every value in a document, by its path.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            leaves(value, &format!("{path}/{key}"), found);
        }),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| leaves(value, &format!("{path}/{i}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// Other values of the same kind.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(given) => vec![(!given).into()],
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![(number + 1).into(), number.saturating_sub(1).into()]
        }
        Value::String(text) => {
            let mut others = vec![format!("{text}0"), format!("x{text}"), String::new()];
            for (i, c) in text.char_indices().step_by(5) {
                let other = if c == '1' { '2' } else { '1' };
                others.push(format!("{}{other}{}", &text[..i], &text[i + c.len_utf8()..]));
            }
            others.into_iter().map(Value::from).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn no_field_of_a_signed_check_can_be_altered_or_taken_away() {
    let check = signed(FULL, 41);
    assert!(verify(&check, &group("site"), &trusted()).is_ok());
    let document: Value = serde_json::from_slice(&encode(&check, Format::Json)).unwrap();
    let mut paths = Vec::new();
    leaves(&document, "", &mut paths);
    assert!(paths.len() > 25, "{paths:?}");
    let mut tried = 0;
    for path in &paths {
        for other in others(document.pointer(path).unwrap()) {
            let mut altered = document.clone();
            *altered.pointer_mut(path).unwrap() = other;
            tried += 1;
            assert!(!is_taken_for_it(&check, altered.to_string().as_bytes(), Format::Json), "{path}: {altered}");
        }
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut altered = document.clone();
        match altered.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.remove(key)),
            Value::Array(values) => drop(values.remove(key.parse().unwrap())),
            _ => unreachable!(),
        }
        assert!(!is_taken_for_it(&check, altered.to_string().as_bytes(), Format::Json), "without {path}");
    }
    assert!(tried > 120, "{tried}");
}

#[test]
fn nothing_can_be_put_into_a_signed_check() {
    let check = signed(FULL, 41);
    let document: Value = serde_json::from_slice(&encode(&check, Format::Json)).unwrap();
    for (path, key, value) in [
        ("", "paused", true.into()),
        ("", "scheduled", false.into()),
        ("", "policy", "fail_fast".into()),
        ("/http", "insecure", true.into()),
        ("/http", "proxy", "http://10.9.9.9:3128".into()),
        ("/http/headers", "Authorization", "x".into()),
        ("/http/tls", "verify", false.into()),
        ("/expect", "body", "x".into()),
        ("/signature", "group", "other".into()),
    ] {
        let mut altered = document.clone();
        altered.pointer_mut(path).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        assert!(!is_taken_for_it(&check, altered.to_string().as_bytes(), Format::Json), "{path}/{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_byte_of_a_signed_check_can_be_altered(at in any::<prop::sample::Index>(), byte in any::<u8>(), packed in any::<bool>()) {
        static SIGNED: LazyLock<Check> = LazyLock::new(|| signed(FULL, 41));
        let check = &*SIGNED;
        let format = if packed { Format::MsgPack } else { Format::Json };
        let mut bytes = encode(check, format);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert!(!is_taken_for_it(check, &bytes, format));
    }
}
