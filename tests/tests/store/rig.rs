//! A nats-server with JetStream, somebody who writes checks, and bastions that run them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use watchpost_bus::{Bus, KeyValue, KvLimits, NatsBus, NatsOptions, Subscription};
use watchpost_model::{CheckEvent, CheckEventKind, Format, decode};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost};
use watchpost_tests::tcp_fixture;

pub const BUCKET: &str = "WATCHPOST_CHECKS";
pub const LIMITS: KvLimits = KvLimits { bytes_max: 64 << 20, value_bytes_max: 512 << 10, history: 5 };

pub struct Rig {
    pub server: NatsServer,
    /// Somebody else's connection.
    pub bus: NatsBus,
    pub kv: Arc<dyn KeyValue>,
    /// What the checks check.
    pub target: tcp_fixture::Server,
    state: PathBuf,
}

impl Rig {
    /// With a bucket.
    pub async fn start() -> Self {
        let rig = Self::start_without_bucket().await;
        rig.kv.ensure(LIMITS).await.unwrap();
        rig
    }

    pub async fn start_without_bucket() -> Self {
        let server = NatsServer::start_with(&["-js", "-sd", "jetstream"]);
        let bus = NatsBus::connect(NatsOptions::new([server.url()])).await.unwrap();
        let kv = bus.key_value(BUCKET);
        let target = tcp_fixture::Server::start(IpAddr::V4(Ipv4Addr::LOCALHOST), |_| async {}).await.unwrap();
        let state = server.folder().join("state");
        Self { server, bus, kv, target, state }
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    /// A bastion called `site` that keeps its checks, with this configuration and more arguments.
    pub fn launch(&self, config: &str, args: &[&str]) -> Launch {
        let (url, state) = (self.server.url(), self.state.display().to_string());
        let launch = Launch::new("bastion").config(&format!("bastion: site\n{config}"));
        launch.args(&["--bus", &url, "--state-dir", &state]).args(args)
    }

    /// One that follows the bucket.
    pub async fn bastion(&self, config: &str, args: &[&str]) -> Watchpost {
        let bastion = self.launch(config, args).start_ready().await;
        bastion.until_logged(FOLLOWED).await;
        bastion
    }

    /// A check of the target, once a second.
    pub fn check(&self, id: &str) -> String {
        self.check_every(id, "1s")
    }

    pub fn check_every(&self, id: &str, interval: &str) -> String {
        let address = self.target.address();
        format!(r#"{{"id": "{id}", "tcp": {{"address": "{address}"}}, "interval": "{interval}"}}"#)
    }

    pub async fn put(&self, key: &str, value: impl Into<String>) -> u64 {
        self.kv.put(key, value.into().into(), None).await.unwrap()
    }

    pub async fn events(&self) -> Events {
        Events { heard: self.bus.subscribe("watchpost.site.event.*", None).await.unwrap() }
    }
}

pub const FOLLOWED: &str = "the store of checks is followed";
pub const NOT_FOLLOWED: &str = "the store of checks is not followed";

/// What the bastion tells of its checks.
pub struct Events {
    heard: Subscription,
}

impl Events {
    pub async fn next(&mut self) -> CheckEvent {
        let message = tokio::time::timeout(SOON, self.heard.next()).await.expect("an event in time").unwrap();
        decode(&message.payload, Format::MsgPack).unwrap()
    }

    /// The next of a kind about a check.
    pub async fn until(&mut self, kind: CheckEventKind, check: &str) -> CheckEvent {
        let end = Instant::now() + SOON;
        loop {
            let event = self.next().await;
            if event.kind == kind && event.check.as_str() == check {
                return event;
            }
            assert!(Instant::now() < end, "never {kind:?} of {check}; the last was {event:?}");
        }
    }
}
