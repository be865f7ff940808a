//! Targets that a name server has.

use watchpost_model::{DnsRecords, DnsTargets, FoundTarget, Reason, ReasonCode};

use super::ANSWER_LIMIT;
use super::pace::Pace;
use crate::context::ProbeContext;
use crate::resolver::{ResolveError, Resolver};

/// A name whose addresses, or SRV records, are targets.
#[derive(Debug)]
pub(super) struct DnsSource {
    resolver: Resolver,
    settings: DnsTargets,
    pace: Pace,
}

impl DnsSource {
    pub(super) fn new(context: ProbeContext, settings: DnsTargets, pace: Pace) -> Self {
        Self { resolver: context.network.resolver().clone(), settings, pace }
    }

    pub(super) async fn next(&mut self) -> Result<Vec<FoundTarget>, Reason> {
        self.pace.wait().await;
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.ask()).await.unwrap_or_else(|_| {
            let message = format!("no name server answered for {} within {ANSWER_LIMIT:?}", self.settings.name);
            Err(Reason::new(ReasonCode::DnsTimeout, message))
        });
        self.pace.note(&answer);
        answer
    }

    async fn ask(&self) -> Result<Vec<FoundTarget>, Reason> {
        let name = self.settings.name.as_str();
        let found = match self.settings.records {
            DnsRecords::Srv => self.services(name).await,
            _ => self.addresses(name).await,
        };
        match found {
            // That there is nothing is an answer as well: a cluster whose last instance is gone says so.
            Err(error) if error.is_answer() => Ok(Vec::new()),
            Err(error) => Err(error.reason()),
            Ok(found) => Ok(found),
        }
    }

    async fn addresses(&self, name: &str) -> Result<Vec<FoundTarget>, ResolveError> {
        let port = self.settings.port.unwrap_or(0);
        let mut found = self.resolver.lookup(name).await?;
        found.retain(|ip| match self.settings.records {
            DnsRecords::A => ip.is_ipv4(),
            DnsRecords::Aaaa => ip.is_ipv6(),
            _ => true,
        });
        let target = |ip| FoundTarget::new(&std::net::SocketAddr::new(ip, port).to_string(), [label("name", name)]);
        Ok(found.into_iter().map(target).collect())
    }

    async fn services(&self, name: &str) -> Result<Vec<FoundTarget>, ResolveError> {
        let target = |service: crate::resolver::Service| {
            let labels = [
                label("name", name),
                label("srv_record_target", &service.host),
                label("srv_record_port", &service.port.to_string()),
                label("srv_record_priority", &service.priority.to_string()),
                label("srv_record_weight", &service.weight.to_string()),
            ];
            FoundTarget::new(&format!("{}:{}", service.host, service.port), labels)
        };
        Ok(self.resolver.lookup_services(name).await?.into_iter().map(target).collect())
    }
}

/// The first three are those that Prometheus gives.
fn label(name: &str, value: &str) -> (String, String) {
    (format!("__meta_dns_{name}"), value.to_owned())
}
