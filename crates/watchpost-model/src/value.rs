//! What a server must answer to the one question that a check asks it.

use serde::{Deserialize, Serialize};

use crate::expect::Pattern;
use crate::text::text_type;

text_type!(
    /// A value that is expected to the letter, at most 4 KiB.
    ExpectedValue,
    "the expected value",
    4096,
    |_| Ok(())
);

text_type!(
    /// A user's name for a server, 1 to 256 bytes.
    LoginName,
    "the user's name",
    256,
    |text| name("the user's name", text)
);

text_type!(
    /// A database's name, 1 to 256 bytes.
    DatabaseName,
    "the database's name",
    256,
    |text| name("the database's name", text)
);

text_type!(
    /// A statement for a database, 1 byte to 4 KiB.
    Query,
    "the query",
    4096,
    |text| match text.trim() {
        "" => Err("the query is empty".into()),
        text if text.contains('\0') => Err("the query holds a NUL".into()),
        _ => Ok(()),
    }
);

/// Protocols that end texts with a NUL cannot carry one within.
fn name(what: &str, text: &str) -> Result<(), String> {
    match text {
        "" => Err(format!("{what} is empty")),
        text if text.contains('\0') => Err(format!("{what} holds a NUL")),
        _ => Ok(()),
    }
}

/// What a value must be. It is looked at as text; numbers are compared by expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueExpect {
    /// The exact value.
    Equals(ExpectedValue),
    /// A regular expression that the value must match.
    Matches(Pattern),
}
