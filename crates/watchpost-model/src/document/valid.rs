//! What must hold for a document to be a check.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::CheckDocument;
use crate::Invalid;
use crate::check::{Check, CheckBody, ProbeBody, Templated};
use crate::expect::Expect;
use crate::group::{GroupRules, GroupSettings, RunPolicy, VerdictRule};
use crate::probe::{CheckType, ProbeSettings};
use crate::target::{Addresses, Target, shown_address};
use crate::targets::Targets;
use crate::template::{Places, first_place, first_template};
use crate::time::{Interval, Timeout};

/// The most that settings and expectations may take together, in bytes of JSON. It leaves room for
/// the rest of a task below [`Task::BYTES_MAX`](crate::Task).
const SETTINGS_BYTES_MAX: usize = 192 * 1024;
/// The interval of a check that names none.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The timeout of a check that names none; a shorter interval shortens it.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

impl TryFrom<CheckDocument> for Check {
    type Error = Invalid;

    fn try_from(document: CheckDocument) -> Result<Self, Invalid> {
        let id = document.id.clone();
        valid(document).map_err(|what| what.of(&format!("check `{id}`")))
    }
}

fn valid(mut document: CheckDocument) -> Result<Check, Invalid> {
    let settings = ProbeSettings::take_from(&mut document);
    let CheckDocument {
        id,
        group,
        interval,
        timeout,
        scheduled,
        paused,
        overlap,
        addresses,
        targets,
        policy,
        verdict,
        parallel,
        expect,
        signature,
        ..
    } = document;
    let (interval, timeout) = times(interval, timeout, scheduled)?;
    let body = match (single(settings)?, group) {
        (Some(settings), None) => probe_body(settings, addresses, targets, expect)?,
        (None, Some(group)) => group_body(group, &addresses, targets.as_ref(), &expect)?,
        (None, None) => {
            let known = words(&CheckType::ALL);
            return Err(Invalid::new(format!("it has no type: expected one of {known} or `group:`")));
        }
        (Some(settings), Some(_)) => {
            let given = settings.check_type();
            return Err(Invalid::new(format!("it has `{given}:` and `group:`: expected exactly one type")).at("group"));
        }
    };
    let rules = GroupRules { policy, verdict, parallel };
    validate_rules(&rules, &body)?;
    Ok(Check { id, interval, timeout, scheduled, paused, overlap, rules, body, signature: signature.map(Arc::new) })
}

/// The settings of the only type that is given, if one is.
fn single(mut given: Vec<ProbeSettings>) -> Result<Option<ProbeSettings>, Invalid> {
    if given.len() > 1 {
        let types: Vec<_> = given.iter().map(|settings| format!("`{}:`", settings.check_type())).collect();
        return Err(Invalid::new(format!("it has {}: expected exactly one type", types.join(" and "))));
    }
    Ok(given.pop())
}

fn words(types: &[CheckType]) -> String {
    types.iter().map(|check_type| format!("`{check_type}:`")).collect::<Vec<_>>().join(", ")
}

fn times(
    interval: Option<Interval>,
    timeout: Option<Timeout>,
    scheduled: bool,
) -> Result<(Interval, Timeout), Invalid> {
    let interval = match interval {
        Some(interval) => interval,
        None => Interval::new(INTERVAL_DEFAULT).map_err(|e| Invalid::new(e.to_string()))?,
    };
    let timeout = match timeout {
        Some(timeout) => timeout,
        None => Timeout::new(TIMEOUT_DEFAULT.min(interval.get())).map_err(|e| Invalid::new(e.to_string()))?,
    };
    if scheduled && timeout.get() > interval.get() {
        let message = format!(
            "its timeout of {timeout} is longer than its interval of {interval}: expected at most the interval"
        );
        return Err(Invalid::new(message).at("timeout"));
    }
    Ok((interval, timeout))
}

fn probe_body(
    settings: ProbeSettings,
    addresses: Addresses,
    targets: Option<Targets>,
    expect: Expect,
) -> Result<CheckBody, Invalid> {
    if !settings.check_type().has_tasks() {
        for (key, given) in [("expect", !expect.is_empty()), ("targets", targets.is_some())] {
            if given {
                let message = format!("`{key}` has no meaning for a heartbeat: the job itself says how it is");
                return Err(Invalid::new(message).at(key));
            }
        }
    }
    settings.validate(&expect)?;
    let target = Target { name: settings.target_name(), host_port: settings.host_port(), addresses };
    let templated = templated(&settings, &expect, &target, targets)?;
    validate_addresses(&settings, &target)?;
    validate_size(&settings, &expect)?;
    Ok(CheckBody::Probe(ProbeBody { target, settings: Arc::new(settings), expect: Arc::new(expect), templated }))
}

