//! Check types: what a worker does with a task, one module for each type.
//!
//! It owns the network side of a check: resolving names, connecting, timing phases, evaluating
//! assertions, gathering evidence. It knows nothing of actors, pools or the bus.
//!
//! Invariants:
//! - A probe that is dropped in mid-flight leaves nothing behind: no task, socket or timer.
//! - A probe never waits without the deadline of its caller in force, and reads no more of an
//!   answer than its caps allow, compressed or not.
//! - What the target does is data in a [`Verdict`], never an `Err` and never a panic.
//! - Probes keep no connection, no TLS session and no answer from one check to the next. What they
//!   do keep is bounded: names for their time to live, compiled patterns, certificate authorities.
//!
//! ```
//! use watchpost_model::{Check, CheckType, Endpoint, Firing, Outcome, RunId, Task, TaskClass};
//! use watchpost_probe::{ProbeSet, Recorder, Resolver};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let check: Check = serde_json::from_str(r#"{"id": "db", "tcp": {"address": "db.example:5432"}}"#)?;
//! let (bastion, at) = ("here".parse()?, "2026-01-01T00:00:00Z".parse()?);
//! let run = RunId::derive(&bastion, check.id(), at);
//! let class = TaskClass::AdHoc;
//! let firing =
//!     Firing { run, bastion: &bastion, scheduled_at: at, deadline: at, answer_by: at, class, config_generation: 1 };
//! let body = check.probe().ok_or("a group")?;
//! let task = Task::new(check.id(), body, Endpoint::at(listener.local_addr()?), &firing);
//!
//! let probes = ProbeSet::standard(&Resolver::system());
//! let (_, factory) = probes.iter().find(|(known, _)| *known == CheckType::Tcp).ok_or("no tcp")?;
//! let (mut probe, recorder) = (factory(), Recorder::new());
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let verdict = runtime.block_on(probe.run(&task, &recorder));
//! assert_eq!(verdict.outcome, Outcome::Pass);
//! assert!(recorder.finish().phases.connect.is_some());
//! # Ok(())
//! # }
//! ```

mod assertions;
mod broken;
mod cache;
mod context;
mod dialogue;
mod dns;
mod exec;
mod facts;
mod failure;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod governed;
mod grpc;
mod handshake;
mod http;
mod icmp;
mod lazy;
pub mod machine;
mod mail;
mod mysql;
mod network;
mod ntp;
mod patterns;
mod postgres;
mod recorder;
mod redaction;
mod redis;
mod resolver;
mod secret;
mod secrets;
mod ssh;
mod steps;
mod targets;
mod tcp;
mod tls;
mod transcript;
mod udp;
mod unix;
mod value;
mod websocket;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use watchpost_model::{CheckType, Outcome, Reason, ReasonCode, Task};
use watchpost_policy::Denied;

use self::context::ProbeContext;

pub use context::ProbeOptions;
pub use recorder::{Evidence, Recorder, Stage};
pub use redaction::Redaction;
pub use resolver::{ResolveError, Resolver};
pub use secrets::{NamedSecret, SecretFrom, SecretOptions, SecretStore};
pub use targets::{Lookout, TargetFinder};
pub use tls::TlsRoots;

/// A future in a box, so that [`Probe`] can be used as `dyn Probe`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One worker's way of executing tasks of one type, one at a time.
pub trait Probe: Send {
    /// Executes `task`, noting in `recorder` what it sees as soon as it sees it: when the caller
    /// drops the future at the deadline, the recorder tells how far it got.
    ///
    /// # Cancel safety
    /// Dropping the future ends the probe and closes what it opened.
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict>;
}

/// What a probe that came to an end by itself found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// [`Outcome::Pass`], [`Outcome::Fail`] or [`Outcome::Error`]; or [`Outcome::Cancelled`] where
    /// the fault is ours and says nothing about the target: no descriptors, ports or memory for
    /// another connection, no certificate authorities, a task of another type.
    pub outcome: Outcome,
    /// Why, unless it passed.
    pub reason: Option<Reason>,
}

