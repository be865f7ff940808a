//! Names to addresses, through the name servers of the system or through given ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record};
use hickory_resolver::system_conf::read_system_conf;
use watchpost_model::{Outcome, Reason, ReasonCode};

use crate::lazy::Lazy;
use crate::{Verdict, failure};

/// The most answers that are kept for as long as their time to live says.
const CACHE_ENTRIES_MAX: u64 = 1024;
/// The most questions that are under way over one TCP connection to a name server, which is used
/// where an answer does not fit into a datagram. Many checks may ask for such names at once.
const TCP_QUESTIONS_MAX: usize = 1024;
/// The longest that a negative answer is kept. A name that comes into being should be noticed by
/// the next run of a check, and not by the time to live of its absence.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(5);

/// Resolves names. Clones share their cache and their sockets. Nothing is read or opened before the
/// first name is looked up.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    built: Lazy<Built, Problem>,
}

#[derive(Debug)]
enum Source {
    System,
    NameServers(Vec<SocketAddr>),
}

#[derive(Debug)]
struct Built {
    resolver: TokioResolver,
    /// The servers that it asks, in words.
    servers: Box<str>,
    /// The one that it asks first.
    first: SocketAddr,
}

impl Resolver {
    /// Follows `/etc/resolv.conf` and `/etc/hosts` as they are at the first lookup. While they
    /// cannot be read, each lookup fails and says so; every few seconds it is tried again.
    pub fn system() -> Self {
        Self::from_source(Source::System)
    }

    /// Asks `servers`, and nothing else.
    pub fn with_nameservers(servers: Vec<SocketAddr>) -> Self {
        Self::from_source(Source::NameServers(servers))
    }

    fn from_source(source: Source) -> Self {
        Self(Arc::new(Inner { source, built: Lazy::default() }))
    }

    /// All addresses of `host`, IPv4 first, each once, in an order that stays the same. An address
    /// comes back as it is, and `localhost` is this machine whatever the name servers think.
    ///
    /// # Errors
    /// When there is no such name, it has no address, or no name server could be asked.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the lookup; another lookup of the same name is not disturbed.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        let Built { resolver, servers, .. } = self.built(host)?;
        let failed = |problem| ResolveError::new(host, servers, problem);
        let name = Name::from_str_relaxed(host)
            .map_err(|e| ResolveError::new(host, "", Problem::Other(format!("it cannot be a name ({e})"))))?;
        let found = resolver.lookup_ip(name).await.map_err(|e| failed(Problem::of(&e)))?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        // `IpAddr` orders all of IPv4 before all of IPv6.
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(failed(Problem::NoAddress));
        }
        Ok(addresses)
    }

    /// The services that the SRV records of `name` name, in an order that stays the same.
    ///
    /// # Errors
    /// When there is no such name, it has no such records, or no name server could be asked.
    pub(crate) async fn lookup_services(&self, name: &str) -> Result<Vec<Service>, ResolveError> {
        let Built { resolver, servers, .. } = self.built(name)?;
        let failed = |problem| ResolveError::new(name, servers, problem);
        let asked = Name::from_str_relaxed(name).map_err(|e| failed(Problem::Other(e.to_string())))?;
        let found = resolver.srv_lookup(asked).await.map_err(|e| failed(Problem::of(&e)))?;
        let service = |record: &Record| match &record.data {
            // A service that is decidedly not there has the root for a target (RFC 2782).
            RData::SRV(srv) if !srv.target.is_root() => Some(Service {
                host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                port: srv.port,
                priority: srv.priority,
                weight: srv.weight,
            }),
            _ => None,
        };
        let mut services: Vec<Service> = found.answers().iter().filter_map(service).collect();
        services.sort_unstable();
        services.dedup();
        Ok(services)
    }

    /// The name server that is asked first.
    ///
    /// # Errors
    /// When it is not known whom to ask, `for_what` it was wanted.
    pub(crate) fn first_server(&self, for_what: &str) -> Result<SocketAddr, ResolveError> {
        let built = self.0.built.get(|| self.0.source.build());
        built.map(|built| built.first).map_err(|problem| ResolveError::new(for_what, "", problem))
    }

    fn built(&self, host: &str) -> Result<&Built, ResolveError> {
        self.0.built.get(|| self.0.source.build()).map_err(|problem| ResolveError::new(host, "", problem))
    }
}

/// What one SRV record names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) weight: u16,
}

impl Source {
    fn build(&self) -> Result<Built, Problem> {
        let (config, mut options) = match self {
            Self::System => {
                read_system_conf().map_err(|e| Problem::of(&e).about("the system's resolver configuration"))?
            }
            Self::NameServers(servers) => {
                let config = ResolverConfig::from_name_servers(servers.iter().map(name_server).collect());
                let mut options = ResolverOpts::default();
                options.use_hosts_file = ResolveHosts::Never;
                (config, options)
            }
        };
        let Some(first) = config.name_servers().first() else {
            return Err(Problem::Other("no name servers are configured".to_owned()));
        };
        let first = SocketAddr::new(first.ip, port(first));
        let servers = describe(&config);
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = CACHE_ENTRIES_MAX;
        options.max_active_requests = TCP_QUESTIONS_MAX;
        options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|e| Problem::of(&e).about("the resolver cannot be set up"))?;
        Ok(Built { resolver, servers: servers.into(), first })
    }
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = server.port();
            connection
        })
        .collect();
    NameServerConfig::new(server.ip(), true, connections)
}

/// The servers as an error names them: the port only where it is an unusual one.
fn describe(config: &ResolverConfig) -> String {
    let one = |server: &NameServerConfig| match port(server) {
        53 => server.ip.to_string(),
        port => SocketAddr::new(server.ip, port).to_string(),
    };
    config.name_servers().iter().map(one).collect::<Vec<_>>().join(", ")
}

