//! `$NAME` and `${NAME}`, which both Gatus and we read from the environment.
//!
//! While a file is translated, a reference is its name between two characters that no text has, so that what is made of a
//! text (patterns, expressions, URLs) leaves it alone. When a check is finished, it becomes `${NAME}` again.

use crate::tree::{Node, Value};

/// What begins a reference: characters for private use, which nothing escapes or refuses.
pub(crate) const OPEN: char = '\u{f0000}';
/// What ends it.
pub(crate) const CLOSE: char = '\u{f0001}';

/// Marks the references in all texts.
pub(super) fn mark(node: &mut Node) {
    match &mut node.value {
        Value::Text(text) if text.contains('$') => *text = marked(text),
        Value::List(list) => list.iter_mut().for_each(mark),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| mark(node)),
        _ => {}
    }
}

fn marked(text: &str) -> String {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let mut marked = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        marked.push_str(before);
        // `$$` stands for `$`.
        if let Some(after) = after.strip_prefix('$') {
            marked.push('$');
            rest = after;
            continue;
        }
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let (name, after_name) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, after)) => (name, after),
            None => after.split_at(end),
        };
        if is_name(name) {
            marked.extend([OPEN]);
            marked.push_str(name);
            marked.extend([CLOSE]);
            rest = after_name;
        } else {
            marked.push('$');
            rest = after;
        }
    }
    marked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_marked_and_the_rest_is_not() {
        for (text, shown) in [
            ("Bearer ${TOKEN}", "Bearer <TOKEN>"),
            ("$HOST:$PORT/x", "<HOST>:<PORT>/x"),
            ("a$$b $${c} ^x$ $1 ${} ${a", "a$b ${c} ^x$ $1 ${} ${a"),
        ] {
            assert_eq!(marked(text).replace(OPEN, "<").replace(CLOSE, ">"), shown);
        }
    }
}
