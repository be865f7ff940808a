//! `watchpost checks status`: which bastion runs which revision of which check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use watchpost_model::{BastionGroup, BastionId, CheckId, CheckReport, CheckSource, Standing, Verb};

use super::{or_empty, rollout, stdout};
use crate::cli::ListFormat;
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Table, Tone, print_objects, word};
use crate::remote::{Remote, StoredCheck, Unanswered, snapshot};

/// What is to be told.
#[derive(Debug)]
pub struct Asked {
    /// Only these checks; all where there are none.
    pub ids: Vec<CheckId>,
    /// Only those of this group.
    pub group: Option<BastionGroup>,
    /// Only on this bastion.
    pub bastion: Option<BastionId>,
    /// Only what is not as it should be.
    pub quiet: bool,
    /// How to print it.
    pub output: ListFormat,
}

/// One line: a check on a bastion, or on none.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    check: CheckId,
    group: BastionGroup,
    /// In the store; absent where it is not there.
    stored: Option<u64>,
    bastion: Option<BastionId>,
    /// What the bastion runs.
    running: Option<u64>,
    standing: String,
    tone: Tone,
    reason: String,
}

/// Tells it, and whether all is as it should be.
pub async fn run(remote: &Arc<Remote>, asked: Asked) -> Result<Exit, Failure> {
    let filter = format!("{}.*", asked.group.as_ref().map_or("*", BastionGroup::as_str));
    let stored = or_empty(snapshot(&*remote.checks, filter).await)?;
    let seen = remote.bastions().await?;
    let mut bastions = Vec::new();
    for bastion in &seen.bastions {
        if asked.bastion.as_ref().is_some_and(|only| *only != bastion.id) {
            continue;
        }
        let Some(checker) = bastion.checker() else { continue };
        let reports = match rollout::all(remote, &bastion.id).await {
            Ok(reports) => reports,
            Err(Unanswered::Bus(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!("{}", error.failure(&bastion.id, Verb::CheckList));
                continue;
            }
        };
        bastions.push((bastion.id.clone(), checker.groups.iter().cloned().collect(), reports));
    }
    let mut lines = lines(&stored, &bastions);
    let wanted = |line: &Line| {
        (asked.ids.is_empty() || asked.ids.contains(&line.check))
            && asked.group.as_ref().is_none_or(|group| line.group == *group)
            // What nobody runs is no matter of one bastion.
            && (asked.bastion.is_none() || line.bastion.is_some())
    };
    lines.retain(wanted);
    let all_well = lines.iter().all(|line| line.tone != Tone::Bad);
    if asked.quiet {
        lines.retain(|line| line.tone == Tone::Bad);
    }
    let printed = match asked.output {
        ListFormat::Table => table(&lines).print(),
        format => print_objects(lines.iter().map(object), format),
    };
    printed.map_err(stdout)?;
    Ok(if all_well { Exit::Ok } else { Exit::NotPassed })
}

/// Every check of the store on every bastion that is to run it, and what bastions run that the store does not have.
fn lines(stored: &[StoredCheck], bastions: &[(BastionId, BTreeSet<BastionGroup>, Vec<CheckReport>)]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut reported: BTreeMap<(&BastionGroup, &CheckId), Vec<(&BastionId, &CheckReport)>> = BTreeMap::new();
    for (bastion, _, reports) in bastions {
        for report in reports {
            if let (CheckSource::Store, Some(group)) = (report.source, &report.group) {
                reported.entry((group, &report.check)).or_default().push((bastion, report));
            }
        }
    }
    for check in stored.iter().filter(|check| check.document.is_some()) {
        let reports = reported.remove(&(&check.group, &check.check)).unwrap_or_default();
        let members: Vec<_> = bastions.iter().filter(|(_, groups, _)| groups.contains(&check.group)).collect();
        if members.is_empty() && reports.is_empty() {
            let reason = format!("no bastion of the group `{}` is online", check.group);
            lines.push(line(check, None, None, ("nowhere", Tone::Bad), reason));
        }
        for (bastion, ..) in &members {
            match reports.iter().find(|(id, _)| *id == bastion).map(|(_, report)| *report) {
                Some(report) if report.revision >= Some(check.revision) => {
                    lines.push(line(check, Some(bastion), running(report), standing(report), reason(report)));
                }
                Some(report) => {
                    let reason = "the bastion has not taken up this revision".to_owned();
                    lines.push(line(check, Some(bastion), running(report), ("behind", Tone::Bad), reason));
                }
                None => {
                    let reason = "the bastion has not taken it up".to_owned();
                    lines.push(line(check, Some(bastion), None, ("behind", Tone::Bad), reason));
                }
            }
        }
    }
    for ((group, id), reports) in reported {
        for (bastion, report) in reports {
            let (standing, tone) = standing(report);
            lines.push(Line {
                check: id.clone(),
                group: group.clone(),
                stored: None,
                bastion: Some(bastion.clone()),
                running: running(report),
                standing: standing.to_owned(),
                tone,
                reason: match report.standing {
                    Standing::Orphaned => "the store has lost it: apply it again, or delete it".to_owned(),
                    _ => reason(report),
                },
            });
        }
    }
    lines.sort_by(|a, b| (&a.check, &a.group, &a.bastion).cmp(&(&b.check, &b.group, &b.bastion)));
    lines
}

fn line(
    check: &StoredCheck,
    bastion: Option<&BastionId>,
    running: Option<u64>,
    (standing, tone): (&str, Tone),
    reason: String,
) -> Line {
    Line {
        check: check.check.clone(),
        group: check.group.clone(),
        stored: Some(check.revision),
        bastion: bastion.cloned(),
        running,
        standing: standing.to_owned(),
        tone,
        reason,
    }
}

/// The revision that runs.
fn running(report: &CheckReport) -> Option<u64> {
    match report.standing {
        Standing::Refused => report.running_revision,
        _ => report.running_revision.or(report.revision),
    }
}

/// What a bastion does about a check, and how that looks. One that is in force and that policies will deny runs to no end.
pub fn standing(report: &CheckReport) -> (&'static str, Tone) {
    match report.standing {
        Standing::Running | Standing::Paused if !report.denied.is_empty() => ("denied", Tone::Bad),
        Standing::Running => ("running", Tone::Good),
        Standing::Paused => ("paused", Tone::Doubtful),
        Standing::Refused => ("refused", Tone::Bad),
        Standing::Orphaned => ("orphaned", Tone::Bad),
    }
}

/// Why a check is refused, what runs in its place, and what policies will deny of it.
pub fn reason(report: &CheckReport) -> String {
    let refused = report.refusal.as_ref().map(|refusal| format!("{}: {}", word(&refusal.code), refusal.message));
    let before = report.running_revision.filter(|running| Some(*running) != report.revision);
    let before = before.map(|running| format!("revision {running} runs on"));
    let old = report.signed.as_ref().filter(|signed| signed.old);
    let old = old.map(|signed| format!("its signature is old, of {}", signed.at));
    let denied = Some(rollout::denials(&report.denied)).filter(|denied| !denied.is_empty());
    [refused, before, old, denied].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(&["CHECK", "GROUP", "STORED", "BASTION", "RUNS", "STANDING", "REASON"]);
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for line in lines {
        table.row([
            line.check.as_str().into(),
            line.group.as_str().into(),
            number(line.stored).into(),
            line.bastion.as_ref().map_or("-", BastionId::as_str).into(),
            number(line.running).into(),
            Cell::new(&line.standing, line.tone),
            line.reason.as_str().into(),
        ]);
    }
    table
}

fn object(line: &Line) -> Value {
    json!({
        "check": line.check,
        "group": line.group,
        "stored": line.stored,
        "bastion": line.bastion,
        "running": line.running,
        "standing": line.standing,
        "denied": line.standing == "denied",
        "reason": Some(&line.reason).filter(|reason| !reason.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(check: &str, revision: u64, standing: Standing) -> CheckReport {
        CheckReport {
            check: check.parse().unwrap(),
            source: CheckSource::Store,
            group: Some("g".parse().unwrap()),
            revision: Some(revision),
            standing,
            refusal: None,
            running_revision: None,
            signed: None,
            denied: Vec::new(),
        }
    }

    fn stored(check: &str, group: &str, revision: u64) -> StoredCheck {
        let document = serde_json::from_str(&format!(r#"{{"id": "{check}"}}"#)).unwrap();
        let (group, check) = (group.parse().unwrap(), check.parse().unwrap());
        StoredCheck { group, check, revision, document: Some(Ok(document)) }
    }

    #[test]
    fn who_is_behind_refuses_runs_an_orphan_or_is_not_there_is_told_apart() {
        let store = [stored("a", "g", 5), stored("b", "g", 6), stored("c", "g", 7), stored("d", "elsewhere", 8)];
        let mut refused = report("b", 6, Standing::Refused);
        refused.running_revision = Some(2);
        let reports = vec![
            report("a", 5, Standing::Running),
            refused,
            report("c", 3, Standing::Running),
            report("z", 1, Standing::Orphaned),
        ];
        let bastions = [("b1".parse().unwrap(), BTreeSet::from(["g".parse().unwrap()]), reports)];
        let told: Vec<_> = lines(&store, &bastions)
            .into_iter()
            .map(|line| (line.check.to_string(), line.stored, line.running, line.standing, line.tone == Tone::Bad))
            .collect();
        let of =
            |id: &str, stored, running, standing: &str, bad| (id.to_owned(), stored, running, standing.to_owned(), bad);
        assert_eq!(
            told,
            [
                of("a", Some(5), Some(5), "running", false),
                of("b", Some(6), Some(2), "refused", true),
                of("c", Some(7), Some(3), "behind", true),
                of("d", Some(8), None, "nowhere", true),
                of("z", None, Some(1), "orphaned", true),
            ]
        );
    }
}
