//! A check as people and control planes write it, and what must hold for it to be a valid one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::beat::HeartbeatSettings;
use crate::check::{Check, CheckBody, ProbeBody, Templated};
use crate::dns::DnsSettings;
use crate::exec::ExecSettings;
use crate::expect::Expect;
use crate::group::{self, GroupRules, GroupSettings, Overlap, RunPolicy, VerdictRule};
use crate::grpc::GrpcSettings;
use crate::http::HttpSettings;
use crate::icmp::IcmpSettings;
use crate::id::CheckId;
use crate::mail::{ImapSettings, Pop3Settings, SmtpSettings};
use crate::message::V1;
use crate::mysql::MysqlSettings;
use crate::ntp::NtpSettings;
use crate::postgres::PostgresSettings;
use crate::probe::{CheckType, ProbeSettings};
use crate::redis::RedisSettings;
use crate::ssh::SshSettings;
use crate::steps::StepsSettings;
use crate::target::{Addresses, Target, shown_address};
use crate::targets::Targets;
use crate::tcp::TcpSettings;
use crate::template::{Places, first_place, first_template};
use crate::time::{Interval, Timeout};
use crate::tls::TlsCheckSettings;
use crate::udp::UdpSettings;
use crate::unix::UnixSettings;
use crate::websocket::WebsocketSettings;

/// The most that settings and expectations may take together, in bytes of JSON. It leaves room for
/// the rest of a task below [`Task::BYTES_MAX`](crate::Task).
const SETTINGS_BYTES_MAX: usize = 192 * 1024;
/// The interval of a check that names none.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The timeout of a check that names none; a shorter interval shortens it.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// A check as people and control planes write it. Unknown keys are refused: a check that means
/// more than this version understands must not run as something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "Check")]
#[serde(deny_unknown_fields)]
pub struct CheckDocument {
    /// The protocol version, 1. May be left out in files.
    #[serde(default)]
    pub v: V1,
    /// The check's name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub id: CheckId,
    /// An HTTP check. Exactly one of the types must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSettings>,
    /// A TCP check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpSettings>,
    /// A check by a program that speaks the interface of Nagios plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecSettings>,
    /// A check that waits for a job to report in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatSettings>,
    /// A question to a name server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsSettings>,
    /// A check of the health of a gRPC service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcSettings>,
    /// A check of a WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebsocketSettings>,
    /// A check of an SSH server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshSettings>,
    /// A check of a Redis server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisSettings>,
    /// A check of a PostgreSQL server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresSettings>,
    /// A check of a MySQL or MariaDB server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mysql: Option<MysqlSettings>,
    /// A TLS check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsCheckSettings>,
    /// A check of a socket in the file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<UnixSettings>,
    /// A visit to a mail server by SMTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpSettings>,
    /// A visit to a mail server by IMAP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imap: Option<ImapSettings>,
    /// A visit to a mail server by POP3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pop3: Option<Pop3Settings>,
    /// Echo requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<IcmpSettings>,
    /// A datagram, and optionally its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<UdpSettings>,
    /// A question to a time server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntp: Option<NtpSettings>,
    /// A flow of HTTP requests, with values carried from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepsSettings>,
    /// A check that is made of other checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupSettings>,
    /// The time from one run to the next, `1s` to `24h`; `1m` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// How long a task may take, and of a group a run of all its members: more than 0, at most the
    /// interval (of a check that is scheduled) and `5m`; `10s`, or the interval where that is shorter, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// Whether it runs by itself at its interval; `true` if left out. Where `false`, it runs as a
    /// member of a group, or when somebody asks for it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub scheduled: bool,
    /// Whether it is paused: it does not run by itself, and groups leave it out; it runs when somebody asks for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// What happens when a run is due while the previous one is still going: `skip` (default) or `allow`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// Which addresses of the target are checked: `any` (default), `all`, or a list. Not for groups.
    #[serde(default, skip_serializing_if = "Addresses::is_default")]
    pub addresses: Addresses,
    /// Where the targets of the check come from, if it has many: settings and expectations are filled in for each,
    /// `{{target.address}}`, `{{target.labels.env}}`. Not with `addresses`, not for groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// What one failed endpoint or member means for the others: `collect_all` (default) or
    /// `fail_fast`, which goes with `verdict: all` only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: RunPolicy,
    /// How many endpoints or members must pass: `all` (default), `any`, `{quorum: N}` or `{percent: P}`.
    #[serde(default, skip_serializing_if = "VerdictRule::is_default")]
    pub verdict: VerdictRule,
    /// How many endpoints or members are in flight at a time: 1 to 10 000; 256 if left out.
    #[serde(
        default = "group::parallel_default",
        deserialize_with = "group::parallel",
        skip_serializing_if = "is_parallel_default"
    )]
    #[schemars(range(min = 1, max = 10_000))]
    pub parallel: usize,
    /// What the answer must be. Not for groups.
    #[serde(default, skip_serializing_if = "Expect::is_empty")]
    pub expect: Expect,
}

