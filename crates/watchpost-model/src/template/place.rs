//! One place of a template: how it is written, and what is filled in there.

use std::borrow::Cow;
use std::fmt::Write;

use super::{Context, SUBJECT, Samples};
use crate::targets::{FoundTarget, LABEL_NAME_BYTES_MAX, is_label_name};

/// One `{{target.…}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) what: What,
    /// What to write where the target has no such label.
    default: Option<Box<str>>,
    written: Written,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Address,
    Host,
    Port,
    Label(Box<str>),
}

/// How a label is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// As the context wants it.
    Safe,
    /// As it is.
    Raw,
    /// For the inside of a JSON text.
    Json,
}

impl Place {
    /// Reads what follows `{{`, up to and with `}}`. Returns what comes after it.
    pub(super) fn parse(inner: &str) -> Result<(Self, &str), String> {
        let known = "expected `target.address`, `target.host`, `target.port` or `target.labels.NAME`";
        let inner = inner.strip_prefix(SUBJECT).ok_or(known)?;
        let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(inner.len());
        let (path, mut rest) = inner.split_at(end);
        let what = match path.split_once('.') {
            None if path == "address" => What::Address,
            None if path == "host" => What::Host,
            None if path == "port" => What::Port,
            Some(("labels", name)) if name.len() <= LABEL_NAME_BYTES_MAX && is_label_name(name) => {
                What::Label(name.into())
            }
            _ => return Err(format!("there is no `target.{}`: {known}", crate::shorten(path, 40))),
        };
        let mut place = Self { what, default: None, written: Written::Safe };
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(after) = rest.strip_prefix("}}") {
                return Ok((place, after));
            }
            let filter = rest.strip_prefix('|').ok_or("expected `}}` or `|` after the name")?;
            rest = place.filter(filter.trim_start_matches(' '))?;
        }
    }

    /// Reads one filter, and returns what comes after it.
    fn filter<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let is_label = matches!(self.what, What::Label(_));
        let known = "expected `default(\"…\")`, `raw` or `json`";
        let (name, rest) = text.split_at(text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len()));
        match name {
            "default" | "raw" | "json" if !is_label => {
                Err(format!("every target has an address: `{name}` goes with labels only"))
            }
            "raw" => {
                self.written = Written::Raw;
                Ok(rest)
            }
            "json" => {
                self.written = Written::Json;
                Ok(rest)
            }
            "default" => {
                let (default, rest) = quoted(rest).ok_or("expected a text in quotes, as in `default(\"none\")`")?;
                self.default = Some(default.into());
                Ok(rest)
            }
            other => Err(format!("there is no filter `{}`: {known}", crate::shorten(other, 20))),
        }
    }

    pub(super) fn value<'a>(&'a self, context: Context, target: &'a FoundTarget) -> Result<Cow<'a, str>, String> {
        let address = target.address().ok_or_else(|| target.fault().unwrap_or("it has no address").to_owned())?;
        let is_v6 = address.host().contains(':');
        let value = match &self.what {
            What::Address => Cow::Owned(address.to_string()),
            What::Host if is_v6 && matches!(context, Context::Url | Context::HostPort) => {
                Cow::Owned(format!("[{}]", address.host()))
            }
            What::Host => Cow::Borrowed(address.host()),
            What::Port => Cow::Owned(address.port().to_string()),
            What::Label(name) => return self.label(name, context, target),
        };
        Ok(match (context, &self.what) {
            (Context::Pattern, _) => Cow::Owned(regex::escape(&value)),
            (Context::Expression, What::Address | What::Host) => Cow::Owned(quoted_text(&value)),
            _ => value,
        })
    }

    fn label<'a>(&'a self, name: &str, context: Context, target: &'a FoundTarget) -> Result<Cow<'a, str>, String> {
        // A label that is empty is one that is not there, as with Prometheus.
        let value = target.labels().get(name).filter(|value| !value.is_empty()).or(self.default.as_deref());
        let value = value.ok_or_else(|| format!("the target has no label `{name}`"))?;
        if value.contains(char::is_control) {
            return Err(format!("the label `{name}` holds control characters, which are filled in nowhere"));
        }
        Ok(match (self.written, context) {
            (Written::Json, _) => Cow::Owned(json_escaped(value)),
            (Written::Safe, Context::Url) => Cow::Owned(percent_encoded(value)),
            (Written::Safe, Context::Pattern) => Cow::Owned(regex::escape(value)),
            (Written::Safe, Context::Expression) => Cow::Owned(quoted_text(value)),
            _ => Cow::Borrowed(value),
        })
    }

    pub(super) fn sample(&self, context: Context, samples: &Samples) -> Cow<'static, str> {
        let sample = match self.what {
            What::Address => "target.invalid:80",
            What::Host => "target.invalid",
            What::Port => "80",
            What::Label(_) => samples.label,
        };
        match (context, &self.what, self.written) {
            (Context::Expression, What::Address | What::Host | What::Label(_), Written::Safe) => {
                Cow::Owned(quoted_text(sample))
            }
            _ => Cow::Borrowed(sample),
        }
    }
}

/// As a text of the expression language, which has the escapes of JSON and no others are needed.
fn quoted_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads `("…")` or `('…')`, in which a backslash stands before a quote or a backslash.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches(' ').strip_prefix('(')?.trim_start_matches(' ');
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut inside = String::new();
    let mut chars = text.char_indices().skip(1);
    loop {
        match chars.next()? {
            (_, '\\') => inside.push(chars.next()?.1),
            (at, c) if c == quote => {
                let rest = text.get(at + 1..)?.trim_start_matches(' ').strip_prefix(')')?;
                return Some((inside, rest));
            }
            (_, c) => inside.push(c),
        }
    }
}

/// Everything but what RFC 3986, section 2.3, calls unreserved.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => {
                let _infallible = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

/// As it stands between the quotes of a JSON text.
fn json_escaped(text: &str) -> String {
    let quoted = quoted_text(text);
    quoted.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or_default().to_owned()
}
