//! Refusals in words.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use watchpost_model::{CheckType, shorten, shown_address};

use super::{By, Policy};
use crate::denied::Denied;
use crate::dial::{Dial, Lookup, Purpose};

/// How much of a host is shown, in characters.
const HOST_CHARS_MAX: usize = 100;

pub(super) fn dial(policy: &Policy, dial: &Dial<'_>, ip: IpAddr, by: By) -> Denied {
    let mut what = shown_address(dial.address);
    if let Some(host) = dial.host.filter(|host| host.parse::<IpAddr>().is_err()) {
        what = format!("{} at {what}", shorten(host, HOST_CHARS_MAX));
    }
    if ip != dial.address.ip() {
        let _written = write!(what, " (which stands for {ip})");
    }
    denied(policy, &what, dial.purpose, dial.check_type, dial.method, by)
}

pub(super) fn lookup(policy: &Policy, lookup: &Lookup<'_>, by: By) -> Denied {
    let host = shorten(lookup.host, HOST_CHARS_MAX);
    let what = if lookup.port == 0 { host.into_owned() } else { format!("{host}:{}", lookup.port) };
    denied(policy, &what, lookup.purpose, lookup.check_type, lookup.method, by)
}

pub(super) fn behind_proxy(policy: &Policy, asked: &Lookup<'_>, by: By) -> Denied {
    let Denied { rule, message } = lookup(policy, asked, by);
    Denied::new(rule, format!("{message} (a proxy would resolve the name, and nobody could judge its address)"))
}

fn denied(
    policy: &Policy,
    what: &str,
    purpose: Purpose,
    check_type: CheckType,
    method: Option<&str>,
    by: By,
) -> Denied {
    let role = match purpose {
        Purpose::Target => "",
        Purpose::Redirect => "the redirect to ",
        Purpose::Proxy => "the proxy ",
        Purpose::NameServer => "the name server ",
        Purpose::Source => "the source of targets ",
    };
    let method = method.map(|method| format!(" by {}", shorten(method, 20))).unwrap_or_default();
    let rule = policy.rule_name(by);
    let message = match by {
        By::Special(kind) => format!(
            "`{rule}` of the policy denies {role}{what}, {}: only with `allow` there would the rules decide",
            kind.describe()
        ),
        By::Rule(_) => {
            format!("rule `{rule}` of the policy denies {role}{what}{method} to checks of the type {check_type}")
        }
        By::Default => format!(
            "no rule of the policy allows {role}{what}{method} to checks of the type {check_type}: one with `allow` would have to"
        ),
    };
    Denied::new(rule, message)
}

pub(super) fn check_type(policy: &Policy, check_type: CheckType, by: By) -> Denied {
    let rule = policy.rule_name(by);
    let message = match by {
        By::Default => {
            format!(
                "no rule of the policy allows anything to checks of the type {check_type}: one with `allow` would have to"
            )
        }
        _ => format!("rule `{rule}` of the policy denies checks of the type {check_type}"),
    };
    Denied::new(rule, message)
}

/// What a list of directories holds.
pub(super) fn list(directories: &[PathBuf]) -> String {
    if directories.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<_> = directories.iter().take(5).map(|directory| directory.display().to_string()).collect();
    let more = if directories.len() > shown.len() { " and others" } else { "" };
    format!("{}{more}", shown.join(", "))
}