impl CheckDocument {
    /// A check named `id` with every default, and no type yet.
    pub fn new(id: CheckId) -> Self {
        Self {
            v: V1,
            id,
            http: None,
            tcp: None,
            exec: None,
            heartbeat: None,
            dns: None,
            grpc: None,
            websocket: None,
            ssh: None,
            redis: None,
            postgres: None,
            mysql: None,
            tls: None,
            unix: None,
            smtp: None,
            imap: None,
            pop3: None,
            icmp: None,
            udp: None,
            ntp: None,
            steps: None,
            group: None,
            interval: None,
            timeout: None,
            scheduled: true,
            paused: false,
            overlap: Overlap::default(),
            addresses: Addresses::default(),
            targets: None,
            policy: RunPolicy::default(),
            verdict: VerdictRule::default(),
            parallel: group::parallel_default(),
            expect: Expect::default(),
        }
    }

    /// A check named `id` with these settings and every other default.
    pub fn probing(id: CheckId, settings: ProbeSettings) -> Self {
        let mut document = Self::new(id);
        settings.put_into(&mut document);
        document
    }
}

fn yes() -> bool {
    true
}

fn is_yes(given: &bool) -> bool {
    *given
}

fn is_default<T: Default + PartialEq>(given: &T) -> bool {
    *given == T::default()
}

fn is_parallel_default(given: &usize) -> bool {
    *given == group::parallel_default()
}

impl TryFrom<CheckDocument> for Check {
    type Error = Invalid;

    fn try_from(document: CheckDocument) -> Result<Self, Invalid> {
        let id = document.id.clone();
        valid(document).map_err(|what| Invalid::new(format!("check `{id}`: {what}")))
    }
}

fn valid(mut document: CheckDocument) -> Result<Check, String> {
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
        ..
    } = document;
    let (interval, timeout) = times(interval, timeout, scheduled)?;
    let body = match (single(settings)?, group) {
        (Some(settings), None) => probe_body(settings, addresses, targets, expect)?,
        (None, Some(group)) => group_body(group, &addresses, targets.as_ref(), &expect)?,
        (None, None) => {
            return Err(format!("it has no type: expected one of {} or `group:`", words(&CheckType::ALL)));
        }
        (Some(settings), Some(_)) => {
            return Err(format!("it has `{}:` and `group:`: expected exactly one type", settings.check_type()));
        }
    };
    let rules = GroupRules { policy, verdict, parallel };
    validate_rules(&rules, &body)?;
    Ok(Check { id, interval, timeout, scheduled, paused, overlap, rules, body })
}

/// The settings of the only type that is given, if one is.
fn single(mut given: Vec<ProbeSettings>) -> Result<Option<ProbeSettings>, String> {
    if given.len() > 1 {
        let types: Vec<_> = given.iter().map(|settings| format!("`{}:`", settings.check_type())).collect();
        return Err(format!("it has {}: expected exactly one type", types.join(" and ")));
    }
    Ok(given.pop())
}

fn words(types: &[CheckType]) -> String {
    types.iter().map(|check_type| format!("`{check_type}:`")).collect::<Vec<_>>().join(", ")
}

fn times(interval: Option<Interval>, timeout: Option<Timeout>, scheduled: bool) -> Result<(Interval, Timeout), String> {
    let interval = match interval {
        Some(interval) => interval,
        None => Interval::new(INTERVAL_DEFAULT).map_err(|e| e.to_string())?,
    };
    let timeout = match timeout {
        Some(timeout) => timeout,
        None => Timeout::new(TIMEOUT_DEFAULT.min(interval.get())).map_err(|e| e.to_string())?,
    };
    if scheduled && timeout.get() > interval.get() {
        return Err(format!(
            "its timeout of {timeout} is longer than its interval of {interval}: expected at most the interval"
        ));
    }
    Ok((interval, timeout))
}

