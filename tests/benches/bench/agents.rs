//! Agents within this process, and what they are given to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use watchpost_agent::{
    Agent, AgentSettings, Clock, Deps, GroupPolicy, PoolSettings, Roles, RunItem, RunReport, RunRequest, SystemClock,
};
use watchpost_audit::AuditLog;
use watchpost_bus::{Headers, Outgoing, SharedBus, Subscription};
use watchpost_model::{
    Check, CheckType, Endpoint, Firing, Format, Outcome, RunId, Subjects, Task, TaskClass, TaskResult, decode, encode,
    header,
};
use watchpost_policy::Guard;
use watchpost_probe::{BoxFuture, Probe, ProbeSet, Recorder, Resolver, TargetFinder, Verdict};

/// Whose checks these are.
pub const BASTION: &str = "bench";
/// How long until a load must be done. It takes a few seconds.
pub const LOAD_LIMIT: Duration = Duration::from_secs(60);
/// How many tasks may wait: more than any load here has.
pub const QUEUE_MAX: usize = 120_000;

/// A probe that does nothing: what is left is what dispatching costs.
struct NoOp;

impl Probe for NoOp {
    fn run<'a>(&'a mut self, _: &'a Task, _: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(std::future::ready(Verdict::pass()))
    }
}

/// The standard probes, but for `tcp`, which does nothing.
pub fn no_op_probes() -> ProbeSet {
    ProbeSet::standard(&Resolver::system()).with(CheckType::Tcp, Arc::new(|| Box::new(NoOp)))
}

/// Does nothing, except for the tasks of one check, which wait at a gate.
struct Gated(Arc<Semaphore>);

impl Probe for Gated {
    fn run<'a>(&'a mut self, task: &'a Task, _: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async {
            if task.check.as_str() == GATED {
                self.0.acquire().await.expect("the gate stays").forget();
            }
            Verdict::pass()
        })
    }
}

/// The check whose tasks wait at the gate.
const GATED: &str = "gated";

/// The standard probes, but for `tcp`, which does nothing once its task is through the gate.
pub fn gated_probes(gate: &Arc<Semaphore>) -> ProbeSet {
    let gate = Arc::clone(gate);
    let factory = Arc::new(move || -> Box<dyn Probe> { Box::new(Gated(Arc::clone(&gate))) });
    ProbeSet::standard(&Resolver::system()).with(CheckType::Tcp, factory)
}

