//! How to reach a NATS server, and how to speak of it without giving secrets away.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;

use super::credentials::{NatsCredentials, NatsSecret};
use crate::BusError;

/// What inboxes begin with unless something else is said.
const INBOX_PREFIX: &str = "_INBOX";

/// How to connect to NATS.
#[derive(Clone)]
pub struct NatsOptions {
    /// The servers, as `nats://host:port` or `tls://host:port`. Port 4222 is assumed. A user and password,
    /// or a token, may stand before the host, the same for every server.
    pub servers: Vec<String>,
    /// What the server calls this connection in its own reports.
    pub name: String,
    /// Who we are; goes before what the URLs say.
    pub credentials: Option<NatsCredentials>,
    /// A PEM file of certificate authorities to trust in place of those of the system.
    pub tls_ca_file: Option<PathBuf>,
    /// PEM files with our certificate and its key, for a server that asks who we are.
    pub tls_client: Option<ClientFiles>,
    /// Whether to refuse a server that does not offer TLS. Where a server asks for TLS it is used in any case.
    pub require_tls: bool,
    /// What every inbox of ours begins with: `_INBOX`, or `_INBOX_` and more, so that a server can permit each user its
    /// own inboxes and nobody else's.
    pub inbox_prefix: String,
    /// How many messages each subscription holds for whoever reads it.
    pub subscription_capacity: usize,
    /// How many messages may wait to be written to the connection.
    pub outgoing_capacity: usize,
    /// How long a publish waits for room among these.
    pub publish_limit: Duration,
    /// How long the server may take: to accept the first connection, and to confirm a subscription.
    pub connect_limit: Duration,
}

impl NatsOptions {
    /// The host and port of each server.
    ///
    /// # Errors
    /// When one of them is not the URL of a server.
    pub fn hosts(&self) -> Result<Vec<(String, u16)>, BusError> {
        let servers = Servers::parse(&self.servers)?;
        Ok(servers.addresses.iter().map(|address| (address.host().to_owned(), address.port())).collect())
    }
}

/// Where a client certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificate, and those that it is signed by, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl NatsOptions {
    /// The defaults, for these servers.
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            name: "watchpost".to_owned(),
            credentials: None,
            tls_ca_file: None,
            tls_client: None,
            require_tls: false,
            inbox_prefix: INBOX_PREFIX.to_owned(),
            subscription_capacity: 65_536,
            outgoing_capacity: 8_192,
            publish_limit: Duration::from_secs(2),
            connect_limit: Duration::from_secs(5),
        }
    }
}

impl NatsOptions {
    /// Whether the inbox prefix is one.
    pub(super) fn validate_inbox_prefix(&self) -> Result<(), String> {
        let prefix = &self.inbox_prefix;
        let token_ok = |token: &str| {
            !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if prefix.starts_with(INBOX_PREFIX) && prefix.len() <= 128 && prefix.split('.').all(token_ok) {
            return Ok(());
        }
        let shown: String = prefix.chars().take(80).flat_map(char::escape_debug).collect();
        Err(format!(
            "`{shown}` is not an inbox prefix: expected `_INBOX`, or for example `_INBOX_site-1`; whoever is asked \
             answers on such subjects only"
        ))
    }
}

/// Without any secret.
impl std::fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(|s| without_secrets(s)).collect();
        f.debug_struct("NatsOptions")
            .field("servers", &servers)
            .field("name", &self.name)
            .field("credentials", &self.credentials)
            .field("tls_ca_file", &self.tls_ca_file)
            .field("tls_client", &self.tls_client)
            .field("require_tls", &self.require_tls)
            .field("inbox_prefix", &self.inbox_prefix)
            .field("subscription_capacity", &self.subscription_capacity)
            .field("outgoing_capacity", &self.outgoing_capacity)
            .field("publish_limit", &self.publish_limit)
            .field("connect_limit", &self.connect_limit)
            .finish()
    }
}

/// The servers in a form that can be logged, and what stood before the hosts.
#[derive(Debug)]
pub(super) struct Servers {
    /// Without user, password and token: the client library logs these addresses.
    pub addresses: Vec<ServerAddr>,
    /// For people.
    pub shown: String,
    pub credentials: Option<NatsCredentials>,
}

