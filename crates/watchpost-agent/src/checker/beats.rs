//! Heartbeat checks: the Checker settles their runs by itself, from what it has heard (docs/adr/0013-heartbeats.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use watchpost_core::{BeatLimits, Beats, Pulse, Tick};
use watchpost_model::{
    Beat, BeatStatus, BeatTaken, Check, CheckId, ErrorCode, HeartbeatEvidence, HeartbeatSettings, Outcome,
    ProbeSettings, Reason, ReasonCode, RunId, TaskId, TypeEvidence, V1, shorten,
};

use super::Checker;
use super::run::{Fired, Trouble, verdict_of};
use super::settle::Origin;
use crate::clock::{earlier, later};

/// How much of a job's message a reason quotes.
const QUOTED_CHARS_MAX: usize = 300;

/// Why a beat was not taken, with a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BeatRefused {
    /// Why, for machines.
    pub code: ErrorCode,
    /// Why, and what was expected.
    pub message: String,
}

/// The jobs of all heartbeat checks.
#[derive(Default)]
pub(super) struct Jobs {
    by_check: BTreeMap<CheckId, Job>,
    /// When there may be news of whom. Invariant: each job stands here once, where its `look_at` says.
    looks: BTreeSet<(Tick, CheckId)>,
}

struct Job {
    check: Arc<Check>,
    beats: Beats<Heard>,
    look_at: Option<Tick>,
}

/// What is kept of a beat.
struct Heard {
    beat: Beat,
    at: watchpost_model::Timestamp,
    took: Option<Duration>,
}

/// The settings of a heartbeat check.
pub(super) fn heartbeat_of(check: &Check) -> Option<&HeartbeatSettings> {
    match &*check.probe()?.settings {
        ProbeSettings::Heartbeat(settings) => Some(settings),
        _ => None,
    }
}

fn limits_of(check: &Check, settings: &HeartbeatSettings) -> BeatLimits {
    BeatLimits { period: settings.every.map_or(check.interval().get(), |every| every.get()), grace: settings.grace() }
}

impl Jobs {
    /// When there may next be news of any of them.
    pub(super) fn next_look(&self) -> Option<Tick> {
        self.looks.first().map(|(at, _)| *at)
    }

    /// Notes when there may be news of a job, after anything that was told or heard of it.
    fn reschedule(&mut self, id: &CheckId, now: Tick) {
        let Some(job) = self.by_check.get_mut(id) else { return };
        if let Some(at) = job.look_at.take() {
            self.looks.remove(&(at, id.clone()));
        }
        // One that is a member only is told of when its group runs.
        if job.check.has_timer()
            && let Some(at) = job.beats.next_news(now)
        {
            job.look_at = Some(at);
            self.looks.insert((at, id.clone()));
        }
    }

    fn remove(&mut self, id: &CheckId) {
        if let Some(Job { look_at: Some(at), .. }) = self.by_check.remove(id) {
            self.looks.remove(&(at, id.clone()));
        }
    }
}

