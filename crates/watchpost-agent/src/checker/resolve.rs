//! Names on their way to endpoints, for checks of every address of a name.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use watchpost_model::{Check, Endpoint, Outcome, Reason, ReasonCode, RunId};
use watchpost_probe::Resolver;

use super::publish::tell;
use super::run::{Fired, Members, Run};
use super::{Checker, Event};

/// How many names may be resolved at the same time; a run beyond that is missed.
const RESOLVING_MAX: usize = 4096;

/// What a name resolved to, or how the run ends without any.
pub(super) type Endpoints = Result<Vec<Endpoint>, (Outcome, Reason)>;

impl Checker {
    /// Finds the endpoints of a run on the runtime's threads.
    pub(super) fn resolve(&mut self, fired: Fired) {
        if self.resolving.len() >= RESOLVING_MAX {
            let message = format!("{RESOLVING_MAX} names are being resolved already");
            return self.settle_whole_run(&fired, Outcome::Missed, Reason::new(ReasonCode::Overloaded, message));
        }
        let limit = fired.deadline.since(self.cx.clock.tick());
        let (id, check) = (fired.run, Arc::clone(&fired.check));
        let (resolver, me) = (self.cx.resolver.clone(), self.me.clone());
        let lookup = tokio::spawn(async move {
            let endpoints = AssertUnwindSafe(look_up(&resolver, &check, limit)).catch_unwind().await;
            let endpoints = endpoints.unwrap_or_else(|_| {
                Err((Outcome::Cancelled, Reason::new(ReasonCode::Panicked, "resolving the name panicked")))
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
            Ok(endpoints) => self.enter_run(fired, Members::Endpoints(endpoints)),
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
        Ok(ips) => Ok(ips.into_iter().map(|ip| Endpoint::at((ip, host_port.port()).into())).collect()),
    }
}
