//! Filling secrets in, at the last moment, around every probe.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::ExposeSecret;
use watchpost_model::{Reason, ReasonCode, SecretName, SecretPlaces, Task};

use super::bound::Bounds;
use super::{Known, SecretStore};
use crate::recorder::Recorder;
use crate::secret::Secrets;
use crate::{BoxFuture, Probe, Verdict, failure};

/// A probe that is given secrets in the place of the references to them, and whose findings show none of them.
pub(crate) struct Resolving<P> {
    pub(crate) probe: P,
    pub(crate) secrets: SecretStore,
}

impl<P: Probe> Resolving<P> {
    async fn check(&mut self, task: &Task, recorder: &Recorder) -> Verdict {
        self.secrets.forget_old();
        let Ok(places) = task.probe.secrets() else { return failure::bad_task() };
        if places.is_empty() {
            return self.probe.run(task, recorder).await;
        }
        let mut known: BTreeMap<SecretName, Arc<Known>> = BTreeMap::new();
        let mut hidden = Secrets::default();
        for name in names(&places) {
            match self.secrets.get(name).await {
                Ok(secret) => {
                    hidden.declare(&secret.declared);
                    known.insert(name.clone(), secret);
                }
                Err(why) => return Verdict::error(Reason::new(ReasonCode::SecretMissing, why)),
            }
        }
        // The recorder hides them when it is asked: a probe that is cut short cannot.
        recorder.hide(&hidden);
        let bounds = match Bounds::of(task, &places, &self.secrets) {
            Ok(bounds) => bounds,
            Err(why) => return not_allowed(why),
        };
        recorder.bind(bounds);
        let filled = places.fill(&task.probe, |name| known.get(name).map(|known| known.value.expose_secret()));
        let settings = match filled {
            Ok(settings) => settings,
            Err(why) => return Verdict::error(Reason::new(ReasonCode::SecretMissing, why.to_string())),
        };
        let filled = task.filled(Arc::new(settings));
        let mut verdict = self.probe.run(&filled, recorder).await;
        if let Some(reason) = &mut verdict.reason {
            reason.message = hidden.hide_in(std::mem::take(&mut reason.message));
        }
        verdict
    }
}

/// The names of the secrets, each once.
fn names(places: &SecretPlaces) -> Vec<&SecretName> {
    let mut names: Vec<_> = places.uses().map(|used| used.name).collect();
    names.sort();
    names.dedup();
    names
}

/// The verdict on a secret that the check would send where it may not be sent. That is nothing that the target did.
pub(crate) fn not_allowed(why: String) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::SecretNotAllowed, why))
}

impl<P: Probe> Probe for Resolving<P> {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}
