//! A real Runner process on a real bus, and somebody who sends it tasks.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use watchpost_agent::{Clock, SystemClock};
use watchpost_model::{Check, Endpoint, Firing, Format, RunId, Task, TaskClass, TaskResult, Timestamp, decode, encode};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost};

/// A Runner, and the subject on which it answers.
pub struct RunnerRig {
    pub runner: Watchpost,
    client: async_nats::Client,
    results: async_nats::Subscriber,
    inbox: String,
    sent: usize,
    _nats: NatsServer,
}

impl RunnerRig {
    /// Starts a Runner with this configuration.
    pub async fn start(config: &str) -> Self {
        let nats = NatsServer::start();
        let client = async_nats::connect(nats.url()).await.unwrap();
        let inbox = client.new_inbox();
        let results = client.subscribe(inbox.clone()).await.unwrap();
        client.flush().await.unwrap();
        let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
        let runner = Launch::new("runner").config(&format!("bastion: b1\n{config}")).args(&args).start_ready().await;
        Self { runner, client, results, inbox, sent: 0, _nats: nats }
    }

    /// Sends a task that asks `http://address/path`.
    pub async fn send_http(&mut self, address: SocketAddr, path: &str, limit: Duration) {
        self.send(&format!(r#""http": {{"url": "http://{address}/{path}"}}"#), address, limit).await;
    }

    /// Sends a task that connects to `address`.
    pub async fn send_tcp(&mut self, address: SocketAddr, limit: Duration) {
        self.send(&format!(r#""tcp": {{"address": "{address}"}}"#), address, limit).await;
    }

    async fn send(&mut self, probe: &str, address: SocketAddr, limit: Duration) {
        let check: Check = serde_json::from_str(&format!(r#"{{"id": "c{}", {probe}}}"#, self.sent)).unwrap();
        self.sent += 1;
        let now = SystemClock::default().now();
        let later = |by: Duration| {
            Timestamp::from_microsecond(now.as_microsecond() + i64::try_from(by.as_micros()).unwrap()).unwrap()
        };
        let bastion = "b1".parse().unwrap();
        let firing = Firing {
            run: RunId::derive(&bastion, check.id(), now),
            bastion: &bastion,
            scheduled_at: now,
            deadline: later(limit),
            answer_by: later(limit + SOON),
            class: TaskClass::default(),
            config_generation: 1,
        };
        let task = Task::new(check.id(), check.probe().unwrap(), Endpoint::at(address), &firing);
        let subject = format!("watchpost.b1.task.{}", task.check_type());
        let payload = encode(&task, Format::MsgPack).into();
        self.client.publish_with_reply(subject, self.inbox.clone(), payload).await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// The next result.
    pub async fn result(&mut self) -> TaskResult {
        let message = tokio::time::timeout(SOON, self.results.next()).await.expect("a result").unwrap();
        decode(&message.payload, Format::MsgPack).unwrap()
    }

    /// How the pool of one type stands.
    pub async fn pool(&self, check_type: &str) -> Value {
        let health = self.runner.health().await;
        let pools = health["pools"].as_array().unwrap();
        pools.iter().find(|pool| pool["check_type"] == check_type).unwrap().clone()
    }
}
