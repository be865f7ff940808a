//! Whom to ask for names, and how.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::read_system_conf;

use super::failure::{self, Problem};

/// The most answers that are kept for as long as their time to live says.
const CACHE_ENTRIES_MAX: u64 = 1024;
/// The most questions that are under way over one TCP connection to a name server, which is used
/// where an answer does not fit into a datagram. Many checks may ask for such names at once.
const TCP_QUESTIONS_MAX: usize = 1024;
/// The longest that a negative answer is kept. A name that comes into being should be noticed by
/// the next run of a check, and not by the time to live of its absence.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Source {
    System,
    NameServers(Vec<SocketAddr>),
}

/// What asks the name servers.
#[derive(Debug)]
pub(super) struct Built {
    config: ResolverConfig,
    options: ResolverOpts,
    resolver: TokioResolver,
    /// The servers that it asks, in words.
    pub(super) servers: Box<str>,
    /// The one that it asks first.
    pub(super) first: SocketAddr,
}

impl Source {
    pub(super) fn build(&self) -> Result<Built, Problem> {
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
        let resolver = resolver(&config, &options)?;
        Ok(Built { config, options, resolver, servers: servers.into(), first })
    }
}

impl Built {
    /// What `ask` learns. A name server may end a connection because of one question, and cut off those that were
    /// under way on it for other names: what was cut off is asked once more, on a connection of its own.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask<T, A: Future<Output = Result<T, NetError>>>(
        &self,
        ask: impl Fn(TokioResolver) -> A,
    ) -> Result<T, NetError> {
        match ask(self.resolver.clone()).await {
            Err(error) if failure::is_cut_off(&error) => match resolver(&self.config, &self.options) {
                Ok(alone) => ask(alone).await,
                Err(_) => Err(error),
            },
            answered => answered,
        }
    }

    /// Whether `name` may have been completed by one of the domains that names are searched in.
    pub(super) fn searches(&self, name: &Name) -> bool {
        !name.is_fqdn() && self.config.domain().into_iter().chain(self.config.search()).any(|domain| !domain.is_root())
    }

    /// Whether `asked` is `name` itself, as it is or completed.
    pub(super) fn is_same(&self, name: &Name, asked: &Name) -> bool {
        let completed = |domain: &Name| name.clone().append_domain(domain).is_ok_and(|completed| completed == *asked);
        let domains = self.config.domain().into_iter().chain(self.config.search());
        completed(&Name::root()) || (!name.is_fqdn() && domains.into_iter().any(completed))
    }
}

fn resolver(config: &ResolverConfig, options: &ResolverOpts) -> Result<TokioResolver, Problem> {
    TokioResolver::builder_with_config(config.clone(), TokioRuntimeProvider::default())
        .with_options(options.clone())
        .build()
        .map_err(|e| Problem::of(&e).about("the resolver cannot be set up"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_are_named_with_unusual_ports_only() {
        let config = ResolverConfig::from_name_servers(
            ["10.0.0.53:53", "[::1]:5353"].iter().map(|s| name_server(&s.parse().unwrap())).collect(),
        );
        assert_eq!(describe(&config), "10.0.0.53, [::1]:5353");
    }

    #[test]
    fn a_name_that_was_completed_is_no_alias() {
        let name = |text: &str| Name::from_str_relaxed(text).unwrap();
        let servers = vec![name_server(&"10.0.0.53:53".parse().unwrap())];
        let config = ResolverConfig::from_parts(None, vec![name("corp.example.")], servers);
        let options = ResolverOpts::default();
        let first = "10.0.0.53:53".parse().unwrap();
        let built =
            Built { resolver: resolver(&config, &options).unwrap(), config, options, servers: "".into(), first };
        for (host, asked, is_same) in [
            ("a", "a.", true),
            ("a", "A.Corp.example.", true),
            ("a.", "a.", true),
            ("a.", "a.corp.example.", false),
            ("a", "a.cdn.example.", false),
        ] {
            assert_eq!(built.is_same(&name(host), &name(asked)), is_same, "{host} {asked}");
        }
        assert!(built.searches(&name("a")) && !built.searches(&name("a.")));
    }
}
