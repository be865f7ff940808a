//! Heartbeat checks: a Checker tells of each job what follows from the beats that it took, and tells it in time.
//!
//! - Each result says how the job was at that moment.
//! - Where a job is otherwise than was told last, it is told within a second and what timers take, unless the Checker
//!   was dead, stalled or being stopped then. Of a check that is not scheduled nothing is told by itself.
//! - What is told off the schedule is news: not what was told last, and a second after the news before it.
//! - A beat says when silence would begin, and no more beats are taken than may come.

use std::collections::BTreeMap;

use watchpost_core::Pulse;
use watchpost_model::{BeatStatus, BeatTaken, Check, CheckId, ErrorCode, Outcome, ProbeSettings, RunId};

use super::super::log::{Event, ResultNote, Us};
use super::super::plan::{MS, Plan, S};
use super::Findings;
use super::history::{History, SLACK_US};
use super::tasks::PUBLISHED_WITHIN_US;

/// How far apart news are.
const NEWS_EVERY_US: Us = S;
/// How many beats may come at once, and how long it takes until one more may.
const BURST: u64 = 20;
const REFILL_US: Us = 200 * MS;

/// What a process did with its jobs, in the order in which it did it.
enum Step<'a> {
    Known(usize),
    Beat(&'a CheckId, BeatStatus, &'a Result<BeatTaken, ErrorCode>),
    Told(&'a ResultNote),
}

struct Job<'a> {
    check: &'a Check,
    known_at: Us,
    /// The last beat, and whether it reported failure.
    last: Option<(Us, bool)>,
    told: Pulse,
    news_at: Option<Us>,
    /// When it was told of, heard of, or got other limits last; and how it was at that moment before it changed.
    changed_at: Us,
    before: Vec<Pulse>,
    taken: u64,
}

pub fn judge(plan: &Plan, process: &History<'_>, findings: &mut Findings) {
    // Where the time of day was set, it is not to be told when a result was decided on.
    if process.set || process.set_back {
        return;
    }
    let mut jobs = BTreeMap::<&CheckId, Job<'_>>::new();
    for (at, step) in steps(process) {
        jobs.values().for_each(|job| job.judge_overdue(process, at, findings));
        match step {
            Step::Known(set) => follow(&mut jobs, &plan.sets[set], at),
            Step::Beat(check, status, answer) => match (jobs.get_mut(check), answer) {
                (Some(job), answer) => job.beat(process, at, status, answer, findings),
                (None, answer) => findings.unless(*answer == Err(ErrorCode::UnknownCheck), || {
                    format!("p{}: a beat of {check}, which is not there, was answered by {answer:?}", process.id)
                }),
            },
            Step::Told(result) => {
                // One that was asked for by somebody may be no job of the Checker's.
                let Some(job) = jobs.get_mut(&result.check) else { continue };
                job.tell(process, at, result, findings);
            }
        }
    }
    jobs.values().for_each(|job| job.judge_overdue(process, process.ends_at, findings));
}

/// By the time of each; a result when it was decided on, since publishing takes its time.
fn steps<'a>(process: &History<'a>) -> Vec<(Us, Step<'a>)> {
    let step = |at: Us, event: &'a Event| match event {
        Event::Configured { set, .. } => Some((at, Step::Known(*set))),
        Event::Beat { check, status, answer } => Some((at, Step::Beat(check, *status, answer))),
        Event::Reported { result, .. } if !result.by_runner => {
            Some((process.moment_of(result.decided_at, at), Step::Told(result)))
        }
        _ => None,
    };
    let mut steps: Vec<_> = process.entries.iter().filter_map(|entry| step(entry.at, &entry.event)).collect();
    // What is told at the very moment of a beat comes after it in most cases.
    steps.sort_by_key(|(at, step)| (*at, matches!(step, Step::Told(_))));
    steps
}

fn follow<'a>(jobs: &mut BTreeMap<&'a CheckId, Job<'a>>, set: &'a [Check], now: Us) {
    let is_job =
        |check: &&Check| check.probe().is_some_and(|probe| matches!(&*probe.settings, ProbeSettings::Heartbeat(_)));
    let known: BTreeMap<&CheckId, &Check> = set.iter().filter(is_job).map(|check| (check.id(), check)).collect();
    jobs.retain(|id, _| known.contains_key(id));
    for (id, check) in known {
        let new = || Job {
            check,
            known_at: now,
            last: None,
            told: Pulse::Pending,
            news_at: None,
            changed_at: now,
            before: Vec::new(),
            taken: 0,
        };
        let job = jobs.entry(id).or_insert_with(new);
        job.change(now);
        job.check = check;
    }
}

