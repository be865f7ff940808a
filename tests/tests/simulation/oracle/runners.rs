//! What holds of every Runner.
//!
//! **Guarantee 2.** `idle + busy + rebuilding = size` at every look, no worker has two tasks, no task two workers, and
//! after a stop every worker is home. **Guarantee 3.** No task starts after its deadline, or after the Runner heard
//! that it is cancelled; one that runs is over within [`STOPS_WITHIN_US`] of that, and by its deadline.
//! **Guarantee 1**, the Runner's part of it: it reports on a task as often as it heard it, at most, and always the
//! same where it heard it once; and no accepted task is dropped without a report.

use std::collections::{BTreeMap, BTreeSet};

use watchpost_agent::PoolStatus;
use watchpost_model::{Outcome, RunId, TaskId};

use super::super::log::{Event, Us};
use super::super::plan::{MS, Plan};
use super::Findings;
use super::history::{History, SLACK_US};

/// How soon a task that was cancelled is over.
pub const STOPS_WITHIN_US: Us = 100 * MS;

#[derive(Default)]
struct Seen {
    heard: usize,
    began: usize,
    reported: usize,
    outcomes: BTreeSet<(Outcome, String)>,
}

#[derive(Clone, Copy)]
struct Running {
    task: TaskId,
    run: RunId,
    deadline: Us,
}

pub fn judge(plan: &Plan, process: &History<'_>, findings: &mut Findings) {
    let id = process.id;
    let mut tasks = BTreeMap::<TaskId, Seen>::new();
    let mut at_work = BTreeMap::<u64, Running>::new();
    let mut cancelled = BTreeMap::<RunId, Us>::new();
    let mut largest = 0;
    for entry in &process.entries {
        let at = process.noticed(entry.at);
        // Invariant of the simulation: what was cancelled must be over after a while.
        for running in at_work.values() {
            let late = cancelled.get(&running.run).is_some_and(|heard| at > heard + STOPS_WITHIN_US);
            findings.unless(!late || !process.awake(at.saturating_sub(STOPS_WITHIN_US), at), || {
                format!("p{id}: task {} still runs at {at}, and was cancelled", running.task)
            });
        }
        match &entry.event {
            Event::TaskHeard(note) => tasks.entry(note.task).or_default().heard += 1,
            Event::Resized { largest: size } => largest = largest.max(*size),
            Event::CancelHeard(cancel) => {
                for run in &cancel.runs {
                    cancelled.entry(*run).or_insert(at);
                }
            }
            Event::ProbeBegan { worker, task, run, until } => {
                tasks.entry(*task).or_default().began += 1;
                let twice = at_work.values().any(|running| running.task == *task);
                findings.unless(!twice, || format!("p{id}: task {task} has two workers"));
                let deadline = process.moment_of(*until, Us::MAX);
                let before = at_work.insert(*worker, Running { task: *task, run: *run, deadline });
                findings.unless(before.is_none(), || format!("p{id}: worker {worker} has two tasks"));
                findings
                    .unless(at_work.len() <= 2 * largest, || format!("p{id}: {} workers are at work", at_work.len()));
                let stopped = cancelled.get(run).is_some_and(|heard| at > *heard);
                findings.unless(!stopped || plan_recurs(plan), || {
                    format!("p{id}: task {task} began at {at}, and was cancelled")
                });
                let late = deadline <= at && !process.set;
                findings.unless(!late, || format!("p{id}: task {task} began after its deadline, {until}"));
            }
            Event::ProbeEnded { worker, .. } => {
                let Some(Running { task, deadline, .. }) = at_work.remove(worker) else { continue };
                let late = at > process.noticed(deadline).saturating_add(SLACK_US) && !process.set;
                findings.unless(!late, || format!("p{id}: task {task} ended at {at}, after its deadline"));
            }
            Event::Reported { result, sent } if result.by_runner => {
                let seen = tasks.entry(result.task).or_default();
                seen.reported += usize::from(*sent);
                seen.outcomes.insert((result.outcome, result.code.clone()));
            }
            Event::Broken(what) => findings.0.push(format!("p{id}: {what}")),
            Event::Looked(status) => {
                judge_pools(id, status.pools.iter().flatten(), findings);
                let unreported = status.counts.tasks_unreported;
                findings.unless(unreported == 0, || format!("p{id}: {unreported} tasks were dropped without a report"));
                let rebuilt = status.counts.actors_rebuilt;
                findings.unless(rebuilt == 0, || format!("p{id}: {rebuilt} actors panicked"));
            }
            _ => {}
        }
    }
    for (task, seen) in &tasks {
        let Seen { heard, began, reported, outcomes } = seen;
        findings.unless(reported <= heard && began <= heard, || {
            format!("p{id}: task {task} was heard {heard} times, begun {began} times, reported {reported} times")
        });
        findings
            .unless(*heard != 1 || outcomes.len() <= 1, || format!("p{id}: task {task} was reported as {outcomes:?}"));
        if plan.calm && process.stopped_cleanly() {
            findings.unless(reported == heard, || {
                format!("p{id}: task {task} was heard {heard} times, reported {reported} times")
            });
        }
    }
    judge_end(process, &at_work, findings);
}

/// Whether the ids of runs may recur, since a Checker's time of day was set back.
fn plan_recurs(plan: &Plan) -> bool {
    plan.actions.iter().any(|(_, action)| matches!(action, super::super::plan::Action::SetDay { .. }))
}

fn judge_pools<'a>(id: usize, pools: impl Iterator<Item = &'a PoolStatus>, findings: &mut Findings) {
    for pool in pools {
        findings.unless(pool.idle + pool.busy + pool.rebuilding == pool.size, || format!("p{id}: {pool:?}"));
    }
}

/// After a stop that went well every worker is home.
fn judge_end(process: &History<'_>, at_work: &BTreeMap<u64, Running>, findings: &mut Findings) {
    let id = process.id;
    let Some(stop) = &process.stop else { return };
    let (Some((over_at, _, _)), Some(status)) = (stop.over, stop.after) else { return };
    if !process.stopped_cleanly() || !process.awake(stop.began_at, over_at + SLACK_US) {
        return;
    }
    for pool in status.pools.iter().flatten() {
        findings.unless(pool.busy == 0 && pool.waiting == 0, || format!("p{id}: after the stop {pool:?}"));
    }
    findings.unless(at_work.is_empty(), || format!("p{id}: {} workers are at work after the stop", at_work.len()));
}
