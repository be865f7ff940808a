//! Why a value is not acceptable, and where in a document.

/// Why a value is not acceptable, in words that name what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    message: String,
    key: Option<String>,
    offset: usize,
}

impl Invalid {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), key: None, offset: 0 }
    }

    /// The key of a check at fault, for whoever has the document: `expect.that[1]`. `None` where it is the check as
    /// a whole, or the value was no part of one. The document may lack its last parts, where a list is written as
    /// its only entry.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// How many bytes of the text at that key lie before the fault; 0 where it is the text as a whole.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The same of `key`.
    pub(crate) fn at(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same of what lies so many bytes within the text at its key.
    pub(crate) fn behind(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// The same, where what was looked at is a part of a document, at `key` in it.
    pub(crate) fn within(self, key: &str) -> Self {
        let key = match &self.key {
            Some(inner) if inner.starts_with('[') => format!("{key}{inner}"),
            Some(inner) => format!("{key}.{inner}"),
            None => key.to_owned(),
        };
        self.at(key)
    }

    /// The same, told of `part`, which its message does not name.
    pub(crate) fn of(self, part: &str) -> Self {
        Self { message: format!("{part}: {}", self.message), ..self }
    }
}