fn port(server: &NameServerConfig) -> u16 {
    server.connections.first().map_or(53, |connection| connection.port)
}

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct ResolveError {
    host: String,
    servers: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    NxDomain,
    NoAddress,
    Timeout,
    /// This machine lacks what it takes to ask.
    OurOwn(String),
    Other(String),
}

impl Problem {
    /// The same problem, met while setting up.
    fn about(self, what: &str) -> Self {
        match self {
            Self::OurOwn(why) => Self::OurOwn(format!("{what}: {why}")),
            Self::Other(why) => Self::Other(format!("{what}: {why}")),
            other => Self::Other(format!("{what}: {other:?}")),
        }
    }

    fn of(error: &NetError) -> Self {
        if error.is_nx_domain() {
            return Self::NxDomain;
        }
        match error {
            NetError::Dns(DnsError::NoRecordsFound(_)) => Self::NoAddress,
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Other(format!("the answer was {code}")),
            NetError::Timeout => Self::Timeout,
            NetError::Io(error) if failure::is_out_of_means(error) => Self::OurOwn(failure::plain(error)),
            // The library forgets what kept it from asking, so whether this machine can ask is tried.
            NetError::NoConnections => match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
                Err(error) if failure::is_out_of_means(&error) => Self::OurOwn(failure::plain(&error)),
                _ => Self::Other("no name server could be reached".to_owned()),
            },
            NetError::Truncated => {
                Self::Other("the answer does not fit into a datagram, and there is none over TCP".to_owned())
            }
            // Another name's question on the same connection may have been the reason.
            NetError::Message("receiver was canceled") => {
                Self::Other("the name server ended the connection before it had answered".to_owned())
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl ResolveError {
    fn new(host: &str, servers: &str, problem: Problem) -> Self {
        Self { host: host.to_owned(), servers: servers.to_owned(), problem }
    }

    /// The outcome of a check that needs the name: an error, unless it is this machine that could
    /// not ask for want of descriptors, buffers or memory, which says nothing about the target.
    pub fn outcome(&self) -> Outcome {
        match self.problem {
            Problem::OurOwn(_) => Outcome::Cancelled,
            _ => Outcome::Error,
        }
    }

    /// Whether it is what a name server said: that there is nothing.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.problem, Problem::NxDomain | Problem::NoAddress)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        Verdict { outcome: self.outcome(), reason: Some(self.reason()) }
    }

    /// The reason of an outcome.
    pub fn reason(&self) -> Reason {
        let code = match self.problem {
            Problem::NxDomain => ReasonCode::DnsNxdomain,
            Problem::NoAddress => ReasonCode::DnsNoAddress,
            Problem::Timeout => ReasonCode::DnsTimeout,
            Problem::OurOwn(_) => ReasonCode::Overloaded,
            Problem::Other(_) => ReasonCode::DnsError,
        };
        Reason::new(code, self.sentence())
    }

    fn sentence(&self) -> String {
        let host = &self.host;
        let mut sentence = match &self.problem {
            Problem::NxDomain => format!("name does not exist: {host}"),
            Problem::NoAddress => format!("name has no address: {host}"),
            Problem::Timeout => format!("no name server answered for {host}"),
            Problem::OurOwn(why) => format!("this machine could not ask for {host}: {why}"),
            Problem::Other(why) => format!("cannot resolve {host}: {why}"),
        };
        if !self.servers.is_empty() {
            sentence.push_str(&format!(" (asked {})", self.servers));
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_its_code_and_names_who_was_asked() {
        for (problem, code, told) in [
            (Problem::NxDomain, "dns_nxdomain", "name does not exist: a.example (asked 10.0.0.53)"),
            (Problem::NoAddress, "dns_no_address", "name has no address: a.example (asked 10.0.0.53)"),
            (Problem::Timeout, "dns_timeout", "no name server answered for a.example (asked 10.0.0.53)"),
            (Problem::Other("x".into()), "dns_error", "cannot resolve a.example: x (asked 10.0.0.53)"),
        ] {
            let reason = ResolveError::new("a.example", "10.0.0.53", problem).reason();
            assert_eq!((reason.code.as_str(), reason.message.as_str()), (code, told));
        }
    }

    #[test]
    fn a_machine_without_descriptors_says_nothing_about_the_target() {
        for (number, outcome, code) in [(24, Outcome::Cancelled, "overloaded"), (101, Outcome::Error, "dns_error")] {
            let error = NetError::from(std::io::Error::from_raw_os_error(number));
            let verdict = ResolveError::new("a.example", "", Problem::of(&error)).verdict();
            let reason = verdict.reason.unwrap();
            assert_eq!((verdict.outcome, reason.code.as_str()), (outcome, code), "{}", reason.message);
        }
    }

    #[tokio::test]
    async fn a_configuration_that_cannot_be_read_is_read_again_later() {
        let resolver = Resolver::with_nameservers(Vec::new());
        assert!(resolver.lookup("a.example").await.unwrap_err().to_string().contains("no name servers"));
        let built = resolver.0.built.get(|| panic!("it has just been tried"));
        assert!(built.is_err());
    }

    #[test]
    fn the_servers_are_named_with_unusual_ports_only() {
        let config = ResolverConfig::from_name_servers(
            ["10.0.0.53:53", "[::1]:5353"].iter().map(|s| name_server(&s.parse().unwrap())).collect(),
        );
        assert_eq!(describe(&config), "10.0.0.53, [::1]:5353");
    }
}