fn templated(
    settings: &ProbeSettings,
    expect: &Expect,
    target: &Target,
    targets: Option<Targets>,
) -> Result<Option<Templated>, Invalid> {
    let Some(targets) = targets else {
        let template = first_template(settings, "").or_else(|| first_template(expect, "expect"));
        return match template {
            Some((key, text)) => {
                let place = first_place(&text);
                let message = format!("`{key}` holds `{place}`, and the check has no `targets` to fill it in with");
                Err(Invalid::new(message).at(key))
            }
            None => Ok(None),
        };
    };
    if !target.addresses.is_default() {
        return Err(Invalid::new("it has `addresses` and `targets`: expected one of them").at("addresses"));
    }
    if let Some((key, text)) = first_template(&targets, "targets") {
        let place = first_place(&text);
        let message = format!("`{key}` holds `{place}`: targets are filled in, and not into where they come from");
        return Err(Invalid::new(message).at(key));
    }
    crate::secrets::refuse(&targets, "targets", "the Checker asks for targets, and only Runners have secrets")?;
    let places = Places::find(settings, expect).map_err(Invalid::new)?;
    Ok(Some(Templated { targets: Arc::new(targets), places: Arc::new(places) }))
}

fn group_body(
    group: GroupSettings,
    addresses: &Addresses,
    targets: Option<&Targets>,
    expect: &Expect,
) -> Result<CheckBody, Invalid> {
    let elsewhere = |key: &str| {
        Invalid::new(format!("`{key}` has no meaning for a group: expected it at the group's members")).at(key)
    };
    if !addresses.is_default() {
        return Err(elsewhere("addresses"));
    }
    if targets.is_some() {
        return Err(elsewhere("targets"));
    }
    if !expect.is_empty() {
        return Err(elsewhere("expect"));
    }
    Ok(CheckBody::Group { members: group.checks })
}

fn validate_rules(rules: &GroupRules, body: &CheckBody) -> Result<(), Invalid> {
    let GroupRules { policy, verdict, .. } = rules;
    if *policy == RunPolicy::FailFast && *verdict != VerdictRule::All {
        let message = format!(
            "`policy: fail_fast` ends a run at its first failure, before `verdict: {verdict}` is decided: \
             expected `verdict: all`, or `policy: collect_all`"
        );
        return Err(Invalid::new(message).at("policy"));
    }
    let VerdictRule::Quorum(quorum) = *verdict else { return Ok(()) };
    let (known, what) = match body {
        CheckBody::Group { members } => (members.len(), "its group's members"),
        CheckBody::Probe(probe) => {
            let known = match probe.targets() {
                Some(targets) => targets.known().map(|targets| targets.len()),
                None => probe.target.static_endpoints().map(|endpoints| endpoints.len()),
            };
            match known {
                Some(known) => (known, "its endpoints"),
                // As many as there are then, which each run finds out.
                None => return Ok(()),
            }
        }
    };
    if quorum as usize > known {
        let message = format!("`verdict` wants {quorum} of {what} to pass, and there are {known}: it could never pass");
        return Err(Invalid::new(message).at("verdict"));
    }
    Ok(())
}

fn validate_addresses(settings: &ProbeSettings, target: &Target) -> Result<(), Invalid> {
    let fault = |message: String| Invalid::new(message).at("addresses");
    let Some(host_port) = &target.host_port else {
        return match target.addresses.is_default() {
            true => Ok(()),
            false => {
                Err(fault(format!("`addresses` has no meaning for a check of the type {}", settings.check_type())))
            }
        };
    };
    let Addresses::List(list) = &target.addresses else { return Ok(()) };
    if host_port.port() == 0
        && let Some(with_port) = list.iter().find(|address| address.resolve(0).port() != 0)
    {
        return Err(fault(format!(
            "`addresses` lists {with_port}, and a check of this type has no ports: expected its address"
        )));
    }
    let mut seen = HashSet::with_capacity(list.len());
    if let Some(twice) = list.iter().map(|a| a.resolve(host_port.port())).find(|a| !seen.insert(*a)) {
        let twice = shown_address(twice);
        return Err(fault(format!("`addresses` lists {twice} twice: expected each endpoint once")));
    }
    // TLS verifies the host that the settings name. Where that is an address, connecting to another
    // one under its name could only fail.
    if let (true, Some(ip)) = (settings.verifies_host(), host_port.ip()) {
        return Err(fault(format!(
            "it names the address {ip} and `addresses` lists others, whose certificates could not be verified: \
             expected a host name"
        )));
    }
    Ok(())
}

/// A check that is valid must make tasks that a Runner accepts.
pub(crate) fn validate_size(settings: &ProbeSettings, expect: &Expect) -> Result<(), Invalid> {
    let written = |bytes: Result<Vec<u8>, _>| bytes.map_or(usize::MAX, |bytes: Vec<u8>| bytes.len());
    let bytes = written(serde_json::to_vec(settings)).saturating_add(written(serde_json::to_vec(expect)));
    if bytes > SETTINGS_BYTES_MAX {
        return Err(Invalid::new(format!(
            "its settings and expectations take {bytes} bytes: expected at most {SETTINGS_BYTES_MAX} together"
        )));
    }
    Ok(())
}
