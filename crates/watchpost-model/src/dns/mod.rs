//! Settings of the `dns` check type.

mod expect;
mod words;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

pub use self::expect::{DnsExpect, FlagsExpect, RecordData, RecordsExpect};
pub use self::words::{DnsName, Rcode, RecordType};
use crate::Invalid;
use crate::expect::ASSERTIONS_MAX;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::server::ServerAddress;
use crate::target::HostPort;
use crate::text::text_type;
use crate::variables::TEXTS;

/// The size that a server may answer with in one datagram, unless a check says otherwise: what passes
/// every link unfragmented (DNS flag day 2020).
const EDNS_SIZE_DEFAULT: u16 = 1232;
/// The smallest size that EDNS can announce (RFC 6891, section 6.2.3).
const EDNS_SIZE_MIN: u16 = 512;

/// How a question travels to the name server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnsTransport {
    /// In a datagram.
    #[default]
    Udp,
    /// Over a TCP connection.
    Tcp,
    /// Over TLS (RFC 7858).
    Tls,
    /// Over HTTPS (RFC 8484).
    Https,
}

impl DnsTransport {
    /// The word in configuration and results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }

    /// The port of servers that name none.
    pub fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 53,
            Self::Tls => 853,
            Self::Https => 443,
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }
}

impl std::str::FromStr for DnsTransport {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        let known = [Self::Udp, Self::Tcp, Self::Tls, Self::Https].into_iter().find(|known| known.as_str() == word);
        let word = crate::shorten(word, 40);
        known.ok_or_else(|| Invalid::new(format!("`{word}` is not a transport: expected udp, tcp, tls or https")))
    }
}

text_type!(
    /// The path at which a server answers questions over HTTPS.
    DohPath,
    "the path",
    1024,
    |text| {
        let permitted = |b: u8| b.is_ascii_graphic() && !matches!(b, b'{' | b'}' | b'?' | b'#' | b'"' | b'<' | b'>');
        match text.starts_with('/') && text.bytes().all(permitted) {
            true => Ok(()),
            false => Err(format!(
                "`{}` is not a path: expected for example `/dns-query`, without a query",
                crate::shorten(text, 80)
            )),
        }
    }
);

impl Default for DohPath {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a literal that the tests read")]
        "/dns-query".parse().expect("a literal path is valid")
    }
}

/// By which method a question is sent over HTTPS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DohMethod {
    /// In the body of a POST, which no cache answers.
    #[default]
    Post,
    /// In the URL of a GET.
    Get,
}

/// What is special about questions over HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DohSettings {
    /// The path that questions are sent to; `/dns-query` if left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: DohPath,
    /// `post` (default) or `get`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: DohMethod,
}

/// What a `dns` check does: ask a name server one question, and look at its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsSettings {
    /// The name to ask for. With the type `PTR` an address may stand here.
    pub name: DnsName,
    /// The type of records to ask for, such as `A`, `MX` or `TYPE65`; `A` if left out.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub record_type: RecordType,
    /// The server to ask: `host` or `host:port`; the first name server that names are resolved with if
    /// left out. The port is 53, with `tls` 853 and with `https` 443, unless it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAddress>,
    /// `udp` (default), `tcp`, `tls` or `https`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transport: DnsTransport,
    /// What is special about `transport: https`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub https: DohSettings,
    /// Whether the server is to ask others where it does not know; `true` if left out.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub recursion_desired: bool,
    /// Whether to ask for DNSSEC records (the DO bit); `false` if left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dnssec: bool,
    /// The most bytes that the server may answer with in one datagram: 512 to 65 535, or 0 for no EDNS
    /// at all; 1232 if left out.
    #[serde(default = "edns_size_default", skip_serializing_if = "is_edns_size_default")]
    pub edns_size: u16,
    /// Whether to ask again over TCP where an answer did not fit into a datagram; `true` if left out.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub tcp_fallback: bool,
    /// What the answer must be. If left out: `noerror`, with at least one record of the type.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expect: Box<DnsExpect>,
    /// How TLS is spoken, with `tls` and `https`.
    #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
    pub tls: TlsSettings,
    /// By which way the server is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl DnsSettings {
    /// Asks the first name server that names are resolved with for the addresses of `name`.
    pub fn ask(name: DnsName) -> Self {
        Self {
            name,
            record_type: RecordType::default(),
            server: None,
            transport: DnsTransport::default(),
            https: DohSettings::default(),
            recursion_desired: true,
            dnssec: false,
            edns_size: EDNS_SIZE_DEFAULT,
            tcp_fallback: true,
            expect: Box::default(),
            tls: TlsSettings::default(),
            route: RouteSettings::default(),
        }
    }

    /// The question in words: `MX example.com`.
    pub fn question(&self) -> String {
        format!("{} {}", self.record_type, self.name)
    }
}

