//! How many endpoints a run would have, before any of it is run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use watchpost_model::{Check, CheckId, ProbeBody};
use watchpost_probe::Resolver;

use crate::discovery::{Discovery, Source, Standing};

/// How many names are resolved, and sources asked, at a time.
const AT_ONCE: usize = 64;

/// What finds the endpoints of checks, as the Checker finds them.
pub(crate) struct Aiming {
    pub(crate) resolver: Resolver,
    pub(crate) discovery: Discovery,
}

/// How many endpoints there are.
pub(super) struct Counted {
    pub(super) endpoints: usize,
    /// Held until they were run, so that the run finds what was counted.
    _sources: Vec<Arc<Source>>,
}

impl Aiming {
    /// How many endpoints a run of `check` has, which may be made of those in `family`. A name that does not resolve,
    /// and a source that gives nothing, counts as one: it has one result.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing of it goes on.
    pub(super) async fn count(&self, check: &Arc<Check>, family: &[Arc<Check>], limit: Duration) -> Counted {
        let probes = family.iter().chain([check]).filter(|check| check.probe().is_some());
        let counting: Vec<_> = probes.map(|check| self.count_probe(Arc::clone(check), limit)).collect();
        let counted: Vec<_> = futures_util::stream::iter(counting).buffer_unordered(AT_ONCE).collect().await;
        let (mut by_id, mut sources) = (HashMap::new(), Vec::new());
        for (id, endpoints, source) in counted {
            by_id.insert(id, endpoints);
            sources.extend(source);
        }
        let family: HashMap<&CheckId, &Arc<Check>> = family.iter().map(|check| (check.id(), check)).collect();
        Counted { endpoints: sum(check, &family, &mut by_id), _sources: sources }
    }

    async fn count_probe(&self, check: Arc<Check>, limit: Duration) -> (CheckId, usize, Option<Arc<Source>>) {
        let id = check.id().clone();
        let Some(probe) = check.probe() else { return (id, 0, None) };
        if let Some(targets) = probe.targets() {
            let source = self.discovery.source(targets);
            let standing = match source.standing() {
                Standing::Silent => source.first_standing(limit).await.unwrap_or(Standing::Silent),
                known => known,
            };
            let found = match standing {
                Standing::Targets(found, _) => found.len(),
                Standing::Nothing(..) | Standing::Silent => 0,
            };
            return (id, found.max(1), Some(source));
        }
        (id, self.count_addresses(probe, limit).await.max(1), None)
    }

    async fn count_addresses(&self, probe: &ProbeBody, limit: Duration) -> usize {
        if let Some(endpoints) = probe.target.static_endpoints() {
            return endpoints.len();
        }
        let Some(host_port) = &probe.target.host_port else { return 0 };
        let found = tokio::time::timeout(limit, self.resolver.lookup(host_port.host())).await;
        found.map_or(0, |found| found.map_or(0, |ips| ips.len()))
    }
}

/// Invariant: the checks fit together, so that no group contains itself, and none nests deeper than 16.
fn sum(check: &Check, family: &HashMap<&CheckId, &Arc<Check>>, known: &mut HashMap<CheckId, usize>) -> usize {
    if let Some(endpoints) = known.get(check.id()) {
        return *endpoints;
    }
    let members = check.group().into_iter().flatten().filter_map(|id| family.get(id));
    // A group leaves out what is paused.
    let members = members.filter(|member| !member.is_paused());
    let endpoints = members.fold(0usize, |so_far, member| so_far.saturating_add(sum(member, family, known)));
    known.insert(check.id().clone(), endpoints);
    endpoints
}
