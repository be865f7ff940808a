//! Settings of the `unix` check type.

use serde::{Deserialize, Serialize};
use watchpost_expr::Field;

use crate::dialogue::{self, DialogueStep};
use crate::expect::Pattern;
use crate::network::TlsSettings;
use crate::payload::Payload;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;

text_type!(
    /// The path of a socket in the file system.
    SocketPath,
    "the path of a socket",
    // What fits into the system's address of a socket.
    107,
    |text| match text {
        text if text.contains('\0') => Err("the path of a socket holds a NUL".into()),
        text if text.starts_with('/') => Ok(()),
        _ => Err(format!("`{}` is not the whole path of a socket: expected one that begins with `/`", crate::shorten(text, 80))),
    }
);

/// What a `unix` check does: connect to a socket in the file system of the machine that runs the check, and then the
/// same as a `tcp` check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnixSettings {
    /// The path of the socket, at most 107 bytes.
    pub path: SocketPath,
    /// What to send once connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Payload>,
    /// A regular expression that what the peer sends must match; at most 64 KiB are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
    /// A dialogue of at most 32 steps, in place of `send` and `expect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "dialogue::steps")]
    #[schemars(length(max = 32))]
    pub steps: Vec<DialogueStep>,
    /// TLS from the start, which wants a `server_name`: a socket has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
}

impl UnixSettings {
    /// Connects to `path` and does no more.
    pub fn connect(path: SocketPath) -> Self {
        Self { path, send: None, expect: None, steps: Vec::new(), tls: None }
    }
}

impl TypeSettings for UnixSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];
    const VARIABLES: &'static [Field] = dialogue::VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        None
    }

    fn target_name(&self) -> String {
        self.path.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        dialogue::validate("unix", &self.steps, self.send.is_some() || self.expect.is_some(), self.tls.is_some())?;
        let mut tls = self.tls.iter().chain(self.steps.iter().filter_map(|step| step.starttls.as_ref()));
        match tls.any(|tls| tls.server_name.is_none()) {
            true => {
                Err("`unix` speaks TLS and does not say with whom: expected `server_name` in its `tls` or `starttls`"
                    .into())
            }
            false => Ok(()),
        }
    }
}
