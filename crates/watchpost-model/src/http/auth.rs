//! How a check shows an HTTP server who it is.

use serde::{Deserialize, Serialize};

use crate::credentials::{Password, Token};
use crate::text::text_type;

text_type!(
    zeroized
    /// A user's name. In HTTP's basic scheme it ends at a colon, so it has none.
    BasicUser,
    "the username",
    256,
    |text| match text {
        "" => Err("the username is empty".into()),
        text if text.contains(|c: char| c == ':' || c.is_control()) => {
            Err("the username holds a colon or a control character: neither can be sent".into())
        }
        _ => Ok(()),
    }
);

/// How a check shows who it is: `basic` or `bearer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpAuth {
    /// By a username and a password (RFC 7617), sent in UTF-8.
    Basic(BasicAuth),
    /// By a token (RFC 6750).
    Bearer(Token),
}

/// A username and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The username, without a colon.
    pub username: BasicUser,
    /// The password; empty if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

impl BasicAuth {
    /// The password, empty where there is none.
    pub fn password(&self) -> &str {
        self.password.as_ref().map_or("", Password::reveal)
    }

    /// What of it cannot be sent.
    pub(crate) fn validate(&self) -> Result<(), String> {
        match self.password().contains(char::is_control) {
            true => Err("`http.auth.basic.password` holds a control character, which cannot be sent".into()),
            false => Ok(()),
        }
    }
}

impl HttpAuth {
    /// What of it cannot be sent.
    pub(super) fn validate(&self) -> Result<(), String> {
        match self {
            Self::Basic(basic) => basic.validate(),
            Self::Bearer(_) => Ok(()),
        }
    }
}