fn probe_body(
    settings: ProbeSettings,
    addresses: Addresses,
    targets: Option<Targets>,
    expect: Expect,
) -> Result<CheckBody, String> {
    if !settings.check_type().has_tasks() {
        for (key, given) in [("expect", !expect.is_empty()), ("targets", targets.is_some())] {
            if given {
                return Err(format!("`{key}` has no meaning for a heartbeat: the job itself says how it is"));
            }
        }
    }
    settings.validate(&expect).map_err(|e| e.to_string())?;
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
) -> Result<Option<Templated>, String> {
    let Some(targets) = targets else {
        let template = first_template(settings, "").or_else(|| first_template(expect, "expect"));
        return match template {
            Some((key, text)) => Err(format!(
                "`{key}` holds `{}`, and the check has no `targets` to fill it in with",
                first_place(&text)
            )),
            None => Ok(None),
        };
    };
    if !target.addresses.is_default() {
        return Err("it has `addresses` and `targets`: expected one of them".to_owned());
    }
    if let Some((key, text)) = first_template(&targets, "targets") {
        return Err(format!(
            "`{key}` holds `{}`: targets are filled in, and not into where they come from",
            first_place(&text)
        ));
    }
    let places = Places::find(settings, expect)?;
    Ok(Some(Templated { targets: Arc::new(targets), places: Arc::new(places) }))
}

fn group_body(
    group: GroupSettings,
    addresses: &Addresses,
    targets: Option<&Targets>,
    expect: &Expect,
) -> Result<CheckBody, String> {
    let elsewhere = |key| format!("`{key}` has no meaning for a group: expected it at the group's members");
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

fn validate_rules(rules: &GroupRules, body: &CheckBody) -> Result<(), String> {
    let GroupRules { policy, verdict, .. } = rules;
    if *policy == RunPolicy::FailFast && *verdict != VerdictRule::All {
        return Err(format!(
            "`policy: fail_fast` ends a run at its first failure, before `verdict: {verdict}` is decided: \
             expected `verdict: all`, or `policy: collect_all`"
        ));
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
        return Err(format!("`verdict` wants {quorum} of {what} to pass, and there are {known}: it could never pass"));
    }
    Ok(())
}

fn validate_addresses(settings: &ProbeSettings, target: &Target) -> Result<(), String> {
    let Some(host_port) = &target.host_port else {
        return match target.addresses.is_default() {
            true => Ok(()),
            false => Err(format!("`addresses` has no meaning for a check of the type {}", settings.check_type())),
        };
    };
    let Addresses::List(list) = &target.addresses else { return Ok(()) };
    if host_port.port() == 0
        && let Some(with_port) = list.iter().find(|address| address.resolve(0).port() != 0)
    {
        return Err(format!(
            "`addresses` lists {with_port}, and a check of this type has no ports: expected its address"
        ));
    }
    let mut seen = HashSet::with_capacity(list.len());
    if let Some(twice) = list.iter().map(|a| a.resolve(host_port.port())).find(|a| !seen.insert(*a)) {
        let twice = shown_address(twice);
        return Err(format!("`addresses` lists {twice} twice: expected each endpoint once"));
    }
    // TLS verifies the host that the settings name. Where that is an address, connecting to another
    // one under its name could only fail.
    if let (true, Some(ip)) = (settings.verifies_host(), host_port.ip()) {
        return Err(format!(
            "it names the address {ip} and `addresses` lists others, whose certificates could not be verified: \
             expected a host name"
        ));
    }
    Ok(())
}

/// A check that is valid must make tasks that a Runner accepts.
pub(crate) fn validate_size(settings: &ProbeSettings, expect: &Expect) -> Result<(), String> {
    let written = |bytes: Result<Vec<u8>, _>| bytes.map_or(usize::MAX, |bytes: Vec<u8>| bytes.len());
    let bytes = written(serde_json::to_vec(settings)).saturating_add(written(serde_json::to_vec(expect)));
    if bytes > SETTINGS_BYTES_MAX {
        return Err(format!(
            "its settings and expectations take {bytes} bytes: expected at most {SETTINGS_BYTES_MAX} together"
        ));
    }
    Ok(())
}

impl From<Check> for CheckDocument {
    fn from(check: Check) -> Self {
        let Check { id, interval, timeout, scheduled, paused, overlap, rules, body } = check;
        let GroupRules { policy, verdict, parallel } = rules;
        let (interval, timeout) = (Some(interval), Some(timeout));
        let mut document =
            Self { interval, timeout, scheduled, paused, overlap, policy, verdict, parallel, ..Self::new(id) };
        match body {
            CheckBody::Group { members } => document.group = Some(GroupSettings { checks: members }),
            CheckBody::Probe(probe) => {
                Arc::unwrap_or_clone(probe.settings).put_into(&mut document);
                document.addresses = probe.target.addresses;
                document.targets = probe.templated.map(|templated| Arc::unwrap_or_clone(templated.targets));
                document.expect = Arc::unwrap_or_clone(probe.expect);
            }
        }
        document
    }
}

impl crate::codec::Message for CheckDocument {
    const NAME: &'static str = "check";
    const BYTES_MAX: usize = crate::check::CHECK_BYTES_MAX;
}