impl<'a> Job<'a> {
    fn silent_at(&self) -> Us {
        let settings = self.check.probe().and_then(|probe| match &*probe.settings {
            ProbeSettings::Heartbeat(settings) => Some(settings.clone()),
            _ => None,
        });
        let settings = settings.unwrap_or_default();
        let period = settings.every.map_or(self.check.interval().get(), |every| every.get());
        let quiet_since = self.last.map_or(self.known_at, |(at, _)| at);
        quiet_since + (period + settings.grace()).as_micros() as Us
    }

    fn pulse(&self, at: Us) -> Pulse {
        match self.last {
            _ if at >= self.silent_at() => Pulse::Silent,
            None => Pulse::Pending,
            Some((_, true)) => Pulse::Failing,
            Some((_, false)) => Pulse::Beating,
        }
    }

    /// Notes how it is before something changes that.
    fn change(&mut self, now: Us) {
        if now > self.changed_at {
            self.before.clear();
        }
        self.before.push(self.pulse(now));
        self.changed_at = now;
    }

    /// Whether it was told by `now` how the job is, if that was to be told.
    fn judge_overdue(&self, process: &History<'_>, now: Us, findings: &mut Findings) {
        let pulse = self.pulse(now);
        if pulse == self.told || !self.check.is_scheduled() {
            return;
        }
        let since = if pulse == Pulse::Silent { self.silent_at().max(self.changed_at) } else { self.changed_at };
        let due = since.max(self.news_at.map_or(0, |at| at + NEWS_EVERY_US));
        let latest = process.noticed(process.noticed(due) + SLACK_US) + SLACK_US;
        let stopped_at = process.stop.as_ref().map_or(Us::MAX, |stop| stop.began_at);
        // One that is killed has not published what it decided on just before.
        let seen_until = process.ends_at.saturating_sub(PUBLISHED_WITHIN_US).min(stopped_at);
        findings.unless(now <= latest || latest > seen_until, || {
            let (id, told) = (self.check.id(), self.told);
            format!("p{}: job {id} is {pulse:?} since {since}, and it is {told:?} to everybody at {now}", process.id)
        });
    }

    fn beat(
        &mut self,
        process: &History<'_>,
        now: Us,
        status: BeatStatus,
        answer: &Result<BeatTaken, ErrorCode>,
        findings: &mut Findings,
    ) {
        let told = format!("p{}: a beat of {} at {now}", process.id, self.check.id());
        match answer {
            Ok(taken) => {
                self.taken += 1;
                let may = BURST + (now - self.known_at) / REFILL_US;
                findings.unless(self.taken <= may, || format!("{told} is the {}th", self.taken));
                if status != BeatStatus::Start {
                    self.change(now);
                    self.last = Some((now, status == BeatStatus::Fail));
                }
                let (silent_at, said) = (self.silent_at(), process.meant_by(taken.silent_at, now));
                findings.unless(said == silent_at, || format!("{told} puts silence off to {said}, not {silent_at}"));
            }
            Err(ErrorCode::TooOften) => {
                findings.unless(self.taken >= BURST, || format!("{told} is one too many, after {}", self.taken));
            }
            Err(code) => findings.0.push(format!("{told} was refused: {code}")),
        }
    }

    fn tell(&mut self, process: &History<'_>, now: Us, result: &ResultNote, findings: &mut Findings) {
        let ResultNote { run, check, outcome, code, .. } = result;
        let pulse = match (outcome, code.as_str()) {
            (Outcome::Pass, "") => Pulse::Beating,
            (Outcome::Fail, "heartbeat_failed") => Pulse::Failing,
            (Outcome::Fail, "heartbeat_silent") => Pulse::Silent,
            (Outcome::Cancelled, "heartbeat_pending") => Pulse::Pending,
            // It speaks of the Checker, not of the job.
            (Outcome::Cancelled | Outcome::Missed, _) => return,
            _ => return findings.0.push(format!("p{}: job {check} was told of as {outcome}/{code}", process.id)),
        };
        let told = || format!("p{}: job {check} was told to be {pulse:?} at {now}", process.id);
        let is = self.pulse(now);
        let was = self.changed_at == now && self.before.contains(&pulse);
        findings.unless(pulse == is || was, || format!("{}, and is {is:?}", told()));
        let slot = RunId::derive(&"b1".parse().unwrap(), check, result.decided_at);
        if *run == RunId::derive_member(slot, check) {
            let spaced = self.news_at.is_none_or(|at| now - at >= NEWS_EVERY_US);
            findings.unless(spaced && pulse != self.told, || {
                format!("{}, which is no news after {:?} at {:?}", told(), self.told, self.news_at)
            });
            self.news_at = Some(now);
        }
        self.change(now);
        self.told = pulse;
    }
}
