//! Places in JSON: as our expressions and JSONPath write them.

use super::condition::Step;
use crate::written::literal;

/// Words of the language, which are no keys after a dot.
const WORDS: [&str; 4] = ["in", "true", "false", "null"];

fn is_identifier(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `body.json.data[0].id`
pub(crate) fn expression(path: &[Step]) -> String {
    let mut text = "body.json".to_owned();
    for step in path {
        match step {
            Step::Key(key) if is_identifier(key) && !WORDS.contains(&key.as_str()) => text.push_str(&format!(".{key}")),
            Step::Key(key) => text.push_str(&format!("[{}]", literal(key))),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// `$.data[0].id`
pub(super) fn json_path(path: &[Step]) -> String {
    let mut text = "$".to_owned();
    for step in path {
        match step {
            Step::Key(key) if is_identifier(key) => text.push_str(&format!(".{key}")),
            Step::Key(key) => text.push_str(&format!("['{}']", key.replace('\\', "\\\\").replace('\'', "\\'"))),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