/// What expressions may ask of a name server's answer.
const VARIABLES: &[Field] = &[
    Field::new("rcode", Type::String, "how the server calls its answer, for example `noerror`")
        .absent_because("the answer was cut off"),
    Field::new("records", TEXTS, "the data of the records of the type that was asked for; the first 256"),
    Field::new("record_count", Type::Int, "how many records of the type that was asked for there are"),
    Field::new("min_ttl_s", Type::Int, "the shortest time to live of these, in seconds")
        .absent_because("there is no record of the type that was asked for"),
    Field::new("answers", RECORDS, "the answer section: `name`, `type`, `ttl` and `data`; the first 256"),
    Field::new("answer_count", Type::Int, "how many records are in the answer section"),
    Field::new("authority", RECORDS, "the authority section, likewise"),
    Field::new("authority_count", Type::Int, "how many records are in the authority section"),
    Field::new("additional_count", Type::Int, "how many records came along, without that of EDNS"),
    Field::new("aa", Type::Bool, "whether the server answers with authority"),
    Field::new("tc", Type::Bool, "whether the answer is cut short"),
    Field::new("rd", Type::Bool, "whether recursion was desired"),
    Field::new("ra", Type::Bool, "whether the server asks others where it does not know"),
    Field::new("ad", Type::Bool, "whether the server has verified the answer by DNSSEC"),
    Field::new("cd", Type::Bool, "whether the server was not to verify the answer"),
    Field::new("response_bytes", Type::Int, "the size of the answer, in bytes"),
    Field::new("transport", Type::String, "how the answer came: `udp`, `tcp`, `tls` or `https`"),
    Field::new("tcp_fallback", Type::Bool, "whether an answer by UDP was cut short, so that TCP was asked as well"),
];

/// Records, each with its parts.
const RECORDS: Type = Type::List(&Type::Dyn);

impl TypeSettings for DnsSettings {
    const EXPECTS: &'static [&'static str] = &[];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        self.server.as_ref().map(|server| server.or_port(self.transport.port()))
    }

    fn target_name(&self) -> String {
        match &self.server {
            Some(server) => format!("{} @{server}", self.question()),
            None => self.question(),
        }
    }

    fn validate(&self) -> Result<(), String> {
        let only_with = |key: &str, wanted: &str| {
            Err(format!("`dns.{key}` has no meaning with `transport: {}`: expected {wanted}", self.transport.as_str()))
        };
        if !self.transport.has_tls() && !self.tls.is_default() {
            return only_with("tls", "`transport: tls` or `https`");
        }
        if self.transport != DnsTransport::Https && self.https != DohSettings::default() {
            return only_with("https", "`transport: https`");
        }
        if !(self.edns_size == 0 || self.edns_size >= EDNS_SIZE_MIN) {
            return Err(format!(
                "`dns.edns_size` is {}: expected {EDNS_SIZE_MIN} to 65535, or 0 for no EDNS",
                self.edns_size
            ));
        }
        if self.dnssec && self.edns_size == 0 {
            return Err("`dns.dnssec` needs EDNS, and `dns.edns_size` is 0: expected another size".to_owned());
        }
        if self.expect.assertion_count() > ASSERTIONS_MAX {
            return Err(format!(
                "`dns.expect` has {} assertions: expected at most {ASSERTIONS_MAX}",
                self.expect.assertion_count()
            ));
        }
        self.expect.validate()
    }

    fn verifies_host(&self) -> bool {
        self.transport.has_tls()
    }
}

fn is_default<T: Default + PartialEq>(given: &T) -> bool {
    *given == T::default()
}

fn yes() -> bool {
    true
}

fn is_yes(given: &bool) -> bool {
    *given
}

fn edns_size_default() -> u16 {
    EDNS_SIZE_DEFAULT
}

fn is_edns_size_default(given: &u16) -> bool {
    *given == EDNS_SIZE_DEFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> DnsSettings {
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
    }

    #[test]
    fn a_name_is_all_that_is_needed() {
        let least = settings(r#"{"name": "example.com"}"#);
        assert_eq!(serde_json::to_string(&least).unwrap(), r#"{"name":"example.com"}"#);
        assert_eq!((least.target_name().as_str(), least.host_port()), ("A example.com", None));
        let asked = DnsSettings::ask("example.com".parse().unwrap());
        assert_eq!(least, asked);
    }

    #[test]
    fn the_port_comes_from_the_transport() {
        for (transport, port) in [("udp", 53), ("tcp", 53), ("tls", 853), ("https", 443)] {
            let of = settings(&format!(r#"{{"name": "a", "server": "10.0.0.53", "transport": "{transport}"}}"#));
            assert_eq!(of.host_port().unwrap().port(), port);
            assert_eq!(of.target_name(), "A a @10.0.0.53");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (more, told) in [
            (r#""tls": {"insecure": true}"#, "`dns.tls` has no meaning with `transport: udp`"),
            (r#""transport": "tls", "https": {"method": "get"}"#, "`dns.https` has no meaning with `transport: tls`"),
            (r#""edns_size": 100"#, "expected 512 to 65535"),
            (r#""edns_size": 0, "dnssec": true"#, "needs EDNS"),
            (r#""expect": {"min_ttl": "2m", "max_ttl": "1m"}"#, "min_ttl"),
        ] {
            let error = settings(&format!(r#"{{"name": "a", {more}}}"#)).validate().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        for bad in [r#"{"path": "dns-query"}"#, r#"{"path": "/dns-query{?dns}"}"#] {
            assert!(serde_json::from_str::<DohSettings>(bad).is_err(), "{bad}");
        }
    }
}
