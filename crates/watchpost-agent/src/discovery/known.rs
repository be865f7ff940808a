//! What is known of one source.

use std::sync::Arc;

use watchpost_core::Tick;
use watchpost_model::{
    FoundTarget, FoundTargets, Outcome, Reason, ReasonCode, SourceReport, SourceState, Targets, Timestamp, shorten,
};

/// How much of a failure is told with each result, in characters.
const REASON_CHARS_MAX: usize = 300;

/// What a source said last, and what became of asking it since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// What it said last, and when.
    last: Option<(Arc<FoundTargets>, Tick)>,
    /// Why it gives none since then.
    failed: Option<(Timestamp, Reason)>,
}

/// What a run goes to.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// The source has not been heard of yet.
    Silent,
    /// These; with a word on the source where it does not confirm them any more.
    Targets(Arc<FoundTargets>, Option<Arc<SourceReport>>),
    /// There are none to go to.
    Nothing(Outcome, Reason),
}

impl Known {
    /// The source gave its targets. Says whether they are others than before.
    pub(super) fn found(&mut self, now: Tick, found: Vec<FoundTarget>) -> bool {
        self.failed = None;
        let found = FoundTargets::new(found);
        match &mut self.last {
            // The same value stays, by which others know that nothing changed.
            Some((last, at)) if **last == found => {
                *at = now;
                false
            }
            last => {
                *last = Some((Arc::new(found), now));
                true
            }
        }
    }

    /// The source gave none.
    pub(super) fn failed(&mut self, now: Timestamp, reason: Reason) {
        let since = self.failed.as_ref().map_or(now, |(since, _)| *since);
        let message = shorten(&reason.message, REASON_CHARS_MAX).into_owned();
        self.failed = Some((since, Reason::new(reason.code, message)));
    }

    pub(super) fn is_silent(&self) -> bool {
        self.last.is_none() && self.failed.is_none()
    }

    pub(super) fn is_degraded(&self) -> bool {
        self.failed.is_some()
    }

    pub(super) fn last(&self) -> Option<&Arc<FoundTargets>> {
        self.last.as_ref().map(|(last, _)| last)
    }

    pub(super) fn standing(&self, targets: &Targets, now: Tick) -> Standing {
        let name = || targets.name();
        match (&self.last, &self.failed) {
            (None, None) => Standing::Silent,
            (Some((last, _)), None) => Standing::Targets(Arc::clone(last), None),
            (Some((last, at)), Some((since, reason))) if now.since(*at) <= targets.keep_for() => {
                let state = SourceState::Degraded;
                let report = SourceReport { name: name(), state, since: *since, reason: reason.clone() };
                Standing::Targets(Arc::clone(last), Some(Arc::new(report)))
            }
            (last, Some((_, reason))) => {
                let kept = match last {
                    Some(_) => format!(", and the last are older than {:?}", targets.keep_for()),
                    None => String::new(),
                };
                let message = format!("the source {} gives no targets{kept}: {}", name(), reason.message);
                let (outcome, code) = match reason.code {
                    // That is between the check and this machine, and says nothing about any target.
                    ReasonCode::PolicyDenied => (Outcome::Cancelled, ReasonCode::PolicyDenied),
                    _ => (Outcome::Error, ReasonCode::NoEndpoints),
                };
                Standing::Nothing(outcome, Reason::new(code, message))
            }
        }
    }
}

/// Why a run has nowhere to go whose source lists nothing.
pub(crate) fn empty(name: &str, source: Option<&SourceReport>) -> Reason {
    let mut message = format!("the source {name} lists no target");
    if let Some(SourceReport { since, reason, .. }) = source {
        message.push_str(&format!("; since {since} it does not answer: {}", reason.message));
    }
    Reason::new(ReasonCode::NoEndpoints, message)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn targets() -> Targets {
        serde_json::from_str(r#"{"file": {"files": ["/t.json"]}, "keep_for": "1m"}"#).unwrap()
    }

    fn found(address: &str) -> Vec<FoundTarget> {
        vec![FoundTarget::new(address, [])]
    }

    fn told(known: &Known, at_s: u64) -> String {
        match known.standing(&targets(), at(at_s)) {
            Standing::Silent => "silent".to_owned(),
            Standing::Targets(targets, None) => format!("{} fresh", targets.len()),
            Standing::Targets(targets, Some(report)) => format!("{} since {}", targets.len(), report.since),
            Standing::Nothing(outcome, reason) => format!("{outcome}/{}: {}", reason.code, reason.message),
        }
    }

    fn at(seconds: u64) -> Tick {
        Tick::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_last_good_targets_are_kept_for_a_while_and_told_to_be_so() {
        let mut known = Known::default();
        let broken = || Reason::new(ReasonCode::FileUnusable, "it is broken");
        let time = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(told(&known, 0), "silent");
        known.failed(time(1), broken());
        assert_eq!(told(&known, 1), "error/no_endpoints: the source file /t.json gives no targets: it is broken");
        assert!(known.found(at(10), found("a:1")));
        assert_eq!(told(&known, 1000), "1 fresh", "nobody said that they are not good any more");
        known.failed(time(20), broken());
        known.failed(time(30), broken());
        assert_eq!(told(&known, 70), "1 since 1970-01-01T00:00:20Z");
        let late = "error/no_endpoints: the source file /t.json gives no targets, and the last are older than 60s: it is broken";
        assert_eq!(told(&known, 71), late);
        let before = Arc::clone(known.last().unwrap());
        assert!(!known.found(at(80), found("a:1")) && Arc::ptr_eq(&before, known.last().unwrap()));
        assert_eq!(told(&known, 80), "1 fresh");
        assert!(known.found(at(90), Vec::new()));
        assert_eq!(told(&known, 90), "0 fresh");
    }
}
