//! Settings of the `mysql` check type.

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::credentials::Password;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::value::{DatabaseName, LoginName, Query, TlsMode, ValueExpect};

/// What a `mysql` check does: log in and have the server answer a ping; with a query, hold the first value of its
/// result against what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlSettings {
    /// Where to connect: `host:port`.
    pub address: HostPort,
    /// Whether the connection is upgraded to TLS: `disable`, `prefer` (default; any certificate will do) or
    /// `require` (the certificate must be valid).
    #[serde(default, skip_serializing_if = "TlsMode::is_default")]
    pub tls_mode: TlsMode,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
    pub tls: TlsSettings,
    /// Who logs in. A server counts those who connect and do not log in, and blocks machines that do so often.
    pub user: LoginName,
    /// The password to log in with. It is sent as it is only with `tls_mode: require`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// The database to use; none if left out.
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

impl MysqlSettings {
    /// Logs in to the server at `address` as `user`, without a password, and has it answer a ping.
    pub fn ping(address: HostPort, user: LoginName) -> Self {
        Self {
            address,
            tls_mode: TlsMode::default(),
            tls: TlsSettings::default(),
            user,
            password: None,
            database: None,
            query: None,
            expect: None,
            route: RouteSettings::default(),
        }
    }
}

/// What expressions may ask of an answer.
const VARIABLES: &[Field] = &[
    Field::new("value", Type::String, "the first column of the query's first row, as text")
        .absent_because("the query's result has no first value, or it is NULL"),
    Field::new("number", Type::Double, "the same as a number")
        .absent_because("the query's result has no first value that reads as a number"),
    Field::new("rows", Type::Int, "how many rows the query had").absent_because("the check has no query"),
    Field::new("version", Type::String, "the server's version"),
];

impl TypeSettings for MysqlSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        let database = self.database.as_ref().map_or(String::new(), |database| format!("/{database}"));
        format!("mysql://{}{database}", self.address)
    }

    fn validate(&self) -> Result<(), String> {
        if self.expect.is_some() && self.query.is_none() {
            return Err("`mysql.expect` speaks of the result of `mysql.query`, which is missing".into());
        }
        self.tls_mode.validate(&self.tls, "mysql")
    }

    fn verifies_host(&self) -> bool {
        self.tls_mode.verifies_host(&self.tls)
    }
}
