//! O3: after a great many tasks of every fate, the process is as it was after the first few.
//!
//! `WATCHPOST_SOAK_TASKS` says how many; `just soak` runs ten minutes' worth of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use watchpost_agent::{
    Agent, AgentSettings, Deps, GroupPolicy, PoolSettings, Roles, RunItem, RunReport, RunRequest, SystemClock,
    run_system,
};
use watchpost_audit::AuditLog;
use watchpost_bus::{Bus, InProcessBus, NatsBus, NatsOptions};
use watchpost_model::{CheckType, ProbeSettings, Task};
use watchpost_policy::Guard;
use watchpost_probe::{BoxFuture, Probe, ProbeFactory, ProbeSet, Recorder, Resolver, TargetFinder, Verdict};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, until};

/// How many tasks there are unless it is said otherwise.
const TASKS_DEFAULT: usize = 8_000;
/// How many of them at a time, half as many as there are workers: what panics is away for a while.
const AT_A_TIME: usize = 250;
/// How long those take that never answer.
const LIMIT: Duration = Duration::from_millis(400);
/// How much more memory the process may have in the end: what the allocator and the runtime keep for later.
const MEMORY_ALLOWANCE_KIB: u64 = 12 * 1024;
/// After so many tasks a Runner in another process is killed with what it runs.
const KILL_EVERY: usize = 4_000;
const KILLED_AT_A_TIME: usize = 20;

/// The probe of the binary, except that a target can make it panic.
struct Frail(Box<dyn Probe>);

impl Probe for Frail {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        let ProbeSettings::Http(http) = &*task.probe else { panic!("not an http task") };
        if http.url.as_str().ends_with("/panic") {
            return Box::pin(async { panic!("as the soak asked") });
        }
        self.0.run(task, recorder)
    }
}

fn frail() -> ProbeSet {
    let standard = ProbeSet::standard(&Resolver::system());
    let (_, http) = standard.iter().find(|(check_type, _)| *check_type == CheckType::Http).unwrap();
    let http = Arc::clone(http);
    let frail: ProbeFactory = Arc::new(move || Box::new(Frail(http())));
    ProbeSet::default().with(CheckType::Http, frail)
}

async fn start(bus: Arc<dyn Bus>, roles: Roles) -> Agent {
    let mut settings = AgentSettings::new("b1".parse().unwrap(), "r1".parse().unwrap());
    let size = AT_A_TIME * 2;
    let pool = PoolSettings { size, queue_max: AT_A_TIME * 2, per_check_max: Some(size) };
    settings.pools = [(CheckType::Http, pool)].into();
    let resolver = Resolver::system();
    let finder = TargetFinder::standard(&resolver);
    let deps = Deps {
        bus,
        clock: Arc::new(SystemClock::default()),
        resolver,
        finder,
        probes: frail(),
        audit: AuditLog::off(),
        guard: Guard::local(),
    };
    Agent::start(settings, roles, deps).await.unwrap()
}

/// The targets, on a runtime of their own: their tasks are not counted with the agent's.
struct Target {
    server: HttpFixture,
    runtime: Runtime,
}

impl Target {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(HttpFixture::start("target")).unwrap();
        Self { server, runtime }
    }

    fn item(&self, number: usize, path: &str) -> RunItem {
        let url = format!("http://{}/{path}", self.server.address());
        let json = format!(r#"{{"id": "c{number}", "http": {{"url": "{url}"}}, "interval": "5m", "timeout": "5m"}}"#);
        RunItem::Check(Box::new(serde_json::from_str(&json).unwrap()))
    }

    fn items(&self, paths: &[&str], number: usize) -> Vec<RunItem> {
        (0..number).map(|n| self.item(n, paths[n % paths.len()])).collect()
    }
}

/// Outcomes by name, and how many there were of each.
type Told = BTreeMap<String, usize>;

async fn run(agent: &Agent, items: Vec<RunItem>, policy: GroupPolicy, told: &mut Told) {
    let expected = items.len();
    let mut reports = agent.checker().unwrap().run_now(RunRequest { items, limit: LIMIT, policy }).await.unwrap();
    let mut results = 0;
    while let Some(report) = reports.recv().await {
        if let RunReport::Result(result) = report {
            *told.entry(result.outcome.to_string()).or_default() += 1;
            results += 1;
        }
    }
    assert_eq!(results, expected, "one result each");
}

/// What a process has that it must give back.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    tasks: usize,
    descriptors: usize,
    threads: usize,
    children: usize,
}

