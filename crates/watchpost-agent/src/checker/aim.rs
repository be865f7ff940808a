//! From the targets that a source found to the endpoints of a run, each with what is done there.

use std::sync::Arc;
use std::time::Duration;

use watchpost_model::{Check, Endpoint, FoundTargets, Outcome, ProbeBody, Reason, ReasonCode, SourceReport};

use super::run::{Fired, Members};
use super::{Checker, resolve};
use crate::discovery::{Source, Standing, empty};

/// How many targets are filled in before others may run on the same thread.
const AT_ONCE: usize = 32;

/// One endpoint, and what is done there, or why nothing can be.
pub(crate) struct Aim {
    pub(super) endpoint: Endpoint,
    pub(super) body: Result<Arc<ProbeBody>, Reason>,
}

/// The endpoints of a check whose targets come from a source, at one state of that.
#[derive(Clone)]
pub(crate) struct Aims {
    found: Arc<FoundTargets>,
    pub(super) aims: Arc<[Aim]>,
}

impl Checker {
    /// Finds the endpoints of a run whose targets come from a source.
    pub(super) fn take_aim(&mut self, fired: Fired) {
        let Some(targets) = fired.check.probe().and_then(ProbeBody::targets) else { return };
        let source = self.cx.discovery.source(targets);
        let known = self.checks.get(fired.check.id()).filter(|entry| Arc::ptr_eq(&entry.check, &fired.check));
        let known = known.and_then(|entry| entry.aims.clone());
        match source.standing() {
            // Most runs go to where the one before went.
            Standing::Targets(found, report)
                if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.found, &found)) =>
            {
                self.enter_aimed(fired, known, report);
            }
            Standing::Nothing(outcome, reason) => self.settle_whole_run(&fired, outcome, reason),
            standing => {
                let limit = fired.deadline.since(self.cx.clock.tick());
                let check = Arc::clone(&fired.check);
                let work = async move { aims(&source, &check, standing, limit).await };
                self.resolve_by(fired, work);
            }
        }
    }

    pub(super) fn enter_aimed(&mut self, fired: Fired, aims: Aims, source: Option<Arc<SourceReport>>) {
        if aims.aims.is_empty() {
            let name = fired.check.probe().map(ProbeBody::endpoint_name).unwrap_or_default();
            return self.settle_whole_run(&fired, Outcome::Error, empty(&name, source.as_deref()));
        }
        if let Some(entry) = self.checks.get_mut(fired.check.id())
            && Arc::ptr_eq(&entry.check, &fired.check)
        {
            entry.aims = Some(aims.clone());
        }
        self.enter_run(fired, Members::Targets { aims: aims.aims, source });
    }
}

async fn aims(source: &Source, check: &Check, standing: Standing, limit: Duration) -> resolve::Endpoints {
    let standing = match standing {
        Standing::Silent => source.first_standing(limit).await.unwrap_or(Standing::Silent),
        known => known,
    };
    let (found, report) = match standing {
        Standing::Targets(found, report) => (found, report),
        Standing::Nothing(outcome, reason) => return Err((outcome, reason)),
        Standing::Silent => {
            let message = format!("the source {} has not answered within {limit:.1?}", source.name());
            return Err((Outcome::Timeout, Reason::new(ReasonCode::NoEndpoints, message)));
        }
    };
    let Some(probe) = check.probe() else {
        return Err((Outcome::Error, Reason::new(ReasonCode::NoEndpoints, "the check has no target")));
    };
    let (finder, mut aims) = (source.finder(), Vec::with_capacity(found.len()));
    for (i, (name, target)) in found.iter().enumerate() {
        if i % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        aims.push(match probe.aim(name, target) {
            // Labels are hidden after they were filled in: what is sent is what the source says.
            Ok((body, endpoint)) => Aim { endpoint: finder.shown(endpoint), body: Ok(Arc::new(body)) },
            Err(error) => Aim {
                endpoint: finder.shown(Endpoint { labels: target.labels().clone(), ..Endpoint::named(name) }),
                body: Err(finder.shown_reason(Reason::new(ReasonCode::InvalidTarget, error.to_string()))),
            },
        });
    }
    Ok(resolve::Found::Aims(Aims { found, aims: aims.into() }, report))
}
