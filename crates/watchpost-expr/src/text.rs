//! Texts as messages and reports show them.

use std::borrow::Cow;

/// At most `chars_max` characters of `text`, with an ellipsis where it was cut; control characters
/// are made visible, and what is blank on several lines becomes one space.
pub(crate) fn shortened(text: &str, chars_max: usize) -> Cow<'_, str> {
    let end = text.char_indices().nth(chars_max).map(|(at, _)| at);
    if end.is_none() && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut short = String::new();
    for c in text.get(..end.unwrap_or(text.len())).unwrap_or_default().chars() {
        match c {
            '\n' | '\t' | '\r' => short.push(' '),
            c if c.is_control() => short.extend(c.escape_default()),
            c => short.push(c),
        }
    }
    if end.is_some() {
        short.push('…');
    }
    Cow::Owned(short)
}

/// `text` as a message quotes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text, 40))
}

/// The name that is most like `wanted`, where one is so like it that it may be meant: at most a third of its letters
/// differ, and one.
pub fn similar<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let far = wanted.len().min(64) / 3 + 1;
    names
        .filter(|name| name.len().abs_diff(wanted.len()) <= far)
        .map(|name| (distance(name.as_bytes(), wanted.as_bytes()), name))
        .filter(|(distance, name)| *distance <= far && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters must be put in, taken out or replaced to make `b` of `a` (Levenshtein's
/// distance); upper and lower case count as the same.
fn distance(a: &[u8], b: &[u8]) -> usize {
    // Row `i` of the table: the distance of the first `i` letters of `a` from each beginning of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äöü…");
        assert_eq!(shortened("a\nb\x1b", 9), "a b\\u{1b}");
    }

    #[test]
    fn a_name_is_meant_only_if_it_is_like_the_wanted_one() {
        let names = ["status", "tls", "phases"];
        let meant = |wanted| similar(wanted, names.into_iter());
        assert_eq!(meant("statsu"), Some("status"));
        assert_eq!(meant("Status"), Some("status"));
        assert_eq!(meant("tsl"), Some("tls"));
        assert_eq!(meant("phase"), Some("phases"));
        assert_eq!(meant("duration"), None);
        assert_eq!(meant("x"), None);
    }
}
