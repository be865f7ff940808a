//! Names on their way to endpoints, for checks of every address of a name.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use futures_util::FutureExt;
use tokio::task::AbortHandle;
use watchpost_model::{Endpoint, HostPort, Outcome, Reason, ReasonCode, RunId, TaskId};
use watchpost_probe::Resolver;

use super::Checker;
use super::dispatch::Run;
use super::publish::tell;
use crate::Abandoned;

/// How many names may be resolved at the same time; a run beyond that is missed.
const RESOLVING_MAX: usize = 4096;

/// A run whose tasks are yet to come.
pub(super) struct Resolving {
    pub(super) run: Run,
    lookup: AbortHandle,
}

type Endpoints = Result<Vec<Endpoint>, (Outcome, Reason)>;

/// A name was resolved, or could not be.
#[derive(Message)]
#[rtype(result = "()")]
struct Resolved {
    run: RunId,
    endpoints: Endpoints,
}

impl Handler<Resolved> for Checker {
    type Result = ();

    fn handle(&mut self, Resolved { run, endpoints }: Resolved, ctx: &mut Self::Context) {
        // One that was stopped meanwhile has its outcome.
        let Some(Resolving { run, .. }) = self.resolving.remove(&run) else { return };
        match endpoints {
            Ok(endpoints) => self.dispatch(&run, endpoints),
            Err((outcome, reason)) => self.settle_whole_run(&run, outcome, reason),
        }
        // Only now: until its tasks are in the group, the group looks done.
        self.no_longer_resolving(&run);
        self.step_stop(ctx);
        self.arm();
    }
}

impl Checker {
    /// Finds the endpoints of a run on the runtime's threads.
    pub(super) fn resolve(&mut self, run: Run, ctx: &mut Context<Self>) {
        if self.resolving.len() >= RESOLVING_MAX {
            let message = format!("{RESOLVING_MAX} names are being resolved already");
            self.settle_whole_run(&run, Outcome::Missed, Reason::new(ReasonCode::Overloaded, message));
            return;
        }
        if let Some(adhoc) = run.adhoc.and_then(|id| self.adhocs.get_mut(&id)) {
            adhoc.unresolved += 1;
        }
        let limit = self.cx.clock.tick_at(run.deadline).since(self.cx.clock.tick());
        let Some(host_port) = run.check.probe().map(|probe| probe.target.host_port.clone()) else { return };
        let id = run.run;
        let (resolver, addr) = (self.cx.resolver.clone(), ctx.address());
        let lookup = tokio::spawn(async move {
            let endpoints = AssertUnwindSafe(look_up(&resolver, &host_port, limit)).catch_unwind().await;
            let endpoints = endpoints.unwrap_or_else(|_| {
                Err((Outcome::Cancelled, Reason::new(ReasonCode::Panicked, "resolving the name panicked")))
            });
            tell(&addr, Resolved { run: id, endpoints }).await;
        });
        self.resolving.insert(id, Resolving { run, lookup: lookup.abort_handle() });
    }

    /// Ends the runs that `which` picks as cancelled, before any task of theirs was made.
    pub(super) fn stop_resolving(&mut self, which: impl Fn(&Run) -> bool, code: ReasonCode, message: &str) {
        let picked: Vec<RunId> =
            self.resolving.iter().filter(|(_, resolving)| which(&resolving.run)).map(|(id, _)| *id).collect();
        for id in picked {
            let Some(Resolving { run, lookup }) = self.resolving.remove(&id) else { continue };
            lookup.abort();
            self.settle_whole_run(&run, Outcome::Cancelled, Reason::new(code.clone(), message));
            self.no_longer_resolving(&run);
        }
    }

    fn no_longer_resolving(&mut self, run: &Run) {
        let Some(id) = run.adhoc else { return };
        if let Some(adhoc) = self.adhocs.get_mut(&id) {
            adhoc.unresolved -= 1;
        }
        self.forget_adhoc_if_done(id);
    }
}

impl Run {
    /// What stands for all of its endpoints in results.
    pub(super) fn endpoint_name(&self) -> String {
        self.check.probe().map_or_else(|| self.check.target_name(), |probe| probe.target.host_port.to_string())
    }

    /// What is told of a run whose name was still being resolved when a stop's grace was over.
    pub(super) fn abandoned(&self) -> Abandoned {
        let endpoint = self.endpoint_name();
        Abandoned {
            task: TaskId::derive(self.run, &endpoint, 0),
            check: self.check.id().clone(),
            endpoint,
            state: "its name was still being resolved",
        }
    }
}

async fn look_up(resolver: &Resolver, host_port: &HostPort, limit: Duration) -> Endpoints {
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