impl Checker {
    /// The jobs are those of the checks in force, of which `touched` may differ from before. What was heard of a job
    /// that is still there stays, also where its check was changed.
    pub(super) fn follow_jobs<'a>(&mut self, touched: impl Iterator<Item = &'a CheckId>) {
        let now = self.cx.clock.tick();
        for id in touched {
            let found = self.checks.get(id).and_then(|entry| Some((entry, heartbeat_of(&entry.check)?)));
            let Some((entry, settings)) = found else {
                self.jobs.remove(id);
                continue;
            };
            let limits = limits_of(&entry.check, settings);
            let new = || Job { check: Arc::clone(&entry.check), beats: Beats::new(limits, now), look_at: None };
            let job = self.jobs.by_check.entry(id.clone()).or_insert_with(new);
            job.check = Arc::clone(&entry.check);
            job.beats.set_limits(limits);
            self.jobs.reschedule(id, now);
        }
    }

    /// A job has reported in.
    pub(super) fn take_beat(&mut self, id: &CheckId, beat: Beat) -> Result<BeatTaken, BeatRefused> {
        let now = self.cx.clock.tick();
        let refused = |code, message: String| Err(BeatRefused { code, message });
        let Some(job) = self.jobs.by_check.get_mut(id) else {
            return refused(ErrorCode::UnknownCheck, format!("no heartbeat check is called `{id}` here"));
        };
        // First of all, so that nobody can try many tokens.
        if !job.beats.admit(now) {
            return refused(ErrorCode::TooOften, format!("the beats of `{id}` come too fast: this one was not taken"));
        }
        if !heartbeat_of(&job.check).is_some_and(|settings| settings.admits(beat.token.as_ref().map(|t| t.reveal()))) {
            let message = format!("`{id}` takes only beats with its token: this one has another or none");
            return refused(ErrorCode::NotAllowed, message);
        }
        if beat.status == BeatStatus::Start {
            job.beats.begin(now);
        } else {
            let took = beat.duration_ms.map(Duration::from_millis).or_else(|| job.beats.running_for(now));
            let failed = beat.status == BeatStatus::Fail;
            // It has done its duty, and is a secret.
            let beat = Beat { token: None, ..beat };
            job.beats.beat(now, failed, Heard { beat, at: self.cx.clock.now(), took });
        }
        let (day, silent_at) = (self.cx.clock.now(), job.beats.silent_at());
        let silent_at = match silent_at < now {
            // It is silent, and only begins.
            true => earlier(day, now.since(silent_at)),
            false => later(day, silent_at.since(now)),
        };
        self.tell_news(id);
        Ok(BeatTaken { v: V1, check: id.clone(), silent_at })
    }

    /// Tells of every job of which there is news by now.
    pub(super) fn tell_all_news(&mut self) {
        let now = self.cx.clock.tick();
        // Invariant: a look that is over moves on or is taken out, since what was news is told then.
        while self.may_fire()
            && let Some((_, id)) = self.jobs.looks.first().filter(|(at, _)| *at <= now).cloned()
        {
            self.tell_news(&id);
            self.work_off();
        }
    }

    /// A run off the schedule where there is news of a job: it reported failure, fell silent, or is well again.
    fn tell_news(&mut self, id: &CheckId) {
        let now = self.cx.clock.tick();
        let news = self.jobs.by_check.get(id).filter(|job| job.check.has_timer() && job.beats.is_news(now));
        let check = news.map(|job| Arc::clone(&job.check)).filter(|_| self.may_fire());
        if let Some(check) = check {
            let scheduled_at = self.cx.clock.now();
            let slot = RunId::derive(&self.cx.settings.bastion, id, scheduled_at);
            let fired = Fired {
                // A name of its own, should a slot be due at this very µs. No group is its own member, so nothing
                // else is called so.
                run: RunId::derive_member(slot, id),
                check,
                parent: None,
                scheduled_at,
                deadline: now,
                answer_by: now,
                config_generation: self.generation,
                request: None,
            };
            self.cx.stats.runs.increment();
            self.settle_pulse(&fired, true);
        }
        self.jobs.reschedule(id, now);
    }

    /// Settles a run of a heartbeat check by what is known of its job.
    pub(super) fn settle_pulse(&mut self, fired: &Fired, as_news: bool) {
        let Some(origin) = Origin::of_run(fired).map(|origin| Origin { attempt: 1, ..origin }) else { return };
        let (id, now) = (fired.check.id(), self.cx.clock.tick());
        let (outcome, reason, evidence) = match self.jobs.by_check.get_mut(id) {
            Some(job) => {
                let pulse = job.beats.tell(now, as_news);
                (outcome_of(pulse), reason_of(pulse, job, now), job.evidence(now))
            }
            None => {
                let message = "nothing waits for beats of it: it is not among the checks of the bastion";
                let reason = Reason::new(ReasonCode::HeartbeatPending, message);
                (Outcome::Cancelled, Some(reason), HeartbeatEvidence::default())
            }
        };
        let metrics = self.jobs.by_check.get(id).map(|job| job.metrics(now)).unwrap_or_default();
        self.jobs.reschedule(id, now);
        let verdict = verdict_of(outcome);
        if let Some((parent, _)) = fired.parent {
            let trouble = || Trouble { member: id.to_string(), outcome, reason: reason.clone() };
            self.note_trouble(parent, trouble, verdict);
        }
        let task = TaskId::derive(fired.run, &origin.target.endpoint, origin.attempt);
        let mut result = self.result(task, origin, outcome, reason);
        result.evidence = Some(TypeEvidence::Heartbeat(evidence));
        result.metrics = metrics;
        let keep = self.is_in_force(&fired.check);
        self.publish_result(&result, keep);
        self.tell_request(fired.request, result);
        self.no_longer_going(fired);
        self.tell_parent(fired, verdict);
    }
}