impl Servers {
    pub(super) fn parse(servers: &[String]) -> Result<Self, BusError> {
        let shown = servers.iter().map(|s| without_secrets(s)).collect::<Vec<_>>().join(", ");
        let error = |detail: String| BusError::Settings { at: shown.clone(), detail };
        if servers.is_empty() {
            return Err(error("no server is given; expected for example nats://127.0.0.1:4222".to_owned()));
        }
        let mut addresses = Vec::new();
        let mut credentials: Option<(String, Option<String>)> = None;
        for server in servers {
            let wrong =
                |detail| error(format!("{} is not the URL of a NATS server: {detail}", without_secrets(server)));
            let address: ServerAddr = server.trim().parse().map_err(|e: std::io::Error| wrong(e.to_string()))?;
            if !matches!(address.scheme(), "nats" | "tls") || address.host().is_empty() {
                return Err(wrong("expected nats://host:port or tls://host:port".to_owned()));
            }
            let decoded = |text: Option<&str>| text.map(percent_decoded).filter(|t| !t.is_empty());
            let found = decoded(address.username()).map(|user| (user, decoded(address.password())));
            if credentials.is_some() && found.is_some() && credentials != found {
                return Err(error("the URLs carry different credentials; expected the same in each".to_owned()));
            }
            credentials = credentials.or(found);
            addresses.push(bare(address).ok_or_else(|| wrong("it has no host".to_owned()))?);
        }
        let credentials = credentials.map(|(user, password)| match password {
            Some(password) => NatsCredentials::UserPassword { user, password: NatsSecret::Text(password) },
            None => NatsCredentials::Token(NatsSecret::Text(user)),
        });
        Ok(Self { addresses, shown, credentials })
    }
}

fn bare(address: ServerAddr) -> Option<ServerAddr> {
    let mut url = address.into_inner();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    ServerAddr::from_url(url).ok()
}

/// The URL of a server as it may be shown. Works on whatever was given as one, also where it is not: the error names it too.
pub fn without_secrets(server: &str) -> String {
    let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{host}").chars().take(200).filter(|c| !c.is_control()).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex =
            |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_host_and_port() {
        let options = NatsOptions::new(["nats://u:p@a.example", "tls://10.0.0.1:4333", "nats://[fd00::1]:4444"]);
        let hosts = options.hosts().unwrap();
        let named = |host: &str, port| (host.to_owned(), port);
        assert_eq!(hosts, [named("a.example", 4222), named("10.0.0.1", 4333), named("fd00::1", 4444)]);
        assert!(NatsOptions::new(["http://a"]).hosts().is_err());
    }

    #[test]
    fn secrets_in_urls_are_used_and_never_shown() {
        let given = ["nats://ann:s%40cr%65t@host:4111".to_owned(), "other".to_owned()];
        let servers = Servers::parse(&given).unwrap();
        assert_eq!(servers.shown, "nats://host:4111, nats://other");
        let Some(NatsCredentials::UserPassword { user, password }) = &servers.credentials else { panic!() };
        assert!(user == "ann" && matches!(password, NatsSecret::Text(text) if text == "s@cret"));
        let mut options = NatsOptions::new(given);
        options.credentials = servers.credentials.clone();
        for text in [format!("{servers:?}"), format!("{options:?}")] {
            assert!(!text.contains("cret") && !text.contains("s%40"), "{text}");
        }
        let servers = Servers::parse(&["nats://tok3n@host".to_owned()]).unwrap();
        assert!(matches!(servers.credentials, Some(NatsCredentials::Token(NatsSecret::Text(t))) if t == "tok3n"));
    }

    #[test]
    fn an_inbox_prefix_is_seen_to_be_one() {
        for (prefix, good) in [
            ("_INBOX", true),
            ("_INBOX_site-1", true),
            ("_INBOX.site-1", true),
            ("", false),
            ("INBOX", false),
            ("watchpost.b1", false),
            ("_INBOX.", false),
            ("_INBOX.*", false),
            ("_INBOX a", false),
        ] {
            let options = NatsOptions { inbox_prefix: prefix.to_owned(), ..NatsOptions::new(["x"]) };
            assert_eq!(options.validate_inbox_prefix().is_ok(), good, "{prefix}");
        }
    }

    #[test]
    fn what_is_not_a_server_is_named_without_its_secrets() {
        for bad in [
            "http://u:s3cret@host",
            "nats://u:s3cret@",
            "nats://u:s3cret@ho st",
            "nats://u:s3cret@host:port",
            "ws://u:s3cret@h",
        ] {
            let error = Servers::parse(&[bad.to_owned()]).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(Servers::parse(&[]).is_err());
        let different = ["nats://a:b@x".to_owned(), "nats://c:d@y".to_owned()];
        assert!(Servers::parse(&different).unwrap_err().to_string().contains("different credentials"));
    }
}
