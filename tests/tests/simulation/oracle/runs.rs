//! Each run: one outcome for each of its endpoints, one verdict, by its rule.

use std::collections::{BTreeMap, BTreeSet};

use watchpost_model::{Addresses, Check, CheckId, Outcome, RunId, RunVerdict, TaskId, VerdictOf, VerdictRule};

use super::super::log::Event;
use super::super::plan::{Action, Plan};
use super::Findings;
use super::history::History;
use super::tasks::SettledTask;

/// What the settled outcomes of one run are.
#[derive(Default)]
struct Run<'a> {
    settled: Vec<&'a SettledTask>,
    verdicts: Vec<&'a RunVerdict>,
}

pub fn judge(plan: &Plan, process: &History<'_>, settled: &BTreeMap<TaskId, SettledTask>, findings: &mut Findings) {
    // Of a process that died, or gave up, runs are not whole; where slots recurred, they are more than whole.
    if process.set_back || !process.stopped_cleanly() {
        return;
    }
    let mut runs = BTreeMap::<RunId, Run<'_>>::new();
    for task in settled.values().filter(|task| task.code != "behind_schedule") {
        runs.entry(task.run).or_default().settled.push(task);
    }
    for entry in &process.entries {
        if let Event::Verdict(verdict) = &entry.event {
            runs.entry(verdict.run).or_default().verdicts.push(verdict);
        }
    }
    let versions = Versions::of(plan);
    for (id, run) in &runs {
        let told = format!("p{}: run {id}", process.id);
        match run.verdicts.as_slice() {
            [] if run.settled.len() < 2 => judge_endpoints(&told, &versions, run, findings),
            [] => findings.0.push(format!("{told} of {} endpoints has no verdict", run.settled.len())),
            [verdict] if verdict.of == VerdictOf::Endpoints => {
                judge_endpoints(&told, &versions, run, findings);
                judge_tally(&told, verdict, run.settled.iter().map(|task| Some(task.outcome)).collect(), findings);
            }
            [verdict] => judge_group(&told, &versions, &runs, verdict, findings),
            verdicts => findings.0.push(format!("{told} has {} verdicts", verdicts.len())),
        }
    }
}

/// Its endpoints are those of the check, each once; or one result stands for all.
fn judge_endpoints(told: &str, versions: &Versions<'_>, run: &Run<'_>, findings: &mut Findings) {
    let Some(first) = run.settled.first() else { return };
    let seen: BTreeSet<&str> = run.settled.iter().map(|task| task.endpoint.as_str()).collect();
    findings.unless(seen.len() == run.settled.len(), || format!("{told} has an endpoint twice: {:?}", run.settled));
    let Some(checks) = versions.0.get(&first.check) else { return };
    let whole = |check: &Check| match check.probe() {
        Some(probe) => run.settled.len() == 1 && first.attempt == 0 && seen.contains(&*probe.target.endpoint_name()),
        None => false,
    };
    let is_one = checks
        .iter()
        .any(|check| whole(check) || endpoints(check).iter().map(String::as_str).collect::<BTreeSet<_>>() == seen);
    findings.unless(is_one, || format!("{told} of check {} has the endpoints {seen:?}", first.check));
}

fn endpoints(check: &Check) -> Vec<String> {
    let Some(probe) = check.probe() else { return Vec::new() };
    match probe.target.static_endpoints() {
        Some(endpoints) => endpoints.into_iter().map(|endpoint| endpoint.name).collect(),
        None if probe.target.addresses == Addresses::All && probe.target.endpoint_name().starts_with("localhost:") => {
            let port = probe.target.host_port.as_ref().unwrap().port();
            vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
        }
        None => Vec::new(),
    }
}

/// What its members ended as; the version of the group that it is of is the one that fits.
fn judge_group(
    told: &str,
    versions: &Versions<'_>,
    runs: &BTreeMap<RunId, Run<'_>>,
    verdict: &RunVerdict,
    findings: &mut Findings,
) {
    let Some(groups) = versions.0.get(&verdict.check) else { return };
    let mut why = Vec::new();
    for group in groups.iter().filter(|group| group.rules().verdict == verdict.verdict) {
        let Some(members) = group.group() else { continue };
        let ended = |member: &CheckId| runs.get(&RunId::derive_member(verdict.run, member)).and_then(outcome_of);
        let outcomes: Vec<Option<Outcome>> = members.iter().map(ended).collect();
        let untried = outcomes.iter().all(Option::is_none) && verdict.undecided == verdict.total;
        let mut found = Findings::default();
        if !untried {
            judge_tally(told, verdict, outcomes, &mut found);
        } else {
            found.unless(verdict.total as usize == members.len(), || format!("{told} has {} members", members.len()));
        }
        if found.0.is_empty() {
            return;
        }
        why.extend(found.0);
    }
    findings.0.push(format!("{told} of group {} does not add up: {why:?}", verdict.check));
}

/// What a run is worth to the group that it is a member of.
fn outcome_of(run: &Run<'_>) -> Option<Outcome> {
    match (run.verdicts.first(), run.settled.first()) {
        (Some(verdict), _) => Some(verdict.outcome),
        (None, settled) => settled.map(|task| task.outcome),
    }
}

/// The numbers and the outcome of a verdict follow from the outcomes by the rule.
fn judge_tally(told: &str, verdict: &RunVerdict, outcomes: Vec<Option<Outcome>>, findings: &mut Findings) {
    let total = outcomes.len();
    let count = |which: fn(Outcome) -> bool| outcomes.iter().filter(|o| o.is_some_and(which)).count();
    let passed = count(|outcome| outcome == Outcome::Pass);
    let failed = count(|outcome| outcome != Outcome::Pass && outcome.speaks_of_target());
    let undecided = count(|outcome| !outcome.speaks_of_target());
    let needed = match verdict.verdict {
        VerdictRule::All => total,
        VerdictRule::Any => 1,
        VerdictRule::Quorum(n) => n as usize,
        VerdictRule::Percent(percent) => (total * usize::from(percent)).div_ceil(100),
    };
    let by_rule = if passed >= needed {
        verdict.outcome == Outcome::Pass
    } else if total.saturating_sub(failed) < needed {
        verdict.outcome == Outcome::Fail
    } else {
        !verdict.outcome.speaks_of_target()
    };
    let numbers =
        [verdict.total, verdict.needed, verdict.passed, verdict.failed, verdict.undecided].map(|n| n as usize);
    let holds = by_rule && numbers == [total, needed, passed, failed, undecided];
    findings.unless(holds, || {
        format!(
            "{told} of {} is {} by {} with {numbers:?}, and its members ended as {outcomes:?}",
            verdict.check, verdict.outcome, verdict.verdict
        )
    });
}

/// Every version of every check, by its name.
struct Versions<'a>(BTreeMap<&'a CheckId, Vec<&'a Check>>);

impl<'a> Versions<'a> {
    fn of(plan: &'a Plan) -> Self {
        let mut versions = BTreeMap::<&CheckId, Vec<&Check>>::new();
        let asked = plan.actions.iter().filter_map(|(_, action)| match action {
            Action::Request(request) => Some(request.items.iter().flatten()),
            _ => None,
        });
        for check in plan.sets.iter().flatten().chain(asked.flatten()) {
            versions.entry(check.id()).or_default().push(check);
        }
        Self(versions)
    }
}