fn outcome_of(pulse: Pulse) -> Outcome {
    match pulse {
        Pulse::Beating => Outcome::Pass,
        Pulse::Failing | Pulse::Silent => Outcome::Fail,
        // Nothing is known of the job, good or bad.
        Pulse::Pending => Outcome::Cancelled,
    }
}

fn reason_of(pulse: Pulse, job: &Job, now: Tick) -> Option<Reason> {
    let BeatLimits { period, grace } = job.beats.limits();
    let expected = format!("one is expected every {}, grace {}", Shown(period), Shown(grace));
    let quiet = Shown(job.beats.quiet_for(now));
    let (code, message) = match (pulse, job.beats.last(now)) {
        (Pulse::Beating, _) => return None,
        (Pulse::Pending, _) => {
            (ReasonCode::HeartbeatPending, format!("no beat yet, {quiet} after the check was loaded; {expected}"))
        }
        (Pulse::Silent, None) => {
            (ReasonCode::HeartbeatSilent, format!("no beat since the check was loaded {quiet} ago; {expected}"))
        }
        (Pulse::Silent, Some((_, heard))) => {
            let what = if heard.beat.status == BeatStatus::Fail { "the last one, a failure," } else { "the last one" };
            (ReasonCode::HeartbeatSilent, format!("no beat for {quiet}; {expected}; {what} came at {}", heard.at))
        }
        (Pulse::Failing, heard) => {
            let message = heard.and_then(|(_, heard)| heard.beat.message.as_ref());
            let told = message
                .map_or_else(String::new, |message| format!(": {}", shorten(message.as_str(), QUOTED_CHARS_MAX)));
            (ReasonCode::HeartbeatFailed, format!("the job reported failure {quiet} ago{told}"))
        }
    };
    Some(Reason::new(code, message))
}

impl Job {
    fn evidence(&self, now: Tick) -> HeartbeatEvidence {
        let last = self.beats.last(now).map(|(_, heard)| heard);
        HeartbeatEvidence {
            last_beat_at: last.map(|heard| heard.at),
            status: last.map(|heard| heard.beat.status),
            message: last.and_then(|heard| heard.beat.message.as_ref()).map(ToString::to_string),
            running_for_ms: self.beats.running_for(now).map(millis),
        }
    }

    /// The numbers of the last beat, and ours.
    fn metrics(&self, now: Tick) -> BTreeMap<String, f64> {
        let Some((ago, heard)) = self.beats.last(now) else { return BTreeMap::new() };
        let mut metrics = heard.beat.metrics.clone();
        metrics.insert("since_last_beat_seconds".into(), ago.as_secs_f64());
        if let Some(took) = heard.took {
            metrics.insert("duration_seconds".into(), took.as_secs_f64());
        }
        metrics
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration in the two largest units that it has: `3days 4h`, `7m 12s`, `45s`.
struct Shown(Duration);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let mut left = self.0.as_secs();
        let Some(largest) = UNITS.iter().position(|(secs, _)| left >= *secs) else {
            return write!(f, "{} ms", self.0.as_millis());
        };
        let mut shown = 0;
        for (secs, unit) in UNITS.iter().skip(largest).take(2) {
            let n = left / secs;
            left %= secs;
            if n > 0 {
                let gap = if shown > 0 { " " } else { "" };
                write!(f, "{gap}{n}{unit}")?;
                shown += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_two_units() {
        for (secs, shown) in [
            (45, "45s"),
            (60, "1m"),
            (432, "7m 12s"),
            (3_600, "1h"),
            (3_661, "1h 1m"),
            (90_000, "1d 1h"),
            (86_405, "1d"),
        ] {
            assert_eq!(Shown(Duration::from_secs(secs)).to_string(), shown);
        }
        assert_eq!(Shown(Duration::from_millis(300)).to_string(), "300 ms");
    }
}
