//! The policy that would be in force.

use watchpost_policy::Sandbox;
use watchpost_probe::machine::exec_faults;

use super::{Finding, Prospect};

pub(super) fn examine(prospect: &Prospect) -> Vec<Finding> {
    let chosen = &prospect.policy;
    let file = chosen.policy.file();
    let mut findings = vec![match chosen.policy.is_built_in() {
        true => Finding::doubt(
            "policy",
            chosen.standing.source.clone(),
            "write a policy.yaml that permits what is to be checked here and nothing else; `watchpost policy show` prints \
             what is in force",
        ),
        false => Finding::ok("policy", format!("{}, {} rules", chosen.standing.source, file.rules.len())),
    }];
    findings.extend(chosen.policy.oddities().into_iter().map(|oddity| {
        Finding::doubt("policy", oddity, "change it if that is not meant; `watchpost policy test` explains decisions")
    }));
    findings.extend(programs(prospect));
    findings
}

fn programs(prospect: &Prospect) -> Vec<Finding> {
    const WHAT: &str = "exec";
    let rules = prospect.policy.policy.exec();
    if rules.is_none() {
        return vec![Finding::ok(WHAT, "no programs are run")];
    }
    let mut findings: Vec<_> = exec_faults(rules)
        .into_iter()
        .map(|fault| Finding::fault(WHAT, fault, "`exec` checks will be cancelled until that is so"))
        .collect();
    if rules.user.is_none() && rustix::process::geteuid().is_root() {
        findings.push(Finding::doubt(WHAT, "programs run as root", "set `exec.user` in the policy"));
    }
    if rules.sandbox == Sandbox::Off {
        findings.push(Finding::doubt(WHAT, "programs are not confined", "take `exec.sandbox: off` out of the policy"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            WHAT,
            format!("{} directories, {} programs", rules.directories.len(), rules.programs.len()),
        ));
    }
    findings
}
