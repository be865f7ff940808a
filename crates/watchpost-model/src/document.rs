//! A check as people and control planes write it.

mod valid;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::beat::HeartbeatSettings;
use crate::check::{Check, CheckBody};
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
use crate::probe::ProbeSettings;
use crate::redis::RedisSettings;
use crate::signature::CheckSignature;
use crate::ssh::SshSettings;
use crate::steps::StepsSettings;
use crate::target::Addresses;
use crate::targets::Targets;
use crate::tcp::TcpSettings;
use crate::time::{Interval, Timeout};
use crate::tls::TlsCheckSettings;
use crate::udp::UdpSettings;
use crate::unix::UnixSettings;
use crate::websocket::WebsocketSettings;

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
    /// A TLS check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsCheckSettings>,
    /// A question to a name server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsSettings>,
    /// Echo requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<IcmpSettings>,
    /// A check of the health of a gRPC service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcSettings>,
    /// A check of a WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebsocketSettings>,
    /// A datagram, and optionally its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<UdpSettings>,
    /// A check of an SSH server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshSettings>,
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
    /// A check of a Redis server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisSettings>,
    /// A check of a PostgreSQL server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresSettings>,
    /// A check of a MySQL or MariaDB server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mysql: Option<MysqlSettings>,
    /// A question to a time server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntp: Option<NtpSettings>,
    /// A check by a program that speaks the interface of Nagios plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecSettings>,
    /// A check that waits for a job to report in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatSettings>,
    /// A check that is made of other checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupSettings>,
    /// A flow of HTTP requests, with values carried from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepsSettings>,
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
    /// Who says that it is to run, and for whom. Bastions that have `trust.signers` run no other checks of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<CheckSignature>,
}

pub(crate) use self::valid::validate_size;

impl CheckDocument {
    /// A check named `id` with every default, and no type yet.
    pub fn new(id: CheckId) -> Self {
        Self {
            v: V1,
            id,
            http: None,
            tcp: None,
            tls: None,
            dns: None,
            icmp: None,
            grpc: None,
            websocket: None,
            udp: None,
            ssh: None,
            unix: None,
            smtp: None,
            imap: None,
            pop3: None,
            redis: None,
            postgres: None,
            mysql: None,
            ntp: None,
            exec: None,
            heartbeat: None,
            group: None,
            steps: None,
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
            signature: None,
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

impl From<Check> for CheckDocument {
    fn from(check: Check) -> Self {
        let Check { id, interval, timeout, scheduled, paused, overlap, rules, body, signature } = check;
        let GroupRules { policy, verdict, parallel } = rules;
        let (interval, timeout) = (Some(interval), Some(timeout));
        let signature = signature.map(Arc::unwrap_or_clone);
        let mut document = Self {
            signature,
            interval,
            timeout,
            scheduled,
            paused,
            overlap,
            policy,
            verdict,
            parallel,
            ..Self::new(id)
        };
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
