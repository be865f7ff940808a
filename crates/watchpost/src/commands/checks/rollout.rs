//! From the store to the bastions: what they would refuse, and what they have made of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use watchpost_model::{
    BastionGroup, BastionId, CheckDocument, CheckId, CheckList, CheckReport, CheckStored, Denial, ErrorCode,
    ErrorReply, ListChecks, PutCheck, Refusal, RefusalCode, Standing, V1, Verb,
};

use super::plan::Change;
use crate::failure::Failure;
use crate::output::word;
use crate::remote::{Remote, Unanswered};

/// How many questions are on their way at the same time: a bastion takes 64.
const AT_ONCE: usize = 32;
/// How long bastions are asked what they would refuse. Beyond it the rest is seen once it is written, as each is then.
const ASK_LIMIT: Duration = Duration::from_secs(15);
/// How often a bastion is asked how far it has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a bastion says of one check.
#[derive(Debug, Clone)]
pub struct Told {
    /// Which bastion.
    pub bastion: BastionId,
    /// Of which check.
    pub check: CheckId,
    /// Why it does not run it, or has not yet said that it does.
    pub why: Why,
}

/// Why a bastion does not run a check.
#[derive(Debug, Clone)]
pub enum Why {
    /// It refuses, with a code and a sentence.
    Refused(String, String),
    /// It takes it up, but the policy of a Runner will deny what it does.
    Denied(String),
    /// It has not taken it up in the time that was given.
    Behind,
    /// It does not answer.
    Silent(String),
}

impl Why {
    /// The word for it, and a sentence.
    pub fn words(&self) -> (&str, String) {
        match self {
            Self::Refused(code, message) => (code, message.clone()),
            Self::Denied(message) => ("policy_denied", message.clone()),
            Self::Behind => ("behind", "it has not taken this up yet".to_owned()),
            Self::Silent(message) => ("silent", message.clone()),
        }
    }
}

/// What bastions would refuse of what is new, as far as they can say so in time.
///
/// # Errors
/// When the bus cannot carry the questions.
pub async fn would_refuse(
    remote: &Arc<Remote>,
    bastions: &[BastionId],
    group: &BastionGroup,
    changes: &[Change],
) -> Result<Vec<Told>, Failure> {
    let new: Vec<&CheckDocument> =
        changes.iter().filter(|change| change.is_news()).filter_map(|c| c.new.as_ref()).collect();
    let coming: HashSet<&CheckId> = new.iter().map(|document| &document.id).collect();
    let until = Instant::now() + ASK_LIMIT;
    let mut asked = JoinSet::new();
    let mut told = Vec::new();
    let mut answered = 0;
    // Bastion by bastion for each check, so that all are asked of the same ones where there is no time for all.
    'asking: for document in &new {
        for bastion in bastions {
            if asked.len() >= AT_ONCE {
                let Ok(done) = timeout_at(until, asked.join_next()).await else { break 'asking };
                told.extend(done.and_then(Result::ok).transpose()?.flatten());
                answered += 1;
            }
            // Its members may be on their way with it: then only what is written can be judged.
            let waits = document.group.as_ref().is_some_and(|group| group.checks.iter().any(|id| coming.contains(id)));
            let put = PutCheck {
                v: V1,
                request: None,
                check: Box::new((*document).clone()),
                group: Some(group.clone()),
                expected_revision: None,
                dry_run: true,
            };
            let (remote, bastion) = (Arc::clone(remote), bastion.clone());
            asked.spawn(async move { ask_one(&remote, bastion, put, waits).await });
        }
    }
    while let Ok(Some(done)) = timeout_at(until, asked.join_next()).await {
        told.extend(done.ok().transpose()?.flatten());
        answered += 1;
    }
    let unasked = (new.len() * bastions.len()).saturating_sub(answered);
    if unasked > 0 {
        tracing::warn!(
            "{unasked} of {} questions were not answered within {ASK_LIMIT:?}: whether those checks are refused is told \
             once they are written",
            new.len() * bastions.len()
        );
    }
    told.sort_by(|a: &Told, b| (&a.check, &a.bastion).cmp(&(&b.check, &b.bastion)));
    // A bastion that does not answer is told once.
    let mut silent = HashSet::new();
    told.retain(|told| !matches!(told.why, Why::Silent(_)) || silent.insert(told.bastion.clone()));
    Ok(told)
}

async fn ask_one(remote: &Remote, bastion: BastionId, put: PutCheck, waits: bool) -> Result<Option<Told>, Failure> {
    let check = put.check.id.clone();
    let why = match remote.ask::<_, CheckStored>(&bastion, Verb::CheckPut, &put).await {
        Ok(CheckStored { report: Some(CheckReport { refusal: Some(refusal), .. }), .. }) => {
            let Refusal { code, message } = refusal;
            if waits && code == RefusalCode::DoesNotFit {
                return Ok(None);
            }
            Why::Refused(word(&code), message)
        }
        Ok(CheckStored { denied, .. }) if !denied.is_empty() => Why::Denied(denials(&denied)),
        Ok(_) => return Ok(None),
        Err(Unanswered::Refused(ErrorReply { code: ErrorCode::Refused, .. })) if waits => return Ok(None),
        // It says nothing of the check: the store cannot be reached from there, or is not there yet.
        Err(Unanswered::Refused(ErrorReply {
            code: ErrorCode::Unavailable | ErrorCode::TooOften, message, ..
        })) => Why::Silent(message),
        Err(Unanswered::Refused(ErrorReply { code, message, .. })) => Why::Refused(code.to_string(), message),
        Err(Unanswered::Bus(error)) => return Err(error.into()),
        Err(error) => Why::Silent(error.failure(&bastion, Verb::CheckPut).to_string()),
    };
    Ok(Some(Told { bastion, check, why }))
}

