//! What a check of one type does.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use watchpost_expr::{CompileError, Environment, Field, Program};

use crate::beat::HeartbeatSettings;
use crate::dns::DnsSettings;
use crate::document::CheckDocument;
use crate::exec::ExecSettings;
use crate::expect::{ASSERTIONS_MAX, Expect, Expression};
use crate::grpc::GrpcSettings;
use crate::http::HttpSettings;
use crate::icmp::IcmpSettings;
use crate::mail::{ImapSettings, Pop3Settings, SmtpSettings};
use crate::mysql::MysqlSettings;
use crate::ntp::NtpSettings;
use crate::postgres::PostgresSettings;
use crate::redis::RedisSettings;
use crate::ssh::SshSettings;
use crate::steps::StepsSettings;
use crate::target::HostPort;
use crate::tcp::TcpSettings;
use crate::tls::TlsCheckSettings;
use crate::udp::UdpSettings;
use crate::unix::UnixSettings;
use crate::websocket::WebsocketSettings;
use crate::{Invalid, variables};

/// What the settings of every check type tell about themselves.
pub(crate) trait TypeSettings {
    /// The short forms of expectations that mean something to the type, apart from those that every
    /// type has: their keys in [`Expect`].
    const EXPECTS: &'static [&'static str];

    /// What expressions may ask of an answer, beyond what they may ask of every type.
    const VARIABLES: &'static [Field] = &[];

    /// Everything that expressions may ask of an answer.
    const TABLES: &'static [&'static [Field]] = &[Self::VARIABLES, variables::COMMON];

    /// The host and port that they point at. `None` where there is none: a command, a socket in the
    /// file system, a job that reports by itself.
    fn host_port(&self) -> Option<HostPort>;

    /// What to call the target in results: the URL, or host and port, or the command.
    fn target_name(&self) -> String;

    /// What holds between the parts, beyond what each part's own type guarantees.
    ///
    /// # Errors
    /// What does not, with the key that is at fault.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// The same of types that are made of parts, with the part's key below the type's own.
    ///
    /// # Errors
    /// What does not hold, and where.
    fn validate_parts(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Whether a certificate is held against the host that they name, so that the check cannot be
    /// pointed at other addresses where that host is an address itself.
    fn verifies_host(&self) -> bool {
        false
    }
}

/// Makes of one list of types everything that goes through all of them.
macro_rules! check_types {
    ($($(#[$doc:meta])* $variant:ident($settings:ty) = $word:ident,)*) => {
        /// A kind of check. Each has a worker pool of its own.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum CheckType {
            $($(#[$doc])* $variant,)*
        }

        impl CheckType {
            /// Every type.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            /// The word in configuration, subjects and results.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($word),)*
                }
            }

            /// The keys of [`Expect`] that mean something to the type only.
            pub(crate) fn expects(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => <$settings as TypeSettings>::EXPECTS,)*
                }
            }
        }

        impl CheckType {
            /// The variables that an expression about an answer to a check of the type may use.
            pub fn environment(self) -> Environment {
                match self {
                    $(Self::$variant => Environment::new(<$settings as TypeSettings>::TABLES),)*
                }
            }
        }

        /// What a check does, by type: `{"http": {…}}`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ProbeSettings {
            $(#[doc = concat!("Settings of a check of the type `", stringify!($word), "`.")] $variant($settings),)*
        }

        impl ProbeSettings {
            /// The type whose settings these are.
            pub fn check_type(&self) -> CheckType {
                match self {
                    $(Self::$variant(_) => CheckType::$variant,)*
                }
            }

            fn of_type(&self) -> &dyn Told {
                match self {
                    $(Self::$variant(settings) => settings,)*
                }
            }

            /// Takes the settings of every type that a document has.
            pub(crate) fn take_from(document: &mut CheckDocument) -> Vec<Self> {
                let mut taken = Vec::new();
                $(taken.extend(document.$word.take().map(Self::$variant));)*
                taken
            }

            /// Puts the settings where a document has them.
            pub(crate) fn put_into(self, document: &mut CheckDocument) {
                match self {
                    $(Self::$variant(settings) => document.$word = Some(settings),)*
                }
            }
        }
    };
}

check_types! {
    /// An HTTP or HTTPS request.
    Http(HttpSettings) = http,
    /// A TCP connection, optionally with an exchange of text.
    Tcp(TcpSettings) = tcp,
    /// A TLS handshake, and the certificate that the server shows.
    Tls(TlsCheckSettings) = tls,
    /// A question to a name server.
    Dns(DnsSettings) = dns,
    /// Echo requests.
    Icmp(IcmpSettings) = icmp,
    /// The health of a gRPC service.
    Grpc(GrpcSettings) = grpc,
    /// A WebSocket, optionally with an exchange of messages.
    Websocket(WebsocketSettings) = websocket,
    /// A datagram, and optionally its answer.
    Udp(UdpSettings) = udp,
    /// An SSH server.
    Ssh(SshSettings) = ssh,
    /// A connection to a socket in the file system, optionally with an exchange of text.
    Unix(UnixSettings) = unix,
    /// A visit to a mail server by SMTP.
    Smtp(SmtpSettings) = smtp,
    /// A visit to a mail server by IMAP.
    Imap(ImapSettings) = imap,
    /// A visit to a mail server by POP3.
    Pop3(Pop3Settings) = pop3,
    /// A Redis server, or one that speaks its protocol.
    Redis(RedisSettings) = redis,
    /// A PostgreSQL server.
    Postgres(PostgresSettings) = postgres,
    /// A MySQL or MariaDB server.
    Mysql(MysqlSettings) = mysql,
    /// A question to a time server.
    Ntp(NtpSettings) = ntp,
    /// A program that speaks the interface of Nagios plugins.
    Exec(ExecSettings) = exec,
    /// A job that reports in by itself; the Checker settles its runs, and no worker does.
    Heartbeat(HeartbeatSettings) = heartbeat,
    /// A flow of HTTP requests, with values carried from one to the next.
    Steps(StepsSettings) = steps,
}

