//! Requests: one result for each task, in time, and then the end.

use std::collections::{BTreeMap, BTreeSet};

use super::super::log::{Event, ResultNote, Us};
use super::Findings;
use super::history::{History, SLACK_US};

#[derive(Default)]
struct Request<'a> {
    made_at: Us,
    limit_us: Us,
    told: Vec<(Us, &'a ResultNote)>,
    /// How often it was said that nothing more comes, for each item.
    over: Vec<usize>,
    ended_at: Option<Us>,
    dropped: bool,
}

pub fn judge(process: &History<'_>, findings: &mut Findings) {
    let mut requests = BTreeMap::<usize, Request<'_>>::new();
    for entry in &process.entries {
        match &entry.event {
            Event::RequestMade { request, items, limit_us } => {
                let over = vec![0; *items];
                let made = Request { made_at: entry.at, limit_us: *limit_us, over, ..Request::default() };
                requests.insert(*request, made);
            }
            Event::RequestTold { request, result } => {
                requests.entry(*request).or_default().told.push((entry.at, result));
            }
            Event::RequestOver { request, item } => requests.entry(*request).or_default().over[*item] += 1,
            Event::RequestEnded { request } => requests.entry(*request).or_default().ended_at = Some(entry.at),
            Event::RequestDropped { request } => requests.entry(*request).or_default().dropped = true,
            _ => {}
        }
    }
    for (number, request) in requests {
        let told = format!("p{}: request {number}", process.id);
        let latest = process.noticed(process.noticed(request.made_at) + request.limit_us + SLACK_US) + SLACK_US;
        for (at, result) in &request.told {
            findings
                .unless(*at <= latest, || format!("{told} was told of {} at {at}, later than {latest}", result.task));
        }
        let tasks: BTreeSet<_> = request.told.iter().map(|(_, result)| (result.run, &result.endpoint)).collect();
        findings.unless(tasks.len() == request.told.len(), || format!("{told} was told of a task twice"));
        match request.ended_at {
            Some(at) => findings.unless(at <= latest, || format!("{told} ended at {at}, later than {latest}")),
            None => findings
                .unless(request.dropped || process.ends_at <= latest, || format!("{told} did not end by {latest}")),
        }
        judge_settled(&told, process, &request, findings);
    }
}

/// What a request was told is what the Checker settled: of each run that it heard of, all.
fn judge_settled(told: &str, process: &History<'_>, request: &Request<'_>, findings: &mut Findings) {
    if request.dropped || request.ended_at.is_none() || process.set_back {
        return;
    }
    findings.unless(request.over.iter().all(|times| *times == 1), || {
        format!("{told}: its items were over {:?} times", request.over)
    });
    let heard: BTreeSet<_> = request.told.iter().map(|(_, result)| result.task).collect();
    let runs: BTreeSet<_> = request.told.iter().map(|(_, result)| result.run).collect();
    for entry in &process.entries {
        if let Event::TaskSent { task, .. } = &entry.event
            && runs.contains(&task.run)
        {
            findings.unless(heard.contains(&task.task), || format!("{told} was not told of task {}", task.task));
        }
    }
}