impl Verdict {
    /// Every assertion holds.
    pub fn pass() -> Self {
        Self { outcome: Outcome::Pass, reason: None }
    }

    /// The target answered, and not as expected.
    pub fn fail(reason: Reason) -> Self {
        Self { outcome: Outcome::Fail, reason: Some(reason) }
    }

    /// No answer could be got.
    pub fn error(reason: Reason) -> Self {
        Self { outcome: Outcome::Error, reason: Some(reason) }
    }

    /// The check could not be made, for a reason that is not the target's.
    pub fn cancelled(reason: Reason) -> Self {
        Self { outcome: Outcome::Cancelled, reason: Some(reason) }
    }

    /// The customer's policy does not permit it.
    pub fn denied(denied: Denied) -> Self {
        Self::cancelled(Reason::new(ReasonCode::PolicyDenied, denied.message))
    }
}

/// Makes probes of one type, one for each worker.
pub type ProbeFactory = Arc<dyn Fn() -> Box<dyn Probe> + Send + Sync>;

/// How to make the probes of each type.
#[derive(Clone, Default)]
pub struct ProbeSet(BTreeMap<CheckType, ProbeFactory>);

impl ProbeSet {
    /// The probes of every type.
    pub fn new(options: &ProbeOptions) -> Self {
        let context = ProbeContext::new(options);
        Self::default()
            .with(CheckType::Http, context.factory(crate::http::HttpProbe::new))
            .with(CheckType::Tcp, context.factory(tcp::TcpProbe::new))
            .with(CheckType::Tls, context.factory(handshake::TlsProbe::new))
            .with(CheckType::Dns, context.factory(dns::DnsProbe::new))
            .with(CheckType::Icmp, context.factory(icmp::IcmpProbe::new))
            .with(CheckType::Grpc, context.factory(grpc::GrpcProbe::new))
            .with(CheckType::Websocket, context.factory(websocket::WebsocketProbe::new))
            .with(CheckType::Udp, context.factory(udp::UdpProbe::new))
            .with(CheckType::Ssh, context.factory(ssh::SshProbe::new))
            .with(CheckType::Unix, context.factory(unix::UnixProbe::new))
            .with(CheckType::Smtp, context.factory(mail::MailProbe::new))
            .with(CheckType::Imap, context.factory(mail::MailProbe::new))
            .with(CheckType::Pop3, context.factory(mail::MailProbe::new))
            .with(CheckType::Redis, context.factory(redis::RedisProbe::new))
            .with(CheckType::Postgres, context.factory(postgres::PostgresProbe::new))
            .with(CheckType::Mysql, context.factory(mysql::MysqlProbe::new))
            .with(CheckType::Ntp, context.factory(ntp::NtpProbe::new))
            .with(CheckType::Exec, context.factory(exec::ExecProbe::new))
            .with(CheckType::Steps, context.factory(steps::StepsProbe::new))
    }

    /// The probes of every type, which resolve names through `resolver` and trust the certificate
    /// authorities of the system.
    pub fn standard(resolver: &Resolver) -> Self {
        Self::new(&ProbeOptions::new(resolver))
    }

    /// The probes of every type, which resolve names through `resolver` and trust `roots`.
    pub fn standard_with_roots(resolver: &Resolver, roots: &TlsRoots) -> Self {
        Self::new(&ProbeOptions { roots: roots.clone(), ..ProbeOptions::new(resolver) })
    }

    /// The same set with `factory` for `check_type`.
    #[must_use]
    pub fn with(mut self, check_type: CheckType, factory: ProbeFactory) -> Self {
        self.0.insert(check_type, factory);
        self
    }

    /// The types that can be checked, each with its factory.
    pub fn iter(&self) -> impl Iterator<Item = (CheckType, &ProbeFactory)> {
        self.0.iter().map(|(check_type, factory)| (*check_type, factory))
    }
}

impl std::fmt::Debug for ProbeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
