//! Watchpost in processes of its own, and what tests do with them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchpost_agent::{Clock, SystemClock};
use watchpost_model::{
    CancelCause, CancelTasks, Check, Endpoint, Firing, Format, RunId, RunVerdict, Task, TaskClass, TaskId, TaskResult,
    Timestamp, V1, encode,
};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};
use watchpost_tests::tcp_fixture::loopback;

use crate::set_clock::slot_after;

/// An outcome with its reason's code, `pass` or `error/connect_refused`.
pub fn told(result: &TaskResult) -> String {
    match &result.reason {
        None => result.outcome.to_string(),
        Some(reason) => format!("{}/{}", result.outcome, reason.code),
    }
}

/// The same of a verdict.
pub fn told_of_run(verdict: &RunVerdict) -> String {
    match &verdict.reason {
        None => verdict.outcome.to_string(),
        Some(reason) => format!("{}/{}", verdict.outcome, reason.code),
    }
}

/// The first `number` addresses of 127.0.0.0/8 with `port`, as a list of endpoints in YAML or JSON.
pub fn endpoints(port: u16, number: u32) -> String {
    let all: Vec<String> = (0..number).map(|i| format!("\"{}\"", SocketAddr::new(loopback(i), port))).collect();
    format!("[{}]", all.join(", "))
}

/// A check's id, of those that begin with `begin`, that is due between one and one and a half seconds from now.
pub fn due_soon(begin: &str, interval: Duration) -> String {
    let (now, lead) = (SystemClock::default().now(), Duration::from_secs(1));
    let due = |id: &String| slot_after(id, interval, now, lead).as_microsecond() - now.as_microsecond() < 1_500_000;
    (0..).map(|i| format!("{begin}-{i}")).find(due).unwrap()
}

/// Writes a configuration and has it taken.
pub async fn apply(watchpost: &Watchpost, yaml: &str) {
    let reloads = watchpost.logged("checks reloaded").len();
    write(watchpost, yaml);
    watchpost.signal("HUP");
    until("the reload", SOON, || (watchpost.logged("checks reloaded").len() > reloads).then_some(())).await;
}

/// Moves a configuration into place, so that it is never seen half written.
pub fn write(watchpost: &Watchpost, yaml: &str) {
    let (new, file) = (watchpost.folder().join("new"), watchpost.folder().join(Launch::CONFIG));
    std::fs::write(&new, yaml).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Looks at the health again and again until it is as wanted.
pub async fn until_health(watchpost: &Watchpost, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
    let end = Instant::now() + SOON;
    loop {
        let health = watchpost.health().await;
        if holds(&health) {
            return health;
        }
        assert!(Instant::now() < end, "never: {what}: {health}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How the pool of one type stands.
pub fn pool(health: &Value, check_type: &str) -> Value {
    let pools = health["pools"].as_array().unwrap();
    pools.iter().find(|pool| pool["check_type"] == check_type).unwrap().clone()
}

/// A Runner in a process of its own on a real bus, and somebody who hears everything on it.
pub struct RunnerRig {
    pub runner: Watchpost,
    pub observer: Observer,
    _nats: NatsServer,
}

/// A `tcp` task that waits for `ok`.
pub struct Order<'a> {
    pub check: &'a str,
    pub run: RunId,
    pub address: SocketAddr,
    pub class: TaskClass,
    /// When its deadline is, in ms from now.
    pub deadline_ms: i64,
}

impl RunnerRig {
    /// Starts a Runner with this configuration.
    pub async fn start(config: &str) -> Self {
        let nats = NatsServer::start();
        let observer = Observer::start(&nats.url()).await;
        let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
        let runner = Launch::new("runner").config(&format!("bastion: b1\n{config}")).args(&args).start_ready().await;
        Self { runner, observer, _nats: nats }
    }

    /// Sends a task; its result goes where those of scheduled tasks go.
    pub async fn send(&self, order: Order<'_>) -> TaskId {
        let Order { check, run, address, class, deadline_ms } = order;
        let json = format!(r#"{{"id": "{check}", "tcp": {{"address": "{address}", "expect": "ok"}}}}"#);
        let check: Check = serde_json::from_str(&json).unwrap();
        let now = SystemClock::default().now();
        let in_ms = |ms: i64| Timestamp::from_microsecond(now.as_microsecond() + ms * 1000).unwrap();
        let firing = Firing {
            run,
            bastion: &"b1".parse().unwrap(),
            scheduled_at: now,
            deadline: in_ms(deadline_ms),
            answer_by: in_ms(deadline_ms.max(0) + 60_000),
            class,
            config_generation: 1,
        };
        let task = Task::new(check.id(), check.probe().unwrap(), Endpoint::at(address), &firing);
        self.publish("watchpost.b1.task.tcp", encode(&task, Format::MsgPack)).await;
        task.task
    }

    /// Asks the Runners to stop these.
    pub async fn cancel(&self, tasks: &[TaskId], runs: &[RunId]) {
        let cancel = CancelTasks {
            v: V1,
            cause: CancelCause::Requested,
            message: "the test asked".to_owned(),
            runs: runs.to_vec(),
            tasks: tasks.to_vec(),
        };
        self.publish("watchpost.b1.control.task.cancel", encode(&cancel, Format::Json)).await;
    }

    async fn publish(&self, subject: &str, payload: Vec<u8>) {
        self.observer.client().publish(subject.to_owned(), payload.into()).await.unwrap();
        self.observer.client().flush().await.unwrap();
    }

    /// The one result of a task.
    pub async fn result(&self, task: TaskId) -> TaskResult {
        let first = || self.observer.results().into_iter().find(|result| result.task == task);
        until("the task's result", SOON, first).await.as_ref().clone()
    }

    /// How the pool of `tcp` stands.
    pub async fn pool(&self) -> Value {
        pool(&self.runner.health().await, "tcp")
    }
}

/// The id of a run that nothing else has.
pub fn new_run(check: &str) -> RunId {
    RunId::derive(&"b1".parse().unwrap(), &check.parse().unwrap(), SystemClock::default().now())
}
