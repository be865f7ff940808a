//! Names on their way to endpoints, for checks of every address of a name.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use watchpost_model::{Check, Endpoint, Outcome, Reason, ReasonCode, RunId, SourceReport};
use watchpost_probe::Resolver;

use super::aim::Aims;
use super::publish::tell;
use super::run::{Fired, Members, Run};
use super::{Checker, Event};

/// How many names may be resolved at the same time; a run beyond that is missed.
const RESOLVING_MAX: usize = 4096;

/// What a run goes to, or how it ends without any.
pub(crate) type Endpoints = Result<Found, (Outcome, Reason)>;

/// Where a run goes.
pub(crate) enum Found {
    /// To the addresses of a name.
    Addresses(Vec<Endpoint>),
    /// To the targets of a source, with a word on the source where it gives none at present.
    Aims(Aims, Option<Arc<SourceReport>>),
}

impl Checker {
    /// Finds the addresses of the name of a run.
    pub(super) fn resolve(&mut self, fired: Fired) {
        let limit = fired.deadline.since(self.cx.clock.tick());
        let (resolver, check) = (self.cx.resolver.clone(), Arc::clone(&fired.check));
        self.resolve_by(fired, async move { look_up(&resolver, &check, limit).await });
    }

    /// Finds the endpoints of a run by `work`, on the runtime's threads.
    pub(super) fn resolve_by(&mut self, fired: Fired, work: impl Future<Output = Endpoints> + Send + 'static) {
        if self.resolving.len() >= RESOLVING_MAX {
            let message = format!("{RESOLVING_MAX} names and targets are being resolved already");
            return self.settle_whole_run(&fired, Outcome::Missed, Reason::new(ReasonCode::Overloaded, message));
        }
        let (id, me) = (fired.run, self.me.clone());
        let lookup = tokio::spawn(async move {
            let endpoints = AssertUnwindSafe(work).catch_unwind().await;
            let endpoints = endpoints.unwrap_or_else(|_| {
                Err((Outcome::Cancelled, Reason::new(ReasonCode::Panicked, "resolving the target panicked")))
            });
            tell(&me, Event::Resolved { run: id, endpoints }).await;
        });
        self.resolving.insert(id);
        self.runs.insert(id, Run::resolving(fired, lookup.abort_handle()));
    }

    /// A name was resolved, or could not be.
    pub(super) fn resolved(&mut self, id: RunId, endpoints: Endpoints) {
        // One that was stopped meanwhile has its outcome.
        let Some(fired) = self.forget_resolving(id) else { return };
        match endpoints {
            Ok(Found::Addresses(endpoints)) => self.enter_run(fired, Members::Endpoints(endpoints)),
            Ok(Found::Aims(aims, source)) => self.enter_aimed(fired, aims, source),
            Err((outcome, reason)) => self.settle_whole_run(&fired, outcome, reason),
        }
    }

    /// Takes out a run whose name is being resolved.
    pub(super) fn forget_resolving(&mut self, id: RunId) -> Option<Fired> {
        if !self.resolving.remove(&id) {
            return None;
        }
        self.runs.remove(&id).map(|run| run.fired)
    }
}

async fn look_up(resolver: &Resolver, check: &Check, limit: Duration) -> Endpoints {
    let Some(host_port) = check.probe().and_then(|probe| probe.target.host_port.as_ref()) else {
        return Err((Outcome::Error, Reason::new(ReasonCode::NoEndpoints, "the check has no target")));
    };
    let Ok(looked_up) = tokio::time::timeout(limit, resolver.lookup(host_port.host())).await else {
        let message = format!("no name server answered for {} within {limit:.1?}", host_port.host());
        return Err((Outcome::Timeout, Reason::new(ReasonCode::DnsTimeout, message)));
    };
    match looked_up {
        Err(error) => Err((error.outcome(), error.reason())),
        Ok(ips) if ips.is_empty() => {
            let message = format!("{} resolved to no address", host_port.host());
            Err((Outcome::Error, Reason::new(ReasonCode::NoEndpoints, message)))
        }
        Ok(ips) => {
            let endpoint = |ip| Endpoint::at((ip, host_port.port()).into());
            Ok(Found::Addresses(ips.into_iter().map(endpoint).collect()))
        }
    }
}
