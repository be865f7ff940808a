//! What a check of one type does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::expect::{ASSERTIONS_MAX, Expect};
use crate::http::HttpSettings;
use crate::target::HostPort;
use crate::tcp::TcpSettings;

/// A kind of check. Each has a worker pool of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckType {
    /// An HTTP or HTTPS request.
    Http,
    /// A TCP connection, optionally with an exchange of text.
    Tcp,
}

impl CheckType {
    /// Every type.
    pub const ALL: [Self; 2] = [Self::Http, Self::Tcp];

    /// The word in configuration, subjects and results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for CheckType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a check does, by type: `{"http": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSettings {
    /// Settings of an `http` check.
    Http(HttpSettings),
    /// Settings of a `tcp` check.
    Tcp(TcpSettings),
}

impl ProbeSettings {
    /// The type whose settings these are.
    pub fn check_type(&self) -> CheckType {
        match self {
            Self::Http(_) => CheckType::Http,
            Self::Tcp(_) => CheckType::Tcp,
        }
    }

    /// The host and port that the settings point at.
    pub fn host_port(&self) -> HostPort {
        match self {
            Self::Http(http) => http.url.host_port(),
            Self::Tcp(tcp) => tcp.address.clone(),
        }
    }

    /// What to call the target in results: the URL, or host and port.
    pub fn target_name(&self) -> String {
        match self {
            Self::Http(http) => http.url.to_string(),
            Self::Tcp(tcp) => tcp.address.to_string(),
        }
    }

    /// What holds between the parts, beyond what each part's own type guarantees.
    pub(crate) fn validate(&self, expect: &Expect) -> Result<(), Invalid> {
        match self {
            Self::Http(http) => http.validate().map_err(Invalid::new)?,
            Self::Tcp(_) => {
                if let Some(key) = expect.first_http_only_key() {
                    return Err(Invalid::new(format!(
                        "`expect.{key}` has no meaning for a tcp check: expected `tcp.expect` or `expect.max_latency`"
                    )));
                }
            }
        }
        if expect.assertion_count() > ASSERTIONS_MAX {
            return Err(Invalid::new(format!(
                "`expect` has {} assertions: expected at most {ASSERTIONS_MAX}",
                expect.assertion_count()
            )));
        }
        Ok(())
    }
}
