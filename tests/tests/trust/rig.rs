//! A bus that anybody may write to, somebody who signs, a target, and a place where nobody is ever to be led.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use watchpost_agent::{Clock, SystemClock};
use watchpost_bus::{Bus, KeyValue, KvLimits, NatsBus, NatsOptions, Outgoing, Subscription};
use watchpost_model::{
    BastionGroup, CheckDocument, CheckEvent, CheckEventKind, Format, Message, Task, TaskResult, Timestamp, decode,
    encode,
};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, PERMISSIVE, SOON, Watchpost, until};
use watchpost_tests::tcp_fixture::Server;
use watchpost_trust::Signer;

const LIMITS: KvLimits = KvLimits { bytes_max: 64 << 20, value_bytes_max: 512 << 10, history: 5 };
const FOLLOWED: &str = "the store of checks is followed";

pub struct Rig {
    pub server: NatsServer,
    /// The connection of whoever holds the bus.
    pub bus: NatsBus,
    pub kv: Arc<dyn KeyValue>,
    /// What signed checks check.
    pub target: Server,
    /// What no check may reach.
    pub victim: Server,
    pub signer: Signer,
}

impl Rig {
    pub async fn start() -> Self {
        let server = NatsServer::start_with(&["-js", "-sd", "jetstream"]);
        let bus = NatsBus::connect(NatsOptions::new([server.url()])).await.unwrap();
        let kv = bus.key_value("WATCHPOST_CHECKS");
        kv.ensure(LIMITS).await.unwrap();
        let listen = || Server::start(IpAddr::V4(Ipv4Addr::LOCALHOST), |_| async {});
        let (target, victim) = (listen().await.unwrap(), listen().await.unwrap());
        Self { server, bus, kv, target, victim, signer: Signer::generate().unwrap() }
    }

    pub fn state(&self, role: &str) -> PathBuf {
        self.server.folder().join(format!("state-{role}"))
    }

    /// A process of the bastion `site`, which is of the bastion group `eu` as well and trusts the signer.
    pub fn launch(&self, role: &str, trust: &str, config: &str) -> Launch {
        let key = self.signer.key();
        let config = format!("bastion: site\ngroups: [eu]\ntrust: {{signers: [{key}]{trust}}}\n{config}");
        let (url, state) = (self.server.url(), self.state(role).display().to_string());
        Launch::new(role).config(&config).args(&["--bus", &url, "--state-dir", &state])
    }

    pub async fn bastion(&self, trust: &str, config: &str) -> Watchpost {
        let bastion = self.launch("bastion", trust, config).start_ready().await;
        bastion.until_logged(FOLLOWED).await;
        bastion
    }

    /// A Checker and a Runner in processes of their own.
    pub async fn apart(&self, trust: &str) -> (Watchpost, Watchpost) {
        let runner = self.launch("runner", trust, "").args(&["--runner", "r1"]).start_ready().await;
        // It reads the files of sources of targets, which the policy is to let it.
        let checker = self.launch("checker", trust, "").policy(PERMISSIVE).start_ready().await;
        checker.until_logged(FOLLOWED).await;
        (checker, runner)
    }

    /// A check of the target, once a second.
    pub fn check(&self, id: &str) -> CheckDocument {
        self.check_of(id, &self.target, "")
    }

    pub fn check_of(&self, id: &str, server: &Server, more: &str) -> CheckDocument {
        let address = server.address();
        let json = format!(r#"{{"id": "{id}", "tcp": {{"address": "{address}"}}, "interval": "1s"{more}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    pub fn signed(&self, document: CheckDocument, group: &str, revision: u64) -> CheckDocument {
        self.signed_by(&self.signer, document, group, revision)
    }

    pub fn signed_by(&self, signer: &Signer, document: CheckDocument, group: &str, revision: u64) -> CheckDocument {
        let group: BastionGroup = group.parse().unwrap();
        signer.sign(document, &group, revision, now()).unwrap()
    }

    pub async fn put(&self, key: &str, document: &CheckDocument) -> u64 {
        self.kv.put(key, encode(document, Format::Json).into(), None).await.unwrap()
    }

    pub async fn events(&self) -> Events {
        Events { heard: self.bus.subscribe("watchpost.site.event.*", None).await.unwrap() }
    }

    /// The next result of a check that was not asked for by anybody.
    pub async fn result_of(&self, check: &str) -> TaskResult {
        let mut heard = self.bus.subscribe(&format!("watchpost.site.result.{check}"), None).await.unwrap();
        next(&mut heard).await
    }

    /// The next task of a check, as it stands on the bus.
    pub async fn task_of(&self, check: &str) -> Vec<u8> {
        let mut heard = self.bus.subscribe("watchpost.site.task.tcp", None).await.unwrap();
        loop {
            let message = tokio::time::timeout(SOON, heard.next()).await.expect("a task in time").unwrap();
            if decode::<Task>(&message.payload, Format::MsgPack).unwrap().check.as_str() == check {
                return message.payload.to_vec();
            }
        }
    }

    /// Puts a task on the bus, and hears its result.
    pub async fn inject(&self, task: &Task) -> TaskResult {
        let inbox = self.bus.new_inbox();
        let mut heard = self.bus.subscribe(&inbox, None).await.unwrap();
        let subject = format!("watchpost.site.task.{}", task.check_type());
        self.bus.publish(Outgoing::new(subject, encode(task, Format::MsgPack)).reply_to(inbox)).await.unwrap();
        next(&mut heard).await
    }

    /// What a process has written into its audit log of this kind.
    pub fn audited(&self, role: &str, event: &str) -> Vec<Value> {
        let file = self.state(role).join(format!("site.{role}.audit.jsonl"));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    pub async fn until_audited(&self, role: &str, event: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until("an audit line", SOON, || self.audited(role, event).into_iter().find(|line| holds(line))).await
    }
}

/// What the bastion tells of its checks.
pub struct Events {
    heard: Subscription,
}

impl Events {
    /// The next of a kind about a check.
    pub async fn until(&mut self, kind: CheckEventKind, check: &str) -> CheckEvent {
        let end = Instant::now() + SOON;
        loop {
            let event: CheckEvent = next(&mut self.heard).await;
            if event.kind == kind && event.check.as_str() == check {
                return event;
            }
            assert!(Instant::now() < end, "never {kind:?} of {check}; the last was {event:?}");
        }
    }
}

async fn next<M: Message>(heard: &mut Subscription) -> M {
    let message = tokio::time::timeout(SOON, heard.next()).await.expect("a message in time").unwrap();
    decode(&message.payload, Format::detect(None, &message.payload)).unwrap()
}

pub fn now() -> Timestamp {
    SystemClock::default().now()
}

/// An outcome with its reason's code.
pub fn told(result: &TaskResult) -> String {
    match &result.reason {
        None => result.outcome.to_string(),
        Some(reason) => format!("{}/{}", result.outcome, reason.code),
    }
}

/// Removes what a process keeps of the checks themselves, so that it knows no more than what it has seen.
pub fn forget_checks(state: &Path) {
    std::fs::remove_file(state.join("site.checks")).unwrap();
}