fn footprint() -> Footprint {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    let children = std::fs::read_dir("/proc/self/task").unwrap().map(|thread| {
        let children = thread.unwrap().path().join("children");
        std::fs::read_to_string(children).unwrap_or_default().split_whitespace().count()
    });
    Footprint {
        tasks: Handle::current().metrics().num_alive_tasks(),
        descriptors: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
        children: children.sum(),
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// One round of everything that can happen to a task.
async fn round(agent: &Agent, target: &Target, told: &mut Told) -> usize {
    let mixed = ["ok", "ok", "status/500", "reset", "garbage", "panic", "ok", "hang", "close", "hang-body"];
    run(agent, target.items(&mixed, AT_A_TIME), GroupPolicy::CollectAll, told).await;
    // The first failure cancels what hangs beside it.
    let mut fail_fast = target.items(&["hang"], AT_A_TIME / 10);
    fail_fast.push(target.item(AT_A_TIME, "status/500"));
    let cancelled = fail_fast.len();
    run(agent, fail_fast, GroupPolicy::FailFast, told).await;
    // Whoever asked goes away.
    let items = target.items(&["hang"], AT_A_TIME / 10);
    let gone = items.len();
    let request = RunRequest { items, limit: LIMIT * 100, policy: GroupPolicy::CollectAll };
    drop(agent.checker().unwrap().run_now(request).await.unwrap());
    *told.entry("left".to_owned()).or_default() += gone;
    AT_A_TIME + cancelled + gone
}

/// A Runner in a process of its own is killed with tasks in hand, which are lost and told so.
async fn kill_a_runner(nats: &NatsServer, checker: &Agent, target: &Target, told: &mut Told) -> usize {
    let launch = Launch::new("runner").config("bastion: b1\n").args(&["--bus", &nats.url()]);
    let runner = launch.start_ready().await;
    let open = target.server.counts().open();
    let items = target.items(&["hang"], KILLED_AT_A_TIME);
    let request = RunRequest { items, limit: LIMIT * 5, policy: GroupPolicy::CollectAll };
    let mut reports = checker.checker().unwrap().run_now(request).await.unwrap();
    let hang = || (target.server.counts().open() >= open + KILLED_AT_A_TIME).then_some(());
    until("they hang in the other process", SOON, hang).await;
    runner.signal("KILL");
    drop(runner);
    let mut lost = 0;
    while let Some(report) = reports.recv().await {
        if let RunReport::Result(result) = report {
            assert_eq!(result.outcome.to_string(), "lost", "{result:#?}");
            lost += 1;
        }
    }
    assert_eq!(lost, KILLED_AT_A_TIME);
    *told.entry("lost".to_owned()).or_default() += lost;
    lost
}

async fn until_quiet(agents: [&Agent; 2], target: &Target, at_most: Option<&Footprint>) -> Footprint {
    let end = std::time::Instant::now() + SOON;
    let mut same = 0;
    let mut last = footprint();
    loop {
        let mut outstanding = 0;
        let mut idle = true;
        for agent in agents {
            let status = agent.status().await.unwrap();
            outstanding += status.checker.unwrap().outstanding;
            idle &= status.pools.iter().flatten().all(|pool| pool.idle == pool.size && pool.waiting == 0);
        }
        let now = footprint();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        let open = target.server.counts().open();
        let given_back = at_most.is_none_or(|before| last == *before);
        if outstanding == 0 && idle && open == 0 && same >= 10 && given_back {
            return last;
        }
        assert!(
            std::time::Instant::now() < end,
            "{outstanding} outstanding, {open} open, {last:?} and not {at_most:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment how long to go on")]
fn tasks_wanted() -> usize {
    std::env::var("WATCHPOST_SOAK_TASKS").map_or(TASKS_DEFAULT, |n| n.parse().expect("a number of tasks"))
}

#[test]
fn guarantee_3_a_process_is_after_many_tasks_of_every_fate_as_it_was_after_a_few() {
    let wanted = tasks_wanted();
    let target = Target::start();
    // A panic a task would fill the log with what is expected.
    std::panic::set_hook(Box::new(|panic| {
        if !panic.to_string().contains("as the soak asked") {
            eprintln!("{panic}");
        }
    }));
    run_system(async {
        let nats = NatsServer::start();
        let bus = NatsBus::connect(NatsOptions::new(vec![nats.url()])).await.unwrap();
        let remote = start(Arc::new(bus), Roles::Checker).await;
        let agent = start(Arc::new(InProcessBus::new()), Roles::Both).await;

        let mut told = Told::new();
        // Whatever is made once and kept is made now.
        for _ in 0..4 {
            round(&agent, &target, &mut told).await;
        }
        kill_a_runner(&nats, &remote, &target, &mut told).await;
        let before = until_quiet([&agent, &remote], &target, None).await;
        let memory = resident_kib();

        told.clear();
        let (mut tasks, mut since_kill) = (0, 0);
        while tasks < wanted {
            let done = round(&agent, &target, &mut told).await;
            tasks += done;
            since_kill += done;
            if since_kill >= KILL_EVERY {
                since_kill = 0;
                tasks += kill_a_runner(&nats, &remote, &target, &mut told).await;
            }
        }
        let after = until_quiet([&agent, &remote], &target, Some(&before)).await;
        let grown = resident_kib().saturating_sub(memory);
        println!("{tasks} tasks: {told:?}; {after:?}, as before; {memory} KiB before, {grown} KiB more after");
        for fate in ["pass", "fail", "error", "timeout", "cancelled", "lost", "left"] {
            assert!(told.get(fate).is_some_and(|n| *n > 0), "no task ended as {fate}: {told:?}");
        }
        assert!(grown <= MEMORY_ALLOWANCE_KIB, "{grown} KiB more than the {memory} before");
        let counts = agent.status().await.unwrap().counts;
        assert_eq!((counts.tasks_unreported, counts.actors_rebuilt), (0, 0));
        assert!(agent.stop(SOON).await.is_clean());
        assert!(remote.stop(SOON).await.is_clean());
    })
    .unwrap();
    target.runtime.shutdown_background();
}
