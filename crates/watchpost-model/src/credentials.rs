//! Passwords and tokens. They travel with the check to where it runs, and are shown nowhere.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::text_type;

text_type!(zeroized PasswordText, "the password", 1024, |text| match text {
    "" => Err("the password is empty: leave it out where there is none".into()),
    text if text.contains('\0') => Err("the password holds a NUL".into()),
    _ => Ok(()),
});

/// A password, 1 to 1024 bytes. It has no `Display`, and its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Password(PasswordText);

impl Password {
    /// The password itself, for whom it is meant.
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

impl std::str::FromStr for Password {
    type Err = crate::Invalid;

    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

text_type!(zeroized TokenText, "the token", 8192, |text| match text {
    "" => Err("the token is empty".into()),
    text if !text.bytes().all(|b| b.is_ascii_graphic()) => {
        Err("the token holds a character that no token has: expected visible ASCII without spaces".into())
    }
    _ => Ok(()),
});

/// A token, 1 to 8192 bytes. It has no `Display`, and its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Token(TokenText);

impl Token {
    /// The token itself, for whom it is meant.
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

impl std::str::FromStr for Token {
    type Err = crate::Invalid;

    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_not_even_where_it_is_refused() {
        let password: Password = serde_json::from_str(r#""hunter2hunter2""#).unwrap();
        assert_eq!(format!("{password:?}"), "[redacted]");
        assert_eq!(password.reveal(), "hunter2hunter2");
        let long = format!("\"{}\"", "hunter2".repeat(200));
        let refused = serde_json::from_str::<Password>(&long).unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
        assert!("".parse::<Password>().is_err() && "a\0b".parse::<Password>().is_err());
    }
}