/// A check whose tasks wait at the gate.
pub fn gated_check() -> Check {
    check(&format!(r#"{{"id": "{GATED}", "tcp": {{"address": "127.0.0.1:1"}}, "interval": "1h", "timeout": "1m"}}"#))
}

/// A check that the no-op probe runs.
pub fn no_op_check() -> Check {
    check(r#"{"id": "no-op", "tcp": {"address": "127.0.0.1:1"}, "interval": "1h", "timeout": "1m"}"#)
}

/// A check of `url`.
pub fn http_check(url: &str) -> Check {
    check(&format!(r#"{{"id": "http", "http": {{"url": "{url}"}}, "interval": "1h", "timeout": "1m"}}"#))
}

/// A check from its JSON.
pub fn check(json: &str) -> Check {
    serde_json::from_str(json).expect("a valid check")
}

/// Starts roles on `bus` with `workers` of each type.
pub async fn start(roles: Roles, bus: &SharedBus, probes: ProbeSet, workers: usize) -> Agent {
    let mut settings = AgentSettings::new(BASTION.parse().expect("a name"), "in-process".parse().expect("a name"));
    let pool = PoolSettings { size: workers, queue_max: QUEUE_MAX, per_check_max: Some(workers) };
    settings.pools = CheckType::ALL.map(|check_type| (check_type, pool)).into();
    settings.wait_max = LOAD_LIMIT;
    let resolver = Resolver::system();
    let finder = TargetFinder::standard(&resolver);
    let deps = Deps {
        bus: Arc::clone(bus),
        clock: Arc::new(SystemClock::default()),
        resolver,
        finder,
        probes,
        audit: AuditLog::off(),
        guard: Guard::local(),
    };
    Agent::start(settings, roles, deps).await.expect("the agent starts")
}

/// Stops an agent that has nothing to do any more.
pub async fn stop(agent: Agent) {
    let report = agent.stop(Duration::from_secs(5)).await;
    assert!(report.is_clean(), "{report:?}");
}

/// Has the Checker of `agent` run `check` `count` times at once; how long until the last result.
pub async fn run_now(agent: &Agent, check: &Check, count: usize) -> Duration {
    let items = (0..count).map(|_| RunItem::Check(Box::new(check.clone()))).collect();
    run_items(agent, items).await
}

/// Has the Checker of `agent` run all items at once; how long until the last result.
pub async fn run_items(agent: &Agent, items: Vec<RunItem>) -> Duration {
    let count = items.len();
    let request = RunRequest { items, limit: LOAD_LIMIT, policy: GroupPolicy::CollectAll };
    let begun = Instant::now();
    let results = agent.checker().expect("it has a Checker").run_now(request).await.expect("the Checker is there");
    let passed = tokio::time::timeout(LOAD_LIMIT * 2, count_passed(results)).await.expect("all results in time");
    let took = begun.elapsed();
    assert_eq!(passed, count, "every check passes");
    took
}

async fn count_passed(mut results: mpsc::Receiver<RunReport>) -> usize {
    let mut passed = 0;
    while let Some(report) = results.recv().await {
        if let RunReport::Result(result) = report {
            assert_eq!(result.outcome, Outcome::Pass, "{result:?}");
            passed += 1;
        }
    }
    passed
}

/// Tasks that are encoded already, on their way to a Runner.
pub fn tasks(check: &Check, count: usize) -> Vec<Outgoing> {
    let bastion = BASTION.parse().expect("a name");
    let subjects = Subjects::new(&watchpost_model::SubjectPrefix::default(), &bastion);
    let now = SystemClock::default().now();
    let deadline = now.checked_add(LOAD_LIMIT).expect("a time of day");
    let body = check.probe().expect("no group");
    let host_port = body.target.host_port.as_ref().expect("a place");
    let address = (host_port.ip().expect("an address"), host_port.port()).into();
    let outgoing = |i: usize| {
        let scheduled_at = now.checked_add(Duration::from_micros(i as u64)).expect("a time of day");
        let run = RunId::derive(&bastion, check.id(), scheduled_at);
        let firing = Firing {
            run,
            bastion: &bastion,
            scheduled_at,
            deadline,
            answer_by: deadline,
            class: TaskClass::Scheduled,
            config_generation: 1,
        };
        let task = Task::new(check.id(), body, Endpoint::at(address), &firing);
        let headers = Headers::new()
            .with(header::MSG_ID, task.task.to_string())
            .with(header::CONTENT_TYPE, Format::MsgPack.content_type());
        Outgoing::new(subjects.task(body.check_type()), encode(&task, Format::MsgPack))
            .reply_to(subjects.result(check.id()))
            .headers(headers)
    };
    (0..count).map(outgoing).collect()
}

/// Publishes tasks for a Runner; how long until the last result is there.
pub async fn run_tasks(bus: &SharedBus, results: &mut Subscription, tasks: Vec<Outgoing>) -> Duration {
    let count = tasks.len();
    let mut payloads: Vec<Bytes> = Vec::with_capacity(count);
    let begun = Instant::now();
    let all = async {
        for task in tasks {
            bus.publish(task).await.expect("the bus takes it");
        }
        while payloads.len() < count {
            payloads.push(results.next().await.expect("a result").payload);
        }
    };
    tokio::time::timeout(LOAD_LIMIT * 2, all).await.expect("all results in time");
    let took = begun.elapsed();
    // Read only now: whoever reads results pays for it, and here that is not the Runner.
    let passed = payloads.iter().filter(|payload| read(payload).outcome == Outcome::Pass).count();
    assert_eq!(passed, count, "every task passes");
    took
}

/// The results of every check.
pub async fn subscribe_to_results(bus: &SharedBus) -> Subscription {
    let subjects = Subjects::new(&watchpost_model::SubjectPrefix::default(), &BASTION.parse().expect("a name"));
    bus.subscribe(&subjects.results(), None).await.expect("a subscription")
}

/// A result from the bus.
pub fn read(payload: &[u8]) -> TaskResult {
    decode(payload, Format::MsgPack).expect("a result")
}
