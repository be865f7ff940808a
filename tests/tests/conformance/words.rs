//! The words in braces that stand for what is known only once servers listen.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What each word stands for. `{addr}` in a text becomes what `addr` stands for; braces around anything
/// but letters, digits, `_` and `.`, the first of them a letter, are left alone, and so are those after a `$`
/// and `{target.…}`.
#[derive(Debug, Clone, Default)]
pub struct Words(BTreeMap<String, String>);

impl Words {
    pub fn set(&mut self, word: impl Into<String>, value: impl Into<String>) {
        self.0.insert(word.into(), value.into());
    }

    /// `{addr}`, `{ip}` and `{port}` of a server; of one that has a name, `{name.addr}` and so on.
    pub fn set_address(&mut self, name: &str, address: SocketAddr) {
        self.set(prefixed(name, "addr"), address.to_string());
        self.set(prefixed(name, "ip"), address.ip().to_string());
        self.set(prefixed(name, "port"), address.port().to_string());
    }

    /// The same words for what they are in a regular expression.
    pub fn escaped(&self) -> Self {
        Self(self.0.iter().map(|(word, value)| (word.clone(), regex::escape(value))).collect())
    }

    /// `text` with what its words stand for.
    ///
    /// # Errors
    /// When a word stands for nothing, which is a mistake in the row.
    pub fn filled_in(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, after) = rest.split_at(start);
            filled.push_str(before);
            let word = after[1..].split_once('}').map(|(word, _)| word).filter(|word| is_word(word));
            // What a check refers to is the check's, and so is what is filled in for its targets.
            let word = word.filter(|word| !before.ends_with('$') && !word.starts_with("target."));
            match word {
                None => filled.push('{'),
                Some(word) => {
                    let known = || self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let value = self.0.get(word).ok_or_else(|| format!("{{{word}}} is none of {}", known()))?;
                    filled.push_str(value);
                }
            }
            rest = &after[word.map_or(1, |word| word.len() + 2)..];
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// `part`, or `name.part` where there is a name.
pub fn prefixed(name: &str, part: &str) -> String {
    if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.')
}

#[test]
fn words_are_filled_in_and_other_braces_left() {
    let mut words = Words::default();
    words.set_address("", "127.0.0.1:80".parse().unwrap());
    words.set("secure.host", "a.test");
    let filled = words.filled_in("{ url: 'http://{addr}/{secure.host}/${addr}' } a{2} {port}{").unwrap();
    assert_eq!(filled, "{ url: 'http://127.0.0.1:80/a.test/${addr}' } a{2} 80{");
    assert_eq!(words.escaped().filled_in("^{ip}$").unwrap(), r"^127\.0\.0\.1$");
    assert!(words.filled_in("{nobody}").unwrap_err().contains("{nobody} is none of addr, ip, port"));
}
