//! References to what an earlier step captured: `${name}` in the texts of later ones.

/// A part of a text that may refer to what was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPart<'a> {
    /// As it is.
    Text(&'a str),
    /// What was captured by this name.
    Captured(&'a str),
}

/// The text with `${name}` told apart from the rest. `$${` stands for `${`.
///
/// # Errors
/// What is wrong with a `${`.
pub(crate) fn parts(text: &str) -> Result<Vec<TextPart<'_>>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            parts.push(TextPart::Text(before));
            parts.push(TextPart::Text("${"));
            rest = reference.strip_prefix("${").unwrap_or_default();
            continue;
        }
        parts.push(TextPart::Text(before));
        // It is the Runner's to fill in, before captures are.
        if let Some(end) = reference.strip_prefix(crate::secrets::OPEN).and_then(|_| reference.find('}')) {
            let (secret, after) = reference.split_at(end + 1);
            parts.push(TextPart::Text(secret));
            rest = after;
            continue;
        }
        let wrong = || {
            let shown = crate::shorten(reference, 20);
            format!("`{shown}` is no reference to a capture: expected `${{name}}`, or `$${{` for the characters")
        };
        let (name, after) = reference.strip_prefix("${").and_then(|inner| inner.split_once('}')).ok_or_else(wrong)?;
        if !is_name(name) {
            return Err(wrong());
        }
        parts.push(TextPart::Captured(name));
        rest = after;
    }
    parts.push(TextPart::Text(rest));
    parts.retain(|part| *part != TextPart::Text(""));
    Ok(parts)
}

/// Whether a reference can name it.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::TextPart::{Captured, Text};
    use super::*;

    #[test]
    fn references_in_a_text_are_told_apart_from_the_rest() {
        for (text, told) in [
            ("plain $5 {a}", vec![Text("plain $5 {a}")]),
            ("", vec![]),
            ("${a}${b_1}", vec![Captured("a"), Captured("b_1")]),
            ("x ${a}\r\n", vec![Text("x "), Captured("a"), Text("\r\n")]),
            ("${secret:s-1}${a}", vec![Text("${secret:s-1}"), Captured("a")]),
            ("$${secret:s}", vec![Text("${"), Text("secret:s}")]),
            ("x $${a} ${b}", vec![Text("x "), Text("${"), Text("a} "), Captured("b")]),
        ] {
            assert_eq!(parts(text), Ok(told), "{text}");
        }
        for bad in ["${", "${}", "${a b}", "${ä}", "a ${b"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }
}
