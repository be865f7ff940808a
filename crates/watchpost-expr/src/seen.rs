//! The values that an evaluation saw, as its report shows them.

use std::fmt::{self, Write};

use crate::limits::{REDACTED_BYTES_MAX, SEEN_CHARS_MAX, SEEN_MAX};
use crate::value::Value;

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it was read, as the expression names it; the variable of a loop is replaced by the
    /// entry that it stood for: `body.json.items[3].state`.
    pub path: String,
    /// The value in short: numbers as they are, texts in quotes, control characters escaped; `absent`
    /// and `present` where only that was looked at. At most
    /// [`SEEN_CHARS_MAX`](crate::limits::SEEN_CHARS_MAX) characters and an ellipsis.
    pub value: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.path, self.value)
    }
}

/// Hides what must not be shown of the values that an evaluation saw.
pub trait Redact {
    /// What to show instead of `text`, which is a text at `path` or within the value there: raw,
    /// not cut to what is shown, but to at most
    /// [`REDACTED_BYTES_MAX`](crate::limits::REDACTED_BYTES_MAX) bytes. `None` shows it as it is.
    fn redact(&self, path: &str, text: &str) -> Option<String>;
}

impl<F: Fn(&str, &str) -> Option<String>> Redact for F {
    fn redact(&self, path: &str, text: &str) -> Option<String> {
        self(path, text)
    }
}

/// Shows every value as it is.
pub(crate) struct NothingSecret;

impl Redact for NothingSecret {
    fn redact(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}

/// The values seen so far. Each path is kept once.
#[derive(Debug, Default)]
pub(crate) struct SeenList(Vec<Seen>);

impl SeenList {
    /// Whether there is room for `path`, and it is not there yet.
    pub(crate) fn lacks(&self, path: &str) -> bool {
        self.0.len() < SEEN_MAX && self.0.iter().all(|seen| seen.path != path)
    }

    pub(crate) fn add(&mut self, path: String, value: String) {
        self.0.push(Seen { path, value });
    }

    pub(crate) fn into_vec(self) -> Vec<Seen> {
        self.0
    }
}

/// The value at `path` in short.
pub(crate) fn rendered(path: &str, value: &Value<'_>, redact: &dyn Redact) -> String {
    let mut out = Short { text: String::new(), room: SEEN_CHARS_MAX, path, redact };
    // It says no when it is full: what was written by then is the short form.
    if out.value(value).is_err() {
        out.text.push('…');
    }
    out.text
}

/// Takes so many characters and then no more.
struct Short<'r> {
    text: String,
    room: usize,
    path: &'r str,
    redact: &'r dyn Redact,
}

impl Write for Short<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let cut = text.char_indices().nth(self.room).map(|(at, _)| at);
        self.text.push_str(text.get(..cut.unwrap_or(text.len())).unwrap_or_default());
        match cut {
            Some(_) => {
                self.room = 0;
                Err(fmt::Error)
            }
            None => {
                self.room -= text.chars().count();
                Ok(())
            }
        }
    }
}

impl Short<'_> {
    /// Recursion ends when the room does: each level writes a bracket first.
    fn value(&mut self, value: &Value<'_>) -> fmt::Result {
        match value {
            Value::Null => self.write_str("null"),
            Value::Bool(value) => write!(self, "{value}"),
            Value::Int(value) => write!(self, "{value}"),
            Value::Double(value) => write!(self, "{value:?}"),
            Value::String(text) => self.text(text),
            Value::List(entries) => self.list(entries.iter().map(Value::borrowed)),
            Value::Map(entries) => {
                let keys = entries.keys().map(|key| (entries.get(&key), key));
                self.object(keys.map(|(value, key)| (key, value.unwrap_or(Value::Null))))
            }
            Value::Record(_) => self.write_str("{…}"),
            Value::Json(serde_json::Value::Array(entries)) => self.list(entries.iter().map(Value::of_json)),
            Value::Json(serde_json::Value::Object(entries)) => {
                self.object(entries.iter().map(|(key, value)| (key, Value::of_json(value))))
            }
            Value::Json(scalar) => self.value(&Value::of_json(scalar)),
        }
    }

    fn list<'v>(&mut self, entries: impl Iterator<Item = Value<'v>>) -> fmt::Result {
        self.write_str("[")?;
        for (index, entry) in entries.enumerate() {
            if index > 0 {
                self.write_str(", ")?;
            }
            self.value(&entry)?;
        }
        self.write_str("]")
    }

    fn object<'v>(&mut self, entries: impl Iterator<Item = (impl AsRef<str>, Value<'v>)>) -> fmt::Result {
        self.write_str("{")?;
        for (index, (key, value)) in entries.enumerate() {
            if index > 0 {
                self.write_str(", ")?;
            }
            self.text(key.as_ref())?;
            self.write_str(": ")?;
            self.value(&value)?;
        }
        self.write_str("}")
    }

    fn text(&mut self, text: &str) -> fmt::Result {
        let beginning = text.get(..text.floor_char_boundary(REDACTED_BYTES_MAX)).unwrap_or_default();
        let hidden = self.redact.redact(self.path, beginning);
        self.write_char('"')?;
        for c in hidden.as_deref().unwrap_or(text).chars() {
            match c {
                '"' | '\\' => write!(self, "\\{c}")?,
                c if c.is_control() => write!(self, "{}", c.escape_default())?,
                c => self.write_char(c)?,
            }
        }
        self.write_char('"')
    }
}
