//! A text as whoever undoes its escapes reads it: a secret is found in it however each of its characters was written.

use zeroize::Zeroizing;

/// Ways to write a character by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// `%2F`, as URLs have it.
    Percent,
    /// The same, and `+` for a space, as forms have it.
    Form,
    /// `\"`, `\n`, `\u002f`, `\x2f`, as JSON and debug output have it.
    Backslash,
    /// `&quot;`, `&#39;`, as HTML has it.
    Entity,
}

const ALL: [Escapes; 4] = [Escapes::Percent, Escapes::Form, Escapes::Backslash, Escapes::Entity];
/// How often escapes are undone: JSON within JSON, a URL within JSON.
pub(super) const DEPTH: usize = 2;

/// A text in lower case, perhaps without escapes, with where each of its bytes is from.
pub(super) struct View {
    bytes: Zeroizing<Vec<u8>>,
    /// Where in the text itself the escape, or the byte, begins and ends.
    from: Vec<(usize, usize)>,
}

impl View {
    fn raw(text: &[u8]) -> Self {
        let from = (0..text.len()).map(|at| (at, at + 1)).collect();
        Self { bytes: Zeroizing::new(text.to_vec()), from }
    }

    /// The same without these escapes; `None` where there are none.
    fn without(&self, escapes: Escapes) -> Option<Self> {
        let mut plain = Self { bytes: Zeroizing::new(Vec::with_capacity(self.bytes.len())), from: Vec::new() };
        let (mut at, mut any) = (0, false);
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (character, taken) = match escapes.undo(rest) {
                Some(undone) => {
                    any = true;
                    undone
                }
                None => (Character::of_byte(rest.first().copied().unwrap_or_default()), 1),
            };
            let begin = self.from.get(at).map_or(0, |from| from.0);
            let end = self.from.get(at + taken - 1).map_or(begin, |from| from.1);
            for byte in character.bytes() {
                plain.bytes.push(*byte);
                plain.from.push((begin, end));
            }
            at += taken;
        }
        any.then_some(plain)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in the text the bytes from `begin` to `end` of the view are from.
    pub(super) fn place(&self, begin: usize, end: usize) -> std::ops::Range<usize> {
        let first = self.from.get(begin).map_or(0, |from| from.0);
        let last = end.checked_sub(1).and_then(|last| self.from.get(last)).map_or(first, |from| from.1);
        first..last
    }
}

/// `text` as it is, and without its escapes, undone at most `depth` times, in lower case.
pub(super) fn views(text: &[u8], depth: usize) -> Vec<View> {
    let mut views = vec![View::raw(text)];
    let mut level = 0..1;
    for _ in 0..depth {
        let next = views.len();
        for at in level {
            let undone: Vec<_> = ALL.iter().filter_map(|escapes| views.get(at)?.without(*escapes)).collect();
            views.extend(undone);
        }
        level = next..views.len();
    }
    views.iter_mut().for_each(|view| view.bytes.make_ascii_lowercase());
    views
}

/// A character in UTF-8, or a single byte.
struct Character([u8; 4], usize);

impl Character {
    fn of_byte(byte: u8) -> Self {
        Self([byte, 0, 0, 0], 1)
    }

    fn of_code(code: u32) -> Option<Self> {
        let mut bytes = [0; 4];
        let length = char::from_u32(code)?.encode_utf8(&mut bytes).len();
        Some(Self(bytes, length))
    }

    fn bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

impl Escapes {
    /// What `rest` begins with, if it is an escape, and how many bytes that is.
    fn undo(self, rest: &[u8]) -> Option<(Character, usize)> {
        match (self, rest.first()?) {
            (Self::Percent | Self::Form, b'%') => {
                let byte = u8::try_from(number(rest.get(1..3)?, 16)?).ok()?;
                Some((Character::of_byte(byte), 3))
            }
            (Self::Form, b'+') => Some((Character::of_byte(b' '), 1)),
            (Self::Backslash, b'\\') => backslash(rest.get(1..)?).map(|(character, taken)| (character, taken + 1)),
            (Self::Entity, b'&') => entity(rest.get(1..)?).map(|(character, taken)| (character, taken + 1)),
            _ => None,
        }
    }
}

fn backslash(rest: &[u8]) -> Option<(Character, usize)> {
    let byte = match rest.first()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'0' => 0,
        b'x' => return Some((Character::of_byte(u8::try_from(number(rest.get(1..3)?, 16)?).ok()?), 3)),
        b'u' => return unicode(rest),
        other if other.is_ascii_punctuation() => *other,
        _ => return None,
    };
    Some((Character::of_byte(byte), 1))
}

/// `u002f`, `ud83d\ude00`, `u{2f}`.
fn unicode(rest: &[u8]) -> Option<(Character, usize)> {
    if rest.get(1) == Some(&b'{') {
        let end = rest.iter().take(10).position(|byte| *byte == b'}')?;
        return Some((Character::of_code(number(rest.get(2..end)?, 16)?)?, end + 1));
    }
    let first = number(rest.get(1..5)?, 16)?;
    if let (0xd800..=0xdbff, Some(b"\\u")) = (first, rest.get(5..7)) {
        let second = number(rest.get(7..11)?, 16)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        return Some((Character::of_code(0x1_0000 + ((first - 0xd800) << 10) + second)?, 11));
    }
    Some((Character::of_code(first)?, 5))
}

fn entity(rest: &[u8]) -> Option<(Character, usize)> {
    let end = rest.iter().take(10).position(|byte| *byte == b';')?;
    let code = match rest.get(..end)? {
        b"lt" => u32::from(b'<'),
        b"gt" => u32::from(b'>'),
        b"amp" => u32::from(b'&'),
        b"quot" => u32::from(b'"'),
        b"apos" => u32::from(b'\''),
        [b'#', b'x' | b'X', hex @ ..] => number(hex, 16)?,
        [b'#', decimal @ ..] => number(decimal, 10)?,
        _ => return None,
    };
    Some((Character::of_code(code)?, end + 1))
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| u32::from_str_radix(text, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_each_byte_knows_where_it_is_from() {
        for (text, plain) in [
            ("a%2fb%2Fc", "a/b/c"),
            ("a+b%20c", "a b c"),
            (r#"a\"b\/c\\d\n\u002f\u{2f}\x2f"#, "a\"b/c\\d\n///"),
            (r"\ud83d\ude00", "😀"),
            ("a&quot;b&#39;c&#x2F;&amp;", "a\"b'c/&"),
            (r#"{\"a\": \"x\\\"y\"}"#, "{\"a\": \"x\"y\"}"),
            ("%5C%22", "\""),
            ("%", "%"),
            (r"\", r"\"),
            ("&;&#;&#x;%zz\\u{", "&;&#;&#x;%zz\\u{"),
        ] {
            let all = views(text.as_bytes(), DEPTH);
            assert!(all.iter().any(|view| view.bytes() == plain.as_bytes()), "{text}");
            assert!(all.iter().all(|view| view.bytes.len() == view.from.len()));
        }
        let text = "x%2Fy%2Fz";
        let view = &views(text.as_bytes(), DEPTH)[1];
        assert_eq!(&text[view.place(1, 4)], "%2Fy%2F");
        assert_eq!(&text[view.place(2, 3)], "y");
    }
}