/// [`TypeSettings`] without its constant, which no `dyn` type can have.
trait Told {
    fn host_port(&self) -> Option<HostPort>;
    fn target_name(&self) -> String;
    fn validate(&self) -> Result<(), Invalid>;
    fn verifies_host(&self) -> bool;
}

impl<T: TypeSettings> Told for T {
    fn host_port(&self) -> Option<HostPort> {
        TypeSettings::host_port(self)
    }

    fn target_name(&self) -> String {
        TypeSettings::target_name(self)
    }

    fn validate(&self) -> Result<(), Invalid> {
        TypeSettings::validate(self).map_err(Invalid::new)?;
        self.validate_parts()
    }

    fn verifies_host(&self) -> bool {
        TypeSettings::verifies_host(self)
    }
}

impl std::str::FromStr for CheckType {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Invalid::new(format!("there is no check type `{}`: expected one of {known}", crate::shorten(text, 40)))
        })
    }
}

/// By its text, since the name of a variant would not be told to whoever keeps track of where in a
/// document an error is.
impl<'de> Deserialize<'de> for CheckType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "a check type", 64)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for CheckType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl CheckType {
    /// Whether tasks are made of the type's runs, which workers execute.
    pub fn has_tasks(self) -> bool {
        self != Self::Heartbeat
    }
}

impl ProbeSettings {
    /// The host and port that the settings point at; `None` where the type has none.
    pub fn host_port(&self) -> Option<HostPort> {
        self.of_type().host_port()
    }

    /// What to call the target in results: the URL, or host and port, or the command.
    pub fn target_name(&self) -> String {
        self.of_type().target_name()
    }

    /// Whether a certificate is held against the host that the settings name.
    pub(crate) fn verifies_host(&self) -> bool {
        self.of_type().verifies_host()
    }

    /// What holds between the parts, beyond what each part's own type guarantees.
    pub(crate) fn validate(&self, expect: &Expect) -> Result<(), Invalid> {
        let check_type = self.check_type();
        self.of_type().validate().map_err(|why| why.within(check_type.as_str()))?;
        validate_expect(expect, check_type).map_err(|why| why.within("expect"))?;
        crate::secrets::validate(self, expect)
    }

    /// The same of settings in which secrets stand in the place of the references to them.
    pub(crate) fn validate_filled(&self) -> Result<(), Invalid> {
        self.of_type().validate()
    }
}

fn validate_expect(expect: &Expect, check_type: CheckType) -> Result<(), Invalid> {
    if let Some(key) = expect.first_key_that_is_not_of(check_type.expects()) {
        let message = format!(
            "`expect.{key}` has no meaning for a check of the type {check_type}: expected {} there",
            keys(check_type)
        );
        return Err(Invalid::new(message).at(key));
    }
    validate_expressions(expect, check_type)?;
    if expect.assertion_count() > ASSERTIONS_MAX {
        return Err(Invalid::new(format!(
            "`expect` has {} assertions: expected at most {ASSERTIONS_MAX}",
            expect.assertion_count()
        )));
    }
    Ok(())
}

/// Whether each expression of `expect` can be compiled; keys are those below `expect`.
pub(crate) fn validate_expressions(expect: &Expect, check_type: CheckType) -> Result<(), Invalid> {
    for (i, expression) in expect.that.0.iter().enumerate() {
        if let Err(error) = compile_expression(expression, check_type) {
            let shown = crate::shorten(expression.as_str(), 200);
            let message = format!("`expect.that`: in `{shown}`, {error}");
            return Err(Invalid::new(message).at(format!("that[{i}]")).behind(error.position.offset));
        }
    }
    Ok(())
}

/// Compiles an expression about an answer to a check of the type `check_type`.
///
/// # Errors
/// What is wrong with it, and where in it.
pub fn compile_expression(expression: &Expression, check_type: CheckType) -> Result<Program, CompileError> {
    let environment = check_type.environment();
    let text = crate::template::sampled("Expression", expression.as_str(), |text| {
        watchpost_expr::compile(text, &environment).is_ok()
    });
    watchpost_expr::compile(&text, &environment)
}

/// What can be expected of a type, in words.
fn keys(check_type: CheckType) -> String {
    let mut words: Vec<_> =
        check_type.expects().iter().chain(Expect::OF_EVERY_TYPE).map(|key| format!("`{key}`")).collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} or {last}", words.join(", ")) }
}
