//! Messages on their way out and in.

use std::borrow::Cow;

use bytes::Bytes;

/// A message's headers, in the order in which they were set. There are few of them.
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
