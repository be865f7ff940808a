//! Names to addresses, through the name servers of the system or through given ones.

mod failure;
mod setup;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{Name, RData, Record};

use self::failure::Problem;
use self::setup::{Built, Source};
use crate::lazy::Lazy;

pub use self::failure::ResolveError;

/// Resolves names. Clones share their cache and their sockets. Nothing is read or opened before the
/// first name is looked up.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    built: Lazy<Built, Problem>,
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
        let built = self.built(host)?;
        let name = Name::from_str_relaxed(host)
            .map_err(|e| ResolveError::new(host, "", Problem::Other(format!("it cannot be a name ({e})"))))?;
        let asked = |name: &Name| {
            let name = name.clone();
            built.ask(move |resolver| {
                let name = name.clone();
                async move { resolver.lookup_ip(name).await }
            })
        };
        let found = match asked(&name).await {
            Ok(found) => found,
            Err(error) => {
                let mut alias = failure::alias(&error, |asked| built.is_same(&name, asked));
                if alias.is_none() && failure::is_answer(&error) && built.searches(&name) {
                    // What was asked last is the name with a domain at its end, which need not exist.
                    let mut whole = name.clone();
                    whole.set_fqdn(true);
                    let again = asked(&whole).await.err();
                    alias = again.and_then(|error| failure::alias(&error, |asked| built.is_same(&name, asked)));
                }
                return Err(ResolveError::new(host, &built.servers, Problem::of(&error)).of_alias(alias));
            }
        };
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        // `IpAddr` orders all of IPv4 before all of IPv6.
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(ResolveError::new(host, &built.servers, Problem::NoAddress));
        }
        Ok(addresses)
    }

    /// The services that the SRV records of `name` name, in an order that stays the same.
    ///
    /// # Errors
    /// When there is no such name, it has no such records, or no name server could be asked.
    pub(crate) async fn lookup_services(&self, name: &str) -> Result<Vec<Service>, ResolveError> {
        let built = self.built(name)?;
        let failed = |problem| ResolveError::new(name, &built.servers, problem);
        let asked = Name::from_str_relaxed(name).map_err(|e| failed(Problem::Other(e.to_string())))?;
        let ask = |resolver: TokioResolver| {
            let asked = asked.clone();
            async move { resolver.srv_lookup(asked).await }
        };
        let found = built.ask(ask).await.map_err(|e| failed(Problem::of(&e)))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_configuration_that_cannot_be_read_is_read_again_later() {
        let resolver = Resolver::with_nameservers(Vec::new());
        assert!(resolver.lookup("a.example").await.unwrap_err().to_string().contains("no name servers"));
        let built = resolver.0.built.get(|| panic!("it has just been tried"));
        assert!(built.is_err());
    }
}