/// What a bastion is to make of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Run this revision, or a later one.
    Run(u64),
    /// Run it no more, from this revision on.
    Drop(u64),
}

impl Goal {
    fn revision(self) -> u64 {
        match self {
            Self::Run(revision) | Self::Drop(revision) => revision,
        }
    }
}

/// Waits until each bastion has taken up what was written, at most so long; tells what it has not.
///
/// # Errors
/// When the bus is lost.
pub async fn acknowledged(
    remote: &Arc<Remote>,
    bastions: &[BastionId],
    group: &BastionGroup,
    goals: BTreeMap<CheckId, Goal>,
    limit: Duration,
) -> Result<Vec<Told>, Failure> {
    let until = Instant::now() + limit;
    let goals = Arc::new(goals);
    let mut waiting = JoinSet::new();
    for bastion in bastions {
        let (remote, bastion, group) = (Arc::clone(remote), bastion.clone(), group.clone());
        let goals = Arc::clone(&goals);
        waiting.spawn(async move { wait_for(&remote, bastion, &group, &goals, until).await });
    }
    let mut told = Vec::new();
    while let Some(done) = waiting.join_next().await {
        if let Ok(done) = done {
            told.extend(done?);
        }
    }
    told.sort_by(|a: &Told, b| (&a.check, &a.bastion).cmp(&(&b.check, &b.bastion)));
    Ok(told)
}

async fn wait_for(
    remote: &Remote,
    bastion: BastionId,
    group: &BastionGroup,
    goals: &BTreeMap<CheckId, Goal>,
    until: Instant,
) -> Result<Vec<Told>, Failure> {
    let last = goals.values().map(|goal| goal.revision()).max().unwrap_or_default();
    let mut told: Vec<Told> = Vec::new();
    loop {
        let is_last_look = Instant::now() + LOOK_EVERY >= until;
        match remote.store_of(&bastion).await {
            Ok((store, _)) if store.revision >= last || is_last_look => {
                match all(remote, &bastion).await {
                    Ok(reports) => told = judge(&bastion, group, goals, &reports),
                    Err(Unanswered::Bus(error)) => return Err(error.into()),
                    Err(error) => told = silent(&bastion, goals, error),
                }
                if told.iter().all(|told| matches!(told.why, Why::Refused(..) | Why::Denied(_))) {
                    return Ok(told);
                }
            }
            Ok(_) => {}
            Err(Unanswered::Bus(error)) => return Err(error.into()),
            Err(error) => told = silent(&bastion, goals, error),
        }
        if is_last_look {
            return Ok(told);
        }
        sleep_until(until.min(Instant::now() + LOOK_EVERY)).await;
    }
}

fn silent(bastion: &BastionId, goals: &BTreeMap<CheckId, Goal>, error: Unanswered) -> Vec<Told> {
    let why = Why::Silent(error.failure(bastion, Verb::CheckList).to_string());
    let first = goals.keys().next().cloned();
    first.map(|check| Told { bastion: bastion.clone(), check, why }).into_iter().collect()
}

/// What a bastion does not do as it should.
fn judge(
    bastion: &BastionId,
    group: &BastionGroup,
    goals: &BTreeMap<CheckId, Goal>,
    reports: &[CheckReport],
) -> Vec<Told> {
    let reports: BTreeMap<&CheckId, &CheckReport> = reports
        .iter()
        .filter(|report| report.group.as_ref() == Some(group))
        .map(|report| (&report.check, report))
        .collect();
    let mut told = Vec::new();
    for (check, goal) in goals {
        let report = reports.get(check).copied();
        let why = match (goal, report) {
            (Goal::Drop(_), None) => continue,
            // Written again since, by somebody else.
            (Goal::Drop(at), Some(report)) if report.revision > Some(*at) => continue,
            (Goal::Run(at), Some(report)) if report.revision >= Some(*at) => match (report.standing, &report.refusal) {
                (Standing::Refused, Some(Refusal { code, message })) => Why::Refused(word(code), message.clone()),
                (Standing::Refused, None) => Why::Refused("refused".to_owned(), "it does not say why".to_owned()),
                _ if !report.denied.is_empty() => Why::Denied(denials(&report.denied)),
                _ => continue,
            },
            _ => Why::Behind,
        };
        told.push(Told { bastion: bastion.clone(), check: check.clone(), why });
    }
    told
}

/// What Runners will deny of a check, in one sentence for each; the same of several Runners once.
pub fn denials(denied: &[Denial]) -> String {
    let mut by_message: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Denial { runner, message, .. } in denied {
        by_message.entry(message).or_default().push(runner.as_str());
    }
    let told = by_message.into_iter().map(|(message, runners)| format!("runner {}: {message}", runners.join(", ")));
    told.collect::<Vec<_>>().join("; ")
}

/// Every check of a bastion.
///
/// # Errors
/// Why it does not say.
pub async fn all(remote: &Remote, bastion: &BastionId) -> Result<Vec<CheckReport>, Unanswered> {
    let mut reports = Vec::new();
    let mut after = None;
    loop {
        let question = ListChecks { v: V1, after: after.take(), limit: Some(ListChecks::LIMIT_MAX) };
        let list: CheckList = remote.ask(bastion, Verb::CheckList, &question).await?;
        reports.extend(list.checks);
        after = list.next;
        if after.is_none() {
            return Ok(reports);
        }
        // Whoever else asks has a turn as well.
        sleep(Duration::ZERO).await;
    }
}
