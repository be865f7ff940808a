//! What a server must answer to the one question that a check asks it.

use serde::{Deserialize, Serialize};

use crate::expect::Pattern;
use crate::network::TlsSettings;
use crate::text::text_type;

text_type!(
    /// A value that is expected to the letter, at most 4 KiB.
    ExpectedValue,
    "the expected value",
    4096,
    |_| Ok(())
);

text_type!(
    zeroized
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

/// Whether a connection that begins without TLS is to be upgraded to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Where the server offers it. The certificate is reported, and need not be valid: who would do without
    /// TLS gains nothing by refusing it. Whoever relies on TLS says `require`.
    #[default]
    Prefer,
    /// Always, and the certificate must be valid unless `tls.insecure` says otherwise.
    Require,
}

impl TlsMode {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How TLS is spoken in this mode, where `given` says how; `None` where it is not.
    pub fn settings(self, given: &TlsSettings) -> Option<TlsSettings> {
        match self {
            Self::Disable => None,
            Self::Prefer => Some(TlsSettings { insecure: true, ..given.clone() }),
            Self::Require => Some(given.clone()),
        }
    }

    /// Whether `given` means something in this mode; `word` is the type's.
    pub(crate) fn validate(self, given: &TlsSettings, word: &str) -> Result<(), String> {
        let verifies = given.ca_file.is_some() || given.server_name.is_some();
        match self {
            Self::Disable if !given.is_default() => {
                Err(format!("`{word}.tls` has no meaning with `tls_mode: disable`: expected one of them"))
            }
            Self::Prefer if verifies => Err(format!(
                "`{word}.tls` says whom to trust, and with `tls_mode: prefer` certificates are not verified: \
                 expected `tls_mode: require`"
            )),
            _ => Ok(()),
        }
    }

    /// Whether a certificate is held against the target's host.
    pub(crate) fn verifies_host(self, given: &TlsSettings) -> bool {
        self == Self::Require && !given.insecure && given.server_name.is_none()
    }
}
