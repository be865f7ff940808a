//! The machine and the process: who we are, what we may open, whom we trust, what time it is.

use std::time::Duration;

use rustix::process::{geteuid, getuid};
use rustix::thread::CapabilitySet;
use watchpost_model::CheckType;
use watchpost_probe::machine::{self, EchoMeans};

use super::{Finding, Prospect};

/// Descriptors that are open besides those of checks: connections of the bus and the console, files, the runtime's own.
const DESCRIPTORS_BESIDES: u64 = 128;
/// From how much on a clock makes a difference to deadlines, schedules and the validity of certificates.
const CLOCK_ERROR_MAX: Duration = Duration::from_millis(500);

pub(super) fn examine(prospect: &Prospect, runs_checks: bool) -> Vec<Finding> {
    let mut findings = vec![user(), capabilities(), clock()];
    if runs_checks {
        findings.push(descriptors(prospect));
        findings.extend([false, true].map(echoes));
        findings.push(authorities());
        findings.push(resolvers(prospect));
        findings.push(landlock());
    }
    findings
}

fn user() -> Finding {
    let (user, effective) = (getuid().as_raw(), geteuid());
    match effective.is_root() {
        true => Finding::doubt(
            "user",
            "root",
            "give it a user of its own, as deploy/systemd does; only `exec.user` of a policy needs root",
        ),
        false => Finding::ok("user", format!("{user}, not root")),
    }
}

fn capabilities() -> Finding {
    const WHAT: &str = "capabilities";
    let own = match rustix::thread::capabilities(None) {
        Ok(sets) => sets.effective,
        Err(error) => return Finding::doubt(WHAT, error.to_string(), "the system does not tell them"),
    };
    let names: Vec<_> = own.iter_names().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let needless = own.difference(CapabilitySet::NET_RAW | CapabilitySet::NET_BIND_SERVICE);
    match (own.is_empty(), needless.is_empty()) {
        (true, _) => Finding::ok(WHAT, "none"),
        (_, true) => Finding::ok(WHAT, names.join(", ")),
        _ => Finding::doubt(WHAT, format!("{} of them", names.len()), "none is needed but net_raw for echo requests"),
    }
}

fn clock() -> Finding {
    const ADVICE: &str = "let chrony or systemd-timesyncd keep it; deadlines between machines and the validity of \
                          certificates go by it";
    match machine::clock_state() {
        Err(error) => Finding::doubt("clock", error.to_string(), "the system does not tell how it is kept"),
        Ok(state) if !state.synchronised => Finding::doubt("clock", "nothing keeps it in step", ADVICE),
        Ok(state) => {
            let off = Duration::from_micros(state.error_max_us);
            let found = format!("kept in step, off by at most {off:?}");
            if off > CLOCK_ERROR_MAX { Finding::doubt("clock", found, ADVICE) } else { Finding::ok("clock", found) }
        }
    }
}

/// Each task in flight holds a descriptor, plugins three.
fn descriptors(prospect: &Prospect) -> Finding {
    const WHAT: &str = "open files";
    let each = CheckType::ALL.iter().filter(|check_type| check_type.has_tasks());
    let wanted: u64 = each
        .map(|check_type| {
            let size = u64::try_from(prospect.settings.pool(*check_type).size).unwrap_or(u64::MAX);
            if *check_type == CheckType::Exec { size.saturating_mul(3) } else { size }
        })
        .sum();
    let wanted = wanted + DESCRIPTORS_BESIDES;
    match rlimit::Resource::NOFILE.get_soft() {
        Err(error) => Finding::doubt(WHAT, error.to_string(), "the limit is not to be had"),
        Ok(limit) if limit < wanted => Finding::fault(
            WHAT,
            format!("at most {limit}, and the pools together may want {wanted}"),
            "raise the hard limit (LimitNOFILE= of systemd, `ulimit -Hn`), or make `pools` smaller",
        ),
        Ok(limit) => Finding::ok(WHAT, format!("at most {limit}; the pools together may want {wanted}")),
    }
}

fn echoes(v6: bool) -> Finding {
    let what = if v6 { "icmp over IPv6" } else { "icmp over IPv4" };
    match machine::echo_means(v6) {
        Ok(EchoMeans::Ping) => Finding::ok(what, "by ping sockets"),
        Ok(EchoMeans::Raw) => Finding::ok(what, "by raw sockets"),
        Err(error) => Finding::doubt(
            what,
            format!("not possible, {error}"),
            "`icmp` checks will be cancelled/not_permitted: put a group of the user into the sysctl \
             net.ipv4.ping_group_range, or give it the capability CAP_NET_RAW",
        ),
    }
}

fn authorities() -> Finding {
    const WHAT: &str = "certificate authorities";
    let (count, errors) = machine::system_authorities();
    match (count, errors.first()) {
        (0, _) => Finding::fault(
            WHAT,
            "none",
            "no certificate can be verified: install the package ca-certificates, or name a file by SSL_CERT_FILE",
        ),
        (_, Some(error)) => Finding::doubt(WHAT, format!("{count}, and some cannot be read"), error),
        (_, None) => Finding::ok(WHAT, format!("{count} of the system")),
    }
}

fn resolvers(prospect: &Prospect) -> Finding {
    const WHAT: &str = "name servers";
    let shown = |servers: &[String]| servers.join(", ");
    if !prospect.file.dns.nameservers.is_empty() {
        let servers: Vec<_> = prospect.file.dns.nameservers.iter().map(ToString::to_string).collect();
        return Finding::ok(WHAT, format!("{}, by `dns.nameservers`", shown(&servers)));
    }
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let words = text.lines().map(str::split_whitespace);
    let servers: Vec<_> = words
        .filter_map(|mut words| (words.next()? == "nameserver").then(|| words.next())?)
        .map(str::to_owned)
        .collect();
    match servers.is_empty() {
        true => Finding::fault(
            WHAT,
            "none in /etc/resolv.conf",
            "names cannot be resolved: list some there, or under `dns.nameservers`",
        ),
        false => Finding::ok(WHAT, format!("{}, by /etc/resolv.conf", shown(&servers))),
    }
}

fn landlock() -> Finding {
    const WHAT: &str = "landlock";
    let lacks = match machine::landlock_version() {
        None => {
            "plugins are confined by their user and their limits alone (Linux 5.13 or later, with `landlock` in lsm=)"
        }
        Some(..3) => "plugins can still truncate files (Linux 6.2 or later)",
        Some(3) => "`exec.connect_ports` has no effect (Linux 6.7 or later)",
        Some(4 | 5) => "plugins can still send signals (Linux 6.12 or later)",
        Some(version) => return Finding::ok(WHAT, format!("version {version}")),
    };
    let found = machine::landlock_version().map_or_else(|| "none".to_owned(), |version| format!("version {version}"));
    Finding::doubt(WHAT, found, lacks)
}
