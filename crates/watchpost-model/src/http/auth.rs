//! How a check shows an HTTP server who it is.

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;
use crate::text::text_type;

text_type!(
    /// A user's name. In HTTP's basic scheme it ends at a colon, so it has none.
    UserName,
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
    Bearer(SecretText),
}

/// A username and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The username, without a colon.
    pub username: UserName,
    /// The password.
    pub password: SecretText,
}

impl HttpAuth {
    /// What of it cannot be sent.
    pub(super) fn validate(&self) -> Result<(), String> {
        match self {
            Self::Basic(basic) if basic.password.as_str().contains(char::is_control) => {
                Err("`http.auth.basic.password` holds a control character, which cannot be sent".into())
            }
            Self::Bearer(token) if token.as_str().is_empty() => Err("`http.auth.bearer` is empty".into()),
            Self::Bearer(token) if !token.as_str().bytes().all(|b| b.is_ascii_graphic()) => {
                Err("`http.auth.bearer` holds a character that no token has: expected visible ASCII".into())
            }
            _ => Ok(()),
        }
    }
}
