//! Values as YAML that people like to read, and that our own reader reads back as they are.

use crate::out::{Fields, Out};

/// The widest list that stands on one line.
const FLOW_CHARS_MAX: usize = 100;

/// Writes the checks as the key `checks` of a file.
pub(crate) fn checks(checks: &[Out]) -> String {
    if checks.is_empty() {
        return "checks: []\n".to_owned();
    }
    let mut text = "checks:\n".to_owned();
    for (i, check) in checks.iter().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        entry(check, 2, &mut text);
    }
    text
}

fn entry(value: &Out, indent: usize, text: &mut String) {
    text.push_str(&" ".repeat(indent));
    text.push_str("- ");
    match value {
        Out::Map(Fields(entries)) if !entries.is_empty() => {
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    text.push_str(&" ".repeat(indent + 2));
                }
                keyed(key, value, indent + 2, text);
            }
        }
        other => {
            text.push_str(&flow(other));
            text.push('\n');
        }
    }
}

fn keyed(key: &str, value: &Out, indent: usize, text: &mut String) {
    text.push_str(&scalar(key));
    text.push(':');
    match value {
        Out::Map(Fields(entries)) if !entries.is_empty() => {
            text.push('\n');
            for (key, value) in entries {
                text.push_str(&" ".repeat(indent + 2));
                keyed(key, value, indent + 2, text);
            }
        }
        Out::List(list) if !list.is_empty() && !fits(value) => {
            text.push('\n');
            list.iter().for_each(|value| entry(value, indent + 2, text));
        }
        other => {
            text.push(' ');
            text.push_str(&flow(other));
            text.push('\n');
        }
    }
}

/// Whether a list may stand on one line: short, of plain values, and with nothing that the environment fills in, which
/// in brackets would end at its first brace.
fn fits(value: &Out) -> bool {
    let Out::List(list) = value else { return false };
    let plain = |value: &Out| matches!(value, Out::Bool(_) | Out::Number(_) | Out::Text(_));
    list.iter().all(plain) && flow(value).chars().count() <= FLOW_CHARS_MAX
}

fn flow(value: &Out) -> String {
    match value {
        Out::Bool(flag) => flag.to_string(),
        Out::Number(number) => number.to_string(),
        Out::Text(text) => scalar(text),
        Out::Environment(text) => environment(text),
        Out::List(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Out::Map(Fields(entries)) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    }
}

/// A text that means what it says.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let visible = |c: char| !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}');
    if text.chars().all(visible) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    quoted(text)
}

/// A text that the environment is to fill in stands without quotes; [`is_plain_environment`] says whether it can.
fn environment(text: &str) -> String {
    if is_plain_environment(text) { text.to_owned() } else { quoted(text) }
}

/// Whether a text with `${NAME}` can stand without quotes, so that it is filled in.
pub(crate) fn is_plain_environment(text: &str) -> bool {
    let first =
        text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '$' | '/' | '.' | '(' | '^'));
    let inner = |c: char| !c.is_control() && (c.is_ascii() || c.is_alphanumeric());
    first && text.chars().all(inner) && !text.contains(": ") && !text.contains(" #") && !text.ends_with([':', ' '])
}

/// Texts that need no quotes anywhere: not in brackets either, and that no reader takes for something else.
fn is_plain(text: &str) -> bool {
    const RESERVED: [&str; 13] =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~", "nan", "inf", "infinity"];
    let is_duration = |text: &str| {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        unit.len() < text.len() && ["ms", "s", "m", "h", "d"].contains(&unit)
    };
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_' | '$');
    let inner = |c: char| c.is_ascii_alphanumeric() || "_-./:=+@%$()^?*<>|\\~;".contains(c);
    let words = !text.is_empty() && text.split(' ').all(|word| !word.is_empty() && word.chars().all(inner));
    (words
        && text.starts_with(first)
        && !text.ends_with(':')
        && !text.contains(": ")
        && !text.contains("${")
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str()))
        || text.split(' ').all(is_duration)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => match u32::from(c) {
                code @ 0..=0xff => quoted.push_str(&format!("\\x{code:02x}")),
                code => quoted.push_str(&format!("\\u{code:04x}")),
            },
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::Node;

    fn read_back(value: &Out) -> Option<String> {
        let mut fields = Fields::default();
        fields.set("id", "x");
        fields.set("list", Out::List(vec![value.clone(), value.clone()]));
        fields.set("text", value.clone());
        let text = checks(&[Out::Map(fields)]);
        let read = Node::parse(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let crate::tree::Value::List(list) = &read.get("checks").unwrap().value else { panic!("{text}") };
        let crate::tree::Value::List(inner) = &list[0].get("list").unwrap().value else { panic!("{text}") };
        assert_eq!(inner[0], Node { line: inner[0].line, ..inner[1].clone() });
        assert_eq!(inner[0].value, list[0].get("text").unwrap().value, "{text}");
        match &inner[0].value {
            crate::tree::Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    #[test]
    fn texts_stand_plainly_where_they_can_and_are_read_back_as_they_are() {
        for (text, written) in [
            ("GET", "GET"),
            ("1m 30s", "1m 30s"),
            ("http://a.example:80/x?y=1", "http://a.example:80/x?y=1"),
            ("true", "'true'"),
            ("10.0.0.1:80", "'10.0.0.1:80'"),
            ("it's", "'it''s'"),
            ("{{target.address}}", "'{{target.address}}'"),
            ("a: b", "'a: b'"),
            ("a #b", "'a #b'"),
            ("${HOME}", "'${HOME}'"),
            ("status < 300", "status < 300"),
            ("a\nb", "\"a\\nb\""),
            ("1e3", "'1e3'"),
            ("", "''"),
            ("-", "'-'"),
            ("No", "'No'"),
        ] {
            assert_eq!(scalar(text), written);
            assert_eq!(read_back(&Out::from(text)).as_deref(), Some(text));
        }
        for text in ["${A}", "Bearer ${TOKEN}", "https://${HOST}/x", "body.json.v == \"${V}\""] {
            assert_eq!(environment(text), text);
        }
        for text in ["a: ${B}", "\"${A}\"", "${A}\n", "{${A}}"] {
            assert!(!is_plain_environment(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_as_it_is(text in any::<String>()) {
            prop_assert_eq!(read_back(&Out::from(text.as_str())), Some(text));
        }

        #[test]
        fn every_short_text_of_what_yaml_minds_is_read_back(text in "[-?:,\\[\\]{}#&*!|>'\"%@` a1.$\\\\~\n\t]{0,8}") {
            prop_assert_eq!(read_back(&Out::from(text.as_str())), Some(text));
        }
    }
}
