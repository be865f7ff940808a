//! Settings of the `ssh` check type.

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::expect::{OneOrMany, Pattern};
use crate::network::RouteSettings;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;

/// The most fingerprints that a check accepts.
const FINGERPRINTS_MAX: usize = 16;

text_type!(
    /// The SHA-256 fingerprint of a key, as `ssh-keygen -l` shows it: `SHA256:` and 43 characters.
    Fingerprint,
    "a fingerprint",
    128,
    |text| {
        let encoded = text.strip_prefix("SHA256:").unwrap_or_default();
        let good = encoded.len() == 43 && encoded.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
        match good {
            true => Ok(()),
            false => Err(format!(
                "`{}` is not a fingerprint: expected `SHA256:` and 43 characters, as `ssh-keygen -l` shows it",
                crate::shorten(text, 80)
            )),
        }
    }
);

/// A type of host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum SshKeyType {
    /// `ssh-ed25519`.
    #[serde(rename = "ssh-ed25519")]
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    #[serde(rename = "ecdsa-sha2-nistp256")]
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`.
    #[serde(rename = "ecdsa-sha2-nistp384")]
    EcdsaP384,
    /// `ssh-rsa`, whose signatures are made with SHA-2, or SHA-1 where the server can do no better.
    #[serde(rename = "ssh-rsa")]
    Rsa,
}

impl SshKeyType {
    /// Every type, the best first.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::EcdsaP256, Self::EcdsaP384, Self::Rsa];

    /// What the protocol calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::Rsa => "ssh-rsa",
        }
    }
}

/// What an `ssh` check does: hear how the server introduces itself, and have it prove that it has its host key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshSettings {
    /// Where to connect: `host:port`.
    pub address: HostPort,
    /// A regular expression that the server's introduction must match, for example `^SSH-2.0-OpenSSH_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
    /// The fingerprints of which the host key must have one, at most 16; any key will do if left out.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub fingerprint: OneOrMany<Fingerprint>,
    /// The types of host key to ask for, best first: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ecdsa-sha2-nistp384`,
    /// `ssh-rsa`; all of them, in this order, if left out. A server shows one key, of the first type that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_types: Vec<SshKeyType>,
    /// Whether the check ends with the introduction, and asks for no key; `false` if left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub banner_only: bool,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl SshSettings {
    /// Has the server at `address` prove that it has a host key, whichever that is.
    pub fn host_key(address: HostPort) -> Self {
        Self {
            address,
            expect: None,
            fingerprint: OneOrMany::default(),
            key_types: Vec::new(),
            banner_only: false,
            route: RouteSettings::default(),
        }
    }
}

/// What expressions may ask of an answer.
const VARIABLES: &[Field] = &[
    Field::new("banner", Type::String, "how the server introduces itself: `SSH-2.0-OpenSSH_9.2p1 Debian-2`"),
    Field::new("protocol", Type::String, "the version of the protocol in it, `2.0` or `1.99`"),
    Field::new("software", Type::String, "the software in it, for example `OpenSSH_9.2p1`"),
    Field::new("key_exchange", Type::String, "how keys were agreed on").absent_because("the check asks for no key"),
    Field::new("key_type", Type::String, "the type of the host key").absent_because("the check asks for no key"),
    Field::new("fingerprint", Type::String, "the fingerprint of the host key, as `ssh-keygen -l` shows it")
        .absent_because("the check asks for no key"),
];

impl TypeSettings for SshSettings {
    const EXPECTS: &'static [&'static str] = &[];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        format!("ssh://{}", self.address)
    }

    fn validate(&self) -> Result<(), String> {
        let given = self.fingerprint.0.len();
        if given > FINGERPRINTS_MAX {
            return Err(format!("`ssh.fingerprint` has {given} entries: expected at most {FINGERPRINTS_MAX}"));
        }
        if self.banner_only && (given > 0 || !self.key_types.is_empty()) {
            let what = if given > 0 { "fingerprint" } else { "key_types" };
            return Err(format!("`ssh.{what}` speaks of the host key, which `ssh.banner_only` does not ask for"));
        }
        if (1..self.key_types.len()).any(|i| self.key_types.iter().take(i).any(|k| Some(k) == self.key_types.get(i))) {
            return Err("`ssh.key_types` lists a type twice: expected each once".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Check;

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        let fingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (settings, told) in [
            (r#""fingerprint": "MD5:aa:bb""#.to_owned(), "expected `SHA256:` and 43 characters"),
            (r#""fingerprint": "SHA256:AAA""#.to_owned(), "expected `SHA256:` and 43 characters"),
            (format!(r#""fingerprint": "{fingerprint}", "banner_only": true"#), "`ssh.fingerprint` speaks of"),
            (r#""key_types": ["ssh-rsa"], "banner_only": true"#.to_owned(), "`ssh.key_types` speaks of"),
            (r#""key_types": ["ssh-rsa", "ssh-rsa"]"#.to_owned(), "expected each once"),
            (r#""key_types": ["ssh-dss"]"#.to_owned(), "expected one of `ssh-ed25519`"),
        ] {
            let json = format!(r#"{{"id": "a", "ssh": {{"address": "a:22", {settings}}}}}"#);
            let refused = serde_json::from_str::<Check>(&json).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
        let json = format!(r#"{{"id": "a", "ssh": {{"address": "a:22", "fingerprint": ["{fingerprint}"]}}}}"#);
        assert!(serde_json::from_str::<Check>(&json).is_ok());
    }
}
