//! Messages on their way out and in.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{BusError, validate_subject};

/// A message's headers, in the order in which they were set. There are few of them.
///
/// NATS keeps the order of values under one name, but not that of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Cow<'static, str>, String)>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// These headers and one more.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// The first value under `name`, which is compared to the letter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(n, value)| (n == name).then_some(value))
    }

    /// Every name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their size in the NATS protocol, in bytes: it counts towards the limit of the payload.
    fn wire_bytes(&self) -> usize {
        const FRAME: usize = "NATS/1.0\r\n\r\n".len();
        const LINE: usize = ": \r\n".len();
        if self.is_empty() {
            return 0;
        }
        FRAME + self.iter().map(|(name, value)| name.len() + value.len() + LINE).sum::<usize>()
    }

    /// What NATS carries unchanged. Line breaks would end the header; NATS trims whitespace around a value.
    fn validate(&self) -> Result<(), BusError> {
        let name_ok = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        let value_ok = |value: &str| !value.contains(['\r', '\n']) && value.trim().len() == value.len();
        match self.iter().find(|(name, value)| !name_ok(name) || !value_ok(value)) {
            Some((name, _)) => Err(BusError::Header { name: name.chars().take(80).collect() }),
            None => Ok(()),
        }
    }
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes; no wildcards.
    pub subject: String,
    /// Where answers go.
    pub reply: Option<String>,
    /// Its headers.
    pub headers: Headers,
    /// Its content.
    pub payload: Bytes,
}

impl Outgoing {
    /// A message without reply subject or headers.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { subject: subject.into(), reply: None, headers: Headers::new(), payload: payload.into() }
    }

    /// The same message with a reply subject.
    #[must_use]
    pub fn reply_to(mut self, reply: impl Into<String>) -> Self {
        self.reply = Some(reply.into());
        self
    }

    /// The same message with these headers.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Whether a bus that carries `bytes_max` can carry this message.
    pub(crate) fn validate(&self, bytes_max: usize) -> Result<(), BusError> {
        validate_subject(&self.subject)?;
        if let Some(reply) = &self.reply {
            validate_subject(reply)?;
        }
        self.headers.validate()?;
        let bytes = self.payload.len() + self.headers.wire_bytes();
        if bytes > bytes_max {
            return Err(BusError::TooLarge { subject: self.subject.clone(), bytes, bytes_max });
        }
        Ok(())
    }
}

/// What the bus itself says in place of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody listens to the subject that was asked (503 in NATS).
    NoResponders,
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub subject: String,
    /// Where answers go.
    pub reply: Option<String>,
    /// Its headers.
    pub headers: Headers,
    /// Its content.
    pub payload: Bytes,
    /// Set where the bus itself speaks.
    pub status: Option<Status>,
}

impl From<Outgoing> for Message {
    fn from(message: Outgoing) -> Self {
        let Outgoing { subject, reply, headers, payload } = message;
        Self { subject, reply, headers, payload, status: None }
    }
}

impl Message {
    /// What arrives on `reply` when nobody listens to the subject that was asked.
    pub(crate) fn no_responders(reply: String) -> Self {
        let status = Some(Status::NoResponders);
        Self { subject: reply, reply: None, headers: Headers::new(), payload: Bytes::new(), status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_count_towards_the_size() {
        let message = Outgoing::new("a", vec![0; 100]).headers(Headers::new().with("Name", "value"));
        let wire = "NATS/1.0\r\nName: value\r\n\r\n".len();
        assert!(message.validate(100 + wire).is_ok());
        let error = message.validate(100 + wire - 1).unwrap_err();
        assert!(matches!(error, BusError::TooLarge { bytes, .. } if bytes == 100 + wire), "{error}");
    }

    #[test]
    fn headers_that_would_not_arrive_unchanged_are_refused() {
        for (name, value) in
            [("", "v"), ("a b", "v"), ("a:", "v"), ("ä", "v"), ("a", "v\r\nb: c"), ("a", " v"), ("a", "v\n")]
        {
            let message = Outgoing::new("s", "").headers(Headers::new().with(name, value));
            assert!(matches!(message.validate(100), Err(BusError::Header { .. })), "{name:?}: {value:?}");
        }
        let message = Outgoing::new("s", "").headers(Headers::new().with("Nats-Msg-Id", "").with("a", "grün, ja"));
        assert!(message.validate(100).is_ok());
    }
}
