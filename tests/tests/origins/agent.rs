//! An agent in this process, with its Checker and Runner on the in-process bus.

use std::sync::Arc;
use std::time::{Duration, Instant};

use watchpost_agent::{
    Agent, AgentSettings, AgentStatus, Deps, GroupPolicy, PoolSettings, Roles, RunItem, RunReport, RunRequest,
    SystemClock, run_system,
};
use watchpost_audit::AuditLog;
use watchpost_bus::InProcessBus;
use watchpost_model::{Check, CheckType, TaskResult};
use watchpost_policy::Guard;
use watchpost_probe::{ProbeSet, Resolver, TargetFinder};

/// Runs `test` where an agent can live, and fails if it has not come to its end after a while.
pub fn in_system(test: impl Future<Output = ()>) {
    run_system(async {
        tokio::time::timeout(Duration::from_secs(120), test).await.expect("the test comes to its end");
    })
    .unwrap();
}

/// An agent whose pools all have this size and room for this many waiting tasks.
pub async fn start(probes: ProbeSet, size: usize, queue_max: usize) -> Agent {
    let mut settings = AgentSettings::new("b1".parse().unwrap(), "r1".parse().unwrap());
    let pool = PoolSettings { size, queue_max, per_check_max: Some(size) };
    settings.pools = CheckType::ALL.iter().map(|check_type| (*check_type, pool)).collect();
    let deps = Deps {
        bus: Arc::new(InProcessBus::new()),
        clock: Arc::new(SystemClock::default()),
        resolver: Resolver::system(),
        finder: TargetFinder::standard(&Resolver::system()),
        probes,
        audit: AuditLog::off(),
        guard: Guard::local(),
    };
    Agent::start(settings, Roles::Both, deps).await.unwrap()
}

/// The probes that the binary has.
pub fn probes() -> ProbeSet {
    ProbeSet::standard(&Resolver::system())
}

/// A check called `id` that asks `url`.
pub fn http(id: &str, url: &str) -> RunItem {
    check(&format!(r#"{{"id": "{id}", "http": {{"url": "{url}"}}, "interval": "5m", "timeout": "5m"}}"#))
}

/// A check called `id` that connects to `address`.
pub fn tcp(id: &str, address: &str) -> RunItem {
    check(&format!(r#"{{"id": "{id}", "tcp": {{"address": "{address}"}}, "interval": "5m", "timeout": "5m"}}"#))
}

/// A check called `id` that waits for a word of `address`.
pub fn tcp_that_listens(id: &str, address: &str) -> RunItem {
    let tcp = format!(r#"{{"address": "{address}", "expect": "."}}"#);
    check(&format!(r#"{{"id": "{id}", "tcp": {tcp}, "interval": "5m", "timeout": "5m"}}"#))
}

fn check(json: &str) -> RunItem {
    let check: Check = serde_json::from_str(json).unwrap();
    RunItem::Check(Box::new(check))
}

/// Runs everything at the same time, and waits for every outcome.
pub async fn run(agent: &Agent, items: Vec<RunItem>, limit: Duration, policy: GroupPolicy) -> Vec<TaskResult> {
    let mut receiver = agent.checker().unwrap().run_now(RunRequest { items, limit, policy }).await.unwrap();
    let mut results = Vec::new();
    while let Some(report) = receiver.recv().await {
        if let RunReport::Result(result) = report {
            results.push(*result);
        }
    }
    results
}

/// Waits until every task has its outcome, and asserts that the workers of each pool are home or out
/// all the while, and home in the end.
pub async fn assert_all_settled(agent: &Agent, size: usize) -> AgentStatus {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = agent.status().await.unwrap();
        let pools = status.pools.as_ref().unwrap();
        for pool in pools {
            assert_eq!((pool.size, pool.idle + pool.busy + pool.rebuilding), (size, size), "{pool:?}");
        }
        let resting = pools.iter().all(|pool| pool.idle == size && pool.waiting == 0);
        if resting && status.checker.is_some_and(|checker| checker.outstanding == 0) {
            return status;
        }
        assert!(Instant::now() < end, "tasks that do not end: {status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An outcome with its reason's code, `pass` or `error/connect_refused`.
pub fn told(result: &TaskResult) -> String {
    match &result.reason {
        None => result.outcome.to_string(),
        Some(reason) => format!("{}/{}", result.outcome, reason.code),
    }
}
