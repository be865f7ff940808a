//! Settings of the `redis` check type.

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::credentials::Password;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;
use crate::value::{LoginName, ValueExpect};

/// The most words of a command.
const WORDS_MAX: usize = 64;

text_type!(
    zeroized
    /// One word of a command, at most 4 KiB.
    CommandWord,
    "a word of the command",
    4096,
    |_| Ok(())
);

/// The protocol version that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(with = "u8")]
pub enum RespVersion {
    /// RESP2, which every server speaks.
    #[default]
    Two,
    /// RESP3, by `HELLO 3` (Redis 6 and later). The server tells its version, mode and role then.
    Three,
}

impl RespVersion {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl TryFrom<u8> for RespVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            2 => Ok(Self::Two),
            3 => Ok(Self::Three),
            other => Err(format!("RESP version {other} is not known: expected 2 or 3")),
        }
    }
}

impl From<RespVersion> for u8 {
    fn from(version: RespVersion) -> Self {
        match version {
            RespVersion::Two => 2,
            RespVersion::Three => 3,
        }
    }
}

/// What a `redis` check does: connect, log in where it has a password, `PING`, then optionally one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// Where to connect: `host:port`.
    pub address: HostPort,
    /// How TLS is spoken; `tls: {}` for TLS with its defaults. Without this key the connection is a plain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Who logs in (Redis 6 and later); the server's default user if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<LoginName>,
    /// The password to log in with; nobody logs in if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// The number of the database to select before the command; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<u32>,
    /// The protocol version: 2 (default) or 3.
    #[serde(default, skip_serializing_if = "RespVersion::is_default")]
    pub resp: RespVersion,
    /// A command to run after `PING`, for example `[GET, orders:backlog]`: 1 to 64 words of at most 4 KiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<CommandWord>,
    /// What the command's reply must be: `{equals: TEXT}` or `{matches: REGEX}`. The elements of a list are put
    /// into lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<ValueExpect>,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl RedisSettings {
    /// Connects to `address`, by TLS or not, and sends `PING`.
    pub fn ping(address: HostPort, tls: bool) -> Self {
        Self {
            address,
            tls: tls.then(TlsSettings::default),
            user: None,
            password: None,
            database: None,
            resp: RespVersion::default(),
            command: Vec::new(),
            expect: None,
            route: RouteSettings::default(),
        }
    }
}

/// What expressions may ask of an answer.
const VARIABLES: &[Field] = &[
    Field::new("value", Type::Dyn, "the reply to the command, typed as the server typed it")
        .absent_because("there is no reply with a value"),
    Field::new("number", Type::Double, "the reply to the command, as a number")
        .absent_because("there is no reply that reads as a number"),
    Field::new("version", Type::String, "the server's version").absent_because("the server does not tell its version"),
    Field::new("mode", Type::String, "`standalone`, `sentinel` or `cluster`")
        .absent_because("the server does not tell its mode"),
    Field::new("role", Type::String, "`master` or `replica`").absent_because("the server does not tell its role"),
];

impl TypeSettings for RedisSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address)
    }

    fn validate(&self) -> Result<(), String> {
        if self.command.len() > WORDS_MAX {
            return Err(format!("`redis.command` has {} words: expected at most {WORDS_MAX}", self.command.len()));
        }
        if self.command.first().is_some_and(|word| word.as_str().is_empty()) {
            return Err("`redis.command` begins with an empty word: expected the name of a command".into());
        }
        if self.expect.is_some() && self.command.is_empty() {
            return Err("`redis.expect` speaks of the reply to `redis.command`, which is missing".into());
        }
        if self.user.is_some() && self.password.is_none() {
            return Err("`redis.user` is given without `redis.password`: expected both, or neither".into());
        }
        Ok(())
    }

    fn verifies_host(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.insecure && tls.server_name.is_none())
    }
}

#[cfg(test)]
mod tests {
    use crate::Check;

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (settings, told) in [
            (r#""expect": {"equals": "1"}"#, "`redis.command`, which is missing"),
            (r#""user": "a""#, "without `redis.password`"),
            (r#""command": [""]"#, "expected the name of a command"),
            (r#""resp": 4"#, "expected 2 or 3"),
        ] {
            let json = format!(r#"{{"id": "a", "redis": {{"address": "a:1", {settings}}}}}"#);
            let refused = serde_json::from_str::<Check>(&json).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
        let json = r#"{"id": "a", "redis": {"address": "a:1", "password": "hunter2", "command": ["GET", "a"]}}"#;
        let check: Check = serde_json::from_str(json).unwrap();
        assert!(!format!("{check:?}").contains("hunter2"));
    }
}
