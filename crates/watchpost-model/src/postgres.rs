//! Settings of the `postgres` check type.

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::credentials::Password;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::value::{DatabaseName, LoginName, Query, TlsMode, ValueExpect};

/// What a `postgres` check does: ask whether the server accepts connections; with a user, log in and have it
/// answer; with a query, hold the first value of its result against what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// Where to connect: `host:port`.
    pub address: HostPort,
    /// Whether the connection is upgraded to TLS: `disable`, `prefer` (default; any certificate will do) or
    /// `require` (the certificate must be valid).
    #[serde(default, skip_serializing_if = "TlsMode::is_default")]
    pub tls_mode: TlsMode,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
    pub tls: TlsSettings,
    /// Who logs in. Without a user nobody does, and it suffices that the server asks who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<LoginName>,
    /// The password to log in with. It is sent in clear text only with `tls_mode: require`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// The database to open; the one that is called as the user if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseName>,
    /// A statement to run once logged in, at most 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// What the first column of the query's first row must be, as text: `{equals: TEXT}` or `{matches: REGEX}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<ValueExpect>,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl PostgresSettings {
    /// Asks whether the server at `address` accepts connections.
    pub fn ready(address: HostPort) -> Self {
        Self {
            address,
            tls_mode: TlsMode::default(),
            tls: TlsSettings::default(),
            user: None,
            password: None,
            database: None,
            query: None,
            expect: None,
            route: RouteSettings::default(),
        }
    }
}

/// What expressions may ask of an answer.
pub(crate) const VARIABLES: &[Field] = &[
    Field::new("value", Type::String, "the first column of the query's first row, as text")
        .absent_because("the query's result has no first value, or it is NULL"),
    Field::new("number", Type::Double, "the same as a number")
        .absent_because("the query's result has no first value that reads as a number"),
    Field::new("rows", Type::Int, "how many rows the query had").absent_because("the check has no query"),
    Field::new("version", Type::String, "the server's version").absent_because("the server does not tell its version"),
    Field::new("standby", Type::Bool, "whether the server is a standby")
        .absent_because("the server does not tell whether it is a standby"),
];

impl TypeSettings for PostgresSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        let database = self.database.as_ref().map_or(String::new(), |database| format!("/{database}"));
        format!("postgres://{}{database}", self.address)
    }

    fn validate(&self) -> Result<(), String> {
        if self.user.is_none() && (self.password.is_some() || self.query.is_some()) {
            let what = if self.password.is_some() { "password" } else { "query" };
            return Err(format!("`postgres.{what}` is given without `postgres.user`: expected who logs in"));
        }
        if self.expect.is_some() && self.query.is_none() {
            return Err("`postgres.expect` speaks of the result of `postgres.query`, which is missing".into());
        }
        self.tls_mode.validate(&self.tls, "postgres")
    }

    fn verifies_host(&self) -> bool {
        self.tls_mode.verifies_host(&self.tls)
    }
}

#[cfg(test)]
mod tests {
    use crate::Check;

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (settings, told) in [
            (r#""password": "x""#, "`postgres.password` is given without `postgres.user`"),
            (r#""query": "SELECT 1""#, "`postgres.query` is given without `postgres.user`"),
            (r#""user": "a", "expect": {"equals": "1"}"#, "`postgres.query`, which is missing"),
            (r#""user": "a", "query": " ""#, "the query is empty"),
            (r#""tls_mode": "disable", "tls": {"insecure": true}"#, "no meaning with `tls_mode: disable`"),
            (r#""tls": {"server_name": "b"}"#, "expected `tls_mode: require`"),
            (r#""tls_mode": "verify-full""#, "expected one of `disable`, `prefer`, `require`"),
        ] {
            let json = format!(r#"{{"id": "a", "postgres": {{"address": "a:1", {settings}}}}}"#);
            let refused = serde_json::from_str::<Check>(&json).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
