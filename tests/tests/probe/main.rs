//! Probes against servers that behave well and badly, driven as a worker drives them: one task at a
//! time, cut short by the caller at the deadline.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod certificates;
mod datagrams;
mod dialogue;
mod dns;
mod dns_check;
mod exchange;
mod expect;
mod grpc;
mod handshake;
mod http;
mod http2;
mod icmp;
mod limits;
mod mail;
mod mysql;
mod nginx;
mod postgres;
mod proxy;
mod redirects;
mod redis;
mod requests;
mod ssh;
mod steps;
mod tcp;
mod tls;
mod websocket;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use watchpost_model::{
    AssertionReport, Check, CheckType, Endpoint, Firing, HttpEvidence, Outcome, Reason, RunId, Task, TaskClass,
};
use watchpost_probe::{Evidence, Probe, ProbeSet, Recorder, Resolver, TlsRoots};

/// A certificate that signed nothing. Where none at all is trusted, no TLS check runs.
static UNUSED_ROOT: LazyLock<Vec<u8>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap().cert.der().to_vec());

/// More than anything here takes unless it hangs.
const AMPLE: Duration = Duration::from_secs(20);

/// How one run of a probe ended.
#[derive(Debug)]
struct Ran {
    outcome: Outcome,
    reason: Option<Reason>,
    evidence: Evidence,
    took: Duration,
}

impl Ran {
    fn code(&self) -> &str {
        self.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.reason.as_ref().map(|reason| reason.message.as_str()).unwrap_or_default()
    }

    fn http(&self) -> &HttpEvidence {
        self.evidence.http.as_ref().unwrap_or_else(|| panic!("no HTTP evidence: {self:?}"))
    }

    fn assertion(&self, i: usize) -> &AssertionReport {
        &self.evidence.assertions[i]
    }

    #[track_caller]
    fn assert_passed(&self) {
        assert_eq!((self.outcome, &self.reason), (Outcome::Pass, &None), "{self:?}");
    }

    #[track_caller]
    fn assert_ended(&self, outcome: Outcome, code: &str) {
        assert_eq!((self.outcome, self.code()), (outcome, code), "{self:?}");
    }
}

/// Probes that resolve no name and trust no server unless told to.
struct Bench {
    probes: ProbeSet,
}

impl Bench {
    fn new() -> Self {
        Self::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([UNUSED_ROOT.clone()]))
    }

    fn with(resolver: &Resolver, roots: &TlsRoots) -> Self {
        Self { probes: ProbeSet::standard_with_roots(resolver, roots) }
    }

    fn probe(&self, check_type: CheckType) -> Box<dyn Probe> {
        let (_, factory) = self.probes.iter().find(|(known, _)| *known == check_type).unwrap();
        factory()
    }

    /// Runs the check `json` once on a new probe, against `endpoint` or the name that it has.
    async fn run(&self, json: &str, endpoint: impl Into<Option<SocketAddr>>) -> Ran {
        self.run_within(AMPLE, json, endpoint).await
    }

    async fn run_within(&self, limit: Duration, json: &str, endpoint: impl Into<Option<SocketAddr>>) -> Ran {
        let task = task(json, endpoint.into());
        let mut probe = self.probe(task.check_type());
        run_task(&mut *probe, &task, limit).await
    }

    /// Runs the check until `limit` has passed and it has got to where running out of time is told as `code`, however
    /// slow this machine is.
    async fn run_until(&self, code: &str, limit: Duration, json: &str, endpoint: impl Into<Option<SocketAddr>>) -> Ran {
        let task = task(json, endpoint.into());
        let mut probe = self.probe(task.check_type());
        run_task_until(&mut *probe, &task, limit, |recorder| recorder.timeout_reason(limit).code.as_str() == code).await
    }
}

/// A task for the check that `json` describes but for its id.
fn task(json: &str, endpoint: Option<SocketAddr>) -> Task {
    let with_id = json.replacen('{', r#"{"id": "test", "#, 1);
    let check: Check = serde_json::from_str(&with_id).unwrap_or_else(|e| panic!("{with_id}: {e}"));
    let body = check.probe().unwrap();
    let by_name = || match &body.target.host_port {
        Some(host_port) => Endpoint::unresolved(host_port),
        None => Endpoint::named(&body.target.name),
    };
    let endpoint = endpoint.map_or_else(by_name, Endpoint::at);
    let bastion = "here".parse().unwrap();
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let firing = Firing {
        run: RunId::derive(&bastion, check.id(), at),
        bastion: &bastion,
        scheduled_at: at,
        deadline: at,
        answer_by: at,
        class: TaskClass::default(),
        config_generation: 1,
    };
    Task::new(check.id(), body, endpoint, &firing)
}

/// Runs a task as a worker does: the future is dropped when `limit` has passed.
async fn run_task(probe: &mut dyn Probe, task: &Task, limit: Duration) -> Ran {
    run_task_until(probe, task, limit, |_| true).await
}

/// The same; but it is dropped no sooner than `is_there`, unless that takes for ever.
async fn run_task_until(
    probe: &mut dyn Probe,
    task: &Task,
    limit: Duration,
    is_there: impl Fn(&Recorder) -> bool,
) -> Ran {
    let started = Instant::now();
    let recorder = Recorder::new();
    let mut run = probe.run(task, &recorder);
    let mut verdict = tokio::time::timeout(limit, &mut run).await;
    while verdict.is_err() && !is_there(&recorder) && started.elapsed() < AMPLE {
        verdict = tokio::time::timeout(Duration::from_millis(2), &mut run).await;
    }
    drop(run);
    let (outcome, reason) = match verdict {
        Ok(verdict) => (verdict.outcome, verdict.reason),
        Err(_) => (Outcome::Timeout, Some(recorder.timeout_reason(limit))),
    };
    let evidence = recorder.finish();
    // Not before: its total goes on until then.
    Ran { outcome, reason, evidence, took: started.elapsed() }
}

/// Loopback address number `n`, so that several servers can share a port or differ in address.
fn loopback(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, n))
}

/// A port of `ip` where nobody listens.
async fn closed_port(ip: IpAddr) -> SocketAddr {
    tokio::net::TcpListener::bind((ip, 0)).await.unwrap().local_addr().unwrap()
}

/// Waits until `holds`, and fails if it does not within a few seconds.
#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "{what} does not become true ({caller})");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
