//! Where nothing goes wrong but targets, nothing is lost, every slot is kept, and every stop is clean.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchpost_model::{BastionId, Outcome, RunId, TaskId, Timestamp};

use super::super::host::DAY_ZERO_US;
use super::super::log::{Entry, Event, Us};
use super::super::plan::{MS, Plan};
use super::Findings;
use super::history::{History, SLACK_US};
use super::runners::STOPS_WITHIN_US;
use super::tasks::SettledTask;

/// Within this time of a change of the configuration it depends on µs whether a slot is kept.
const CLOSE_US: Us = 50 * MS;
/// With this much of it a stop is clean: what runs is cancelled and has answered within its last part.
const GRACE_ENOUGH: Duration = Duration::from_secs(2);

pub fn judge(plan: &Plan, process: &History<'_>, settled: &BTreeMap<TaskId, SettledTask>, findings: &mut Findings) {
    let id = process.id;
    let reloaded = plan.sets.len() > 1;
    // To the broker and on to the Runner, and the answer likewise.
    let there_and_back_us = 4 * plan.weather.hop_us() + SLACK_US;
    for (task, SettledTask { outcome, code, check, time_us, .. }) in settled {
        let explained = match outcome {
            // Its turn came too late.
            Outcome::Lost => *time_us <= there_and_back_us,
            // What is left of a check that was replaced by one that is due more often.
            Outcome::Missed => code == "still_running" && reloaded,
            _ => true,
        };
        findings
            .unless(explained, || format!("p{id}: task {task} of check {check} is {outcome}/{code} in calm weather"));
    }
    let stop_over = process.stop.as_ref().and_then(|stop| stop.over);
    if plan.grace >= GRACE_ENOUGH {
        findings.unless(process.stopped_cleanly(), || format!("p{id}: the stop was not clean: {stop_over:?}"));
    }
    judge_slots(plan, process, findings);
}

/// When everybody who asked is gone, what was asked for stops: the word crosses the bus, and the probe is dropped.
pub fn judge_dropped(plan: &Plan, entries: &[Entry], findings: &mut Findings) {
    let within_us = 2 * plan.weather.hop_us() + STOPS_WITHIN_US;
    let (mut asked_for, mut live, mut nobody_since) = (BTreeSet::new(), 0, None);
    for Entry { at, process, event } in entries {
        match event {
            Event::TaskSent { task, .. } if task.adhoc => drop(asked_for.insert(task.task)),
            Event::RequestMade { .. } => (live, nobody_since) = (live + 1, None),
            Event::RequestDropped { .. } | Event::RequestEnded { .. } => {
                live -= 1;
                nobody_since = (live == 0).then_some(*at);
            }
            Event::ProbeEnded { task, .. } if asked_for.contains(task) => {
                let late = nobody_since.is_some_and(|since: Us| *at > since + within_us);
                findings.unless(!late, || format!("p{process}: task {task} ran until {at}, and nobody waited for it"));
            }
            _ => {}
        }
    }
}

/// Each slot of each check has its run.
fn judge_slots(plan: &Plan, process: &History<'_>, findings: &mut Findings) {
    let bastion: BastionId = "b1".parse().unwrap();
    let mut runs = BTreeSet::new();
    let mut periods = Vec::new();
    for entry in &process.entries {
        match &entry.event {
            Event::TaskSent { task, .. } => drop(runs.insert(task.run)),
            Event::Reported { result, .. } => drop(runs.insert(result.run)),
            Event::Verdict(verdict) => drop(runs.insert(verdict.run)),
            Event::Configured { set, .. } => periods.push((entry.at, *set)),
            _ => {}
        }
    }
    let end = process.stop.as_ref().map_or(process.ends_at, |stop| stop.began_at);
    let ends = periods.iter().skip(1).map(|(at, _)| *at).chain([end]);
    for ((from, set), until) in periods.iter().zip(ends) {
        for check in plan.sets[*set].iter().filter(|check| check.is_scheduled()) {
            // Of a group nothing is told but its verdict, which may not be known when a stop gives up.
            if check.group().is_some() && !process.stopped_cleanly() {
                continue;
            }
            let interval = check.interval().get();
            let phase_us = watchpost_core::phase(check.id().as_str(), interval).as_micros() as i64;
            let interval_us = interval.as_micros() as i64;
            let (first, last) = (DAY_ZERO_US + (from + CLOSE_US) as i64, DAY_ZERO_US + until as i64 - CLOSE_US as i64);
            let mut slot = first + (phase_us - first).rem_euclid(interval_us);
            while slot < last {
                let run = RunId::derive(&bastion, check.id(), Timestamp::from_microsecond(slot).unwrap());
                findings.unless(runs.contains(&run), || {
                    format!("p{}: check {} has no run for its slot at {}", process.id, check.id(), slot - DAY_ZERO_US)
                });
                slot += interval_us;
            }
        }
    }
}
