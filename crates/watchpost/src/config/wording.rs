//! What the YAML reader says, as people who write checks understand it: it speaks to programmers, and appends the place,
//! which is told already.

use watchpost_model::similar;

/// What is wrong, and what was expected.
pub fn message_of(error: &serde_saphyr::Error) -> String {
    let message = error.to_string();
    let message = message.split_once(" at line ").map_or(message.as_str(), |(before, _)| before);
    let message = message.trim_start_matches("error: ");
    if let Some(name) = message.strip_prefix("missing property `").and_then(|rest| rest.strip_suffix('`')) {
        return format!("the environment variable `{name}` is not set: set it, or write `${{{name}:-default}}`");
    }
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(',').next().unwrap_or(rest);
        return format!("the key `{key}` is there twice: expected once");
    }
    if message.starts_with("multiple YAML documents") {
        return "a second document begins here: expected one in each file".to_owned();
    }
    if message.starts_with("tabs disallowed") {
        return "this line is indented by a tab: expected spaces".to_owned();
    }
    if let Some(meant) = meant_by(message) {
        return format!("did you mean `{meant}`? {message}");
    }
    match message {
        "invalid u64" => "this is not a whole number: expected one, without quotes or unit",
        "invalid bool" => "this is neither true nor false: expected one of them",
        "expected string scalar" => "this is a list, or has keys of its own: expected a text or a number",
        "expected sequence start" => "this is no list: expected one, whose entries begin with `- `",
        "expected mapping start" => "this has no keys of its own: expected some, as in `key: value`",
        other => other,
    }
    .to_owned()
}

/// The key that is probably meant by one that is not known.
fn meant_by(message: &str) -> Option<&str> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    let known = known.trim_start_matches("one of ").split(", ").map(|key| key.trim_matches('`'));
    similar(unknown, known)
}
