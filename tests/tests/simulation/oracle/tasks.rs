//! Guarantee 1 for each task, and guarantee 6: a stop ends in time and names what it abandons.

use std::collections::BTreeMap;

use watchpost_agent::Roles;
use watchpost_model::{CheckId, Outcome, RunId, TaskId};

use super::super::log::{Event, ResultNote, TaskNote, Us};
use super::super::plan::S;
use super::Findings;
use super::history::{History, SLACK_US};

/// How much later than it was decided on a Checker's own result may be published, where the bus is slow: one that is
/// killed in between has said nothing.
pub const PUBLISHED_WITHIN_US: Us = 3 * S;

/// A task that has its outcome.
#[derive(Debug, Clone)]
pub struct SettledTask {
    pub run: RunId,
    pub check: CheckId,
    pub endpoint: String,
    pub outcome: Outcome,
    pub code: String,
    /// 0 where no task was made of it.
    pub attempt: u32,
    /// How long before its outcome was no longer waited for it was sent.
    pub time_us: Us,
}

/// What the log has of one task.
#[derive(Default)]
struct Life<'a> {
    sent: Vec<(Us, &'a TaskNote)>,
    /// When the Checker noticed them.
    answers: Vec<(Us, &'a ResultNote)>,
    /// When the Checker decided on them.
    own: Vec<(Us, &'a ResultNote)>,
}

/// Gives the tasks that were settled.
pub fn judge(process: &History<'_>, findings: &mut Findings) -> BTreeMap<TaskId, SettledTask> {
    let mut lives = BTreeMap::<TaskId, Life<'_>>::new();
    for entry in &process.entries {
        match &entry.event {
            Event::TaskSent { task, .. } => lives.entry(task.task).or_default().sent.push((entry.at, task)),
            Event::Answered(result) => {
                lives.entry(result.task).or_default().answers.push((process.noticed(entry.at), result));
            }
            Event::Reported { result, .. } if !result.by_runner => {
                let decided_at = process.moment_of(result.decided_at, entry.at);
                lives.entry(result.task).or_default().own.push((decided_at, result));
            }
            Event::Looked(status) => {
                let rebuilt = status.counts.actors_rebuilt;
                findings.unless(rebuilt == 0, || format!("p{}: {rebuilt} actors panicked", process.id));
            }
            Event::Broken(what) => findings.0.push(format!("p{}: {what}", process.id)),
            _ => {}
        }
    }
    // What was never opened here was asked by somebody else.
    lives.retain(|_, life| !(life.sent.is_empty() && life.own.is_empty()));
    let mut settled = BTreeMap::new();
    for (task, life) in &lives {
        if let Some(by) = judge_one(process, *task, life, findings) {
            settled.insert(*task, by);
        }
    }
    judge_counts(process, &lives, findings);
    judge_stop(process, &lives, findings);
    settled
}

fn judge_one(process: &History<'_>, task: TaskId, life: &Life<'_>, findings: &mut Findings) -> Option<SettledTask> {
    let id = process.id;
    let first = life.answers.first();
    if life.sent.len() > 1 {
        // Its slot recurred, since the time of day was set back: which answer was to which is not to be told.
        findings.unless(process.set_back, || format!("p{id}: task {task} was sent {} times", life.sent.len()));
        findings.unless(life.own.len() <= life.sent.len(), || {
            format!("p{id}: task {task} was sent {} times and reported {} times", life.sent.len(), life.own.len())
        });
    } else {
        let repeats = if process.set_back { 2 } else { 1 };
        findings.unless(life.own.len() <= repeats, || {
            format!("p{id}: the Checker reported {} times on task {task}", life.own.len())
        });
        if let (Some((decided_at, own)), Some((answered_at, _)), false) = (life.own.first(), first, process.set_back) {
            findings.unless(*answered_at + SLACK_US >= *decided_at, || {
                format!(
                    "p{id}: task {task} was answered at {answered_at} and settled as {} at {decided_at}",
                    own.outcome
                )
            });
        }
    }
    judge_time(process, task, life, findings);
    let (_, by) = life.own.first().or(first)?;
    let ResultNote { run, check, endpoint, outcome, code, .. } = (*by).clone();
    let time_us = life.sent.last().map_or(0, |(at, note)| process.meant_by(note.answer_by, *at).saturating_sub(*at));
    Some(SettledTask { run, check, endpoint, outcome, code, attempt: by.attempt, time_us })
}

/// Whether it was settled by when its outcome was waited for.
fn judge_time(process: &History<'_>, task: TaskId, life: &Life<'_>, findings: &mut Findings) {
    let id = process.id;
    let Some((sent_at, note)) = life.sent.last() else { return };
    let answer_by = process.noticed(process.meant_by(note.answer_by, *sent_at));
    // The Checker notices that time is over by its alarm, so a stall that ends later is waited for.
    let latest = process.noticed(answer_by + SLACK_US) + SLACK_US;
    let settled_at = life.answers.iter().map(|(at, _)| at).chain(life.own.iter().map(|(at, _)| at)).max();
    let first_settled =
        life.answers.first().map(|(at, _)| *at).into_iter().chain(life.own.first().map(|(at, _)| *at)).min();
    if let Some(at) = if life.sent.len() > 1 { settled_at.copied() } else { first_settled } {
        findings.unless(at <= latest || process.set_back, || {
            format!("p{id}: task {task} was settled at {at}, and was to be by {latest}")
        });
        return;
    }
    let stopped = process.stop.as_ref().and_then(|stop| stop.over);
    if let Some((_, abandoned, _)) = stopped {
        // What is left unsettled by a stop must be named, by the Checker or the Runner of the same process.
        return findings.unless(abandoned.contains(&task), || {
            format!("p{id}: task {task} of check {} has no outcome after the stop, and was not named", note.check)
        });
    }
    findings.unless(process.ends_at <= latest + PUBLISHED_WITHIN_US, || {
        format!("p{id}: task {task} of check {} has no outcome, and was to have one by {latest}", note.check)
    });
}

/// The Checker counted each task once, by the outcome that settled it.
fn judge_counts(process: &History<'_>, lives: &BTreeMap<TaskId, Life<'_>>, findings: &mut Findings) {
    let Some(stop) = &process.stop else { return };
    let (Some((over_at, _, true)), Some(status)) = (stop.over, stop.after) else { return };
    // Whether what came in that very moment was counted is not to be told, nor which answer was to which
    // task where slots recurred.
    let near = |at: Us| at + SLACK_US >= over_at;
    if process.set_back || lives.values().any(|life| life.answers.iter().any(|(at, _)| near(*at))) {
        return;
    }
    let mut expected = [0_u64; Outcome::ALL.len()];
    let mut count = |outcome: Outcome| expected[Outcome::ALL.iter().position(|o| *o == outcome).unwrap_or(0)] += 1;
    for life in lives.values() {
        for (_, own) in &life.own {
            count(own.outcome);
        }
        if let ([], Some((_, answer))) = (life.own.as_slice(), life.answers.first()) {
            count(answer.outcome);
        }
    }
    let (id, counted) = (process.id, status.counts.outcomes);
    findings.unless(counted == expected, || format!("p{id}: the Checker counted {counted:?}, and it was {expected:?}"));
}

/// A stop ends within its grace, opens nothing more afterwards, and abandons only what has no outcome.
fn judge_stop(process: &History<'_>, lives: &BTreeMap<TaskId, Life<'_>>, findings: &mut Findings) {
    let (id, Some(stop)) = (process.id, &process.stop) else { return };
    let latest = process.noticed(process.noticed(stop.began_at) + stop.grace_us + SLACK_US) + SLACK_US;
    let Some((over_at, abandoned, flushed)) = stop.over else {
        return findings.unless(process.ends_at <= latest, || format!("p{id}: the stop did not end by {latest}"));
    };
    let outstanding = stop.after.and_then(|status| status.checker).map_or(0, |checker| checker.outstanding);
    findings.unless(outstanding == 0 || !process.stopped_cleanly(), || {
        format!("p{id}: {outstanding} tasks are outstanding after a clean stop")
    });
    findings.unless(over_at <= latest, || format!("p{id}: the stop ended at {over_at}, and was to by {latest}"));
    for (task, life) in lives {
        let sent_after = life.sent.iter().any(|(at, _)| *at > over_at);
        findings.unless(!(sent_after && flushed), || format!("p{id}: task {task} was sent after the stop was over"));
        let settled_before = life.answers.iter().chain(&life.own).any(|(at, _)| at + SLACK_US < over_at);
        let lies = process.roles == Roles::Checker && settled_before && abandoned.contains(task);
        findings.unless(!lies || process.set_back, || {
            format!("p{id}: task {task} had its outcome and was named as abandoned")
        });
    }
}
