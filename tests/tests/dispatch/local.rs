//! An agent in this process, with a clock and a bus that obey the test, and somebody who hears what it says.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use watchpost_agent::{
    Agent, AgentSettings, AgentStatus, Deps, GroupPolicy, PoolSettings, Roles, RunItem, RunReport, RunRequest,
    run_system,
};
use watchpost_audit::AuditLog;
use watchpost_bus::Bus;
use watchpost_model::{Check, CheckType, Format, Message, Reason, ReasonCode, RunVerdict, Task, TaskResult, decode};
use watchpost_policy::Guard;
use watchpost_probe::{BoxFuture, Probe, ProbeSet, Recorder, Resolver, Stage, TargetFinder, Verdict};
use watchpost_tests::process::{SOON, until};

use crate::faulty_bus::FaultyBus;
use crate::set_clock::SetClock;

/// Runs `test` where an agent can live, and fails if it has not come to its end after a while.
pub fn in_system(test: impl Future<Output = ()>) {
    run_system(async {
        tokio::time::timeout(Duration::from_secs(120), test).await.expect("the test comes to its end");
    })
    .unwrap();
}

/// An agent `b1`.
pub struct Local {
    pub agent: Agent,
    pub clock: Arc<SetClock>,
    pub bus: Arc<FaultyBus>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    results: Vec<TaskResult>,
    verdicts: Vec<RunVerdict>,
}

/// What an agent is started with.
pub struct Setup {
    pub roles: Roles,
    pub probes: ProbeSet,
    pub pool: PoolSettings,
    pub answer_grace: Duration,
    pub clock: SetClock,
    pub resolver: Resolver,
}

impl Setup {
    /// Both roles, `size` workers for each type, and room for many tasks.
    pub fn new(probes: ProbeSet, size: usize) -> Self {
        let pool = PoolSettings { size, per_check_max: Some(size), ..PoolSettings::default() };
        let (answer_grace, clock) = (Duration::from_secs(2), SetClock::default());
        Self { roles: Roles::Both, probes, pool, answer_grace, clock, resolver: Resolver::system() }
    }

    pub async fn start(self) -> Local {
        let Self { roles, probes, pool, answer_grace, clock, resolver } = self;
        let mut settings = AgentSettings::new("b1".parse().unwrap(), "r1".parse().unwrap());
        settings.pools = CheckType::ALL.iter().map(|check_type| (*check_type, pool)).collect();
        settings.answer_grace = answer_grace;
        let (clock, bus) = (Arc::new(clock), Arc::<FaultyBus>::default());
        let heard = Arc::<Mutex<Heard>>::default();
        note(&bus, "watchpost.b1.result.*", Arc::clone(&heard), |heard, result| heard.results.push(result)).await;
        note(&bus, "watchpost.b1.verdict.*", Arc::clone(&heard), |heard, verdict| heard.verdicts.push(verdict)).await;
        let deps = Deps {
            bus: Arc::clone(&bus) as Arc<dyn Bus>,
            clock: Arc::clone(&clock) as Arc<dyn watchpost_agent::Clock>,
            finder: TargetFinder::standard(&resolver),
            resolver,
            probes,
            audit: AuditLog::off(),
            guard: Guard::local(),
        };
        Local { agent: Agent::start(settings, roles, deps).await.unwrap(), clock, bus, heard }
    }
}

async fn note<T: Message + 'static>(bus: &FaultyBus, filter: &str, heard: Arc<Mutex<Heard>>, keep: fn(&mut Heard, T)) {
    let mut messages = bus.subscribe(filter, None).await.unwrap();
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            // What says only that nobody listens has no payload.
            if let Ok(read) = decode(&message.payload, Format::MsgPack) {
                keep(&mut heard.lock().unwrap(), read);
            }
        }
    });
}

impl Local {
    /// Every result on the bus so far.
    pub fn results(&self) -> Vec<TaskResult> {
        self.heard.lock().unwrap().results.clone()
    }

    /// Every verdict on the bus so far.
    pub fn verdicts(&self) -> Vec<RunVerdict> {
        self.heard.lock().unwrap().verdicts.clone()
    }

    /// Waits until `number` results were heard.
    pub async fn until_results(&self, number: usize) -> Vec<TaskResult> {
        until(&format!("{number} results"), SOON, || Some(self.results()).filter(|all| all.len() >= number)).await
    }

    pub async fn status(&self) -> AgentStatus {
        self.agent.status().await.unwrap()
    }

    /// Gives the agent these checks in place of those it has.
    pub async fn configure(&self, checks: &[String]) {
        let checks = checks.iter().map(|json| check(json)).collect();
        self.agent.checker().unwrap().replace_checks(checks).await.unwrap();
    }

    /// Runs checks at once.
    pub async fn run(&self, checks: &[String], limit: Duration) -> tokio::sync::mpsc::Receiver<RunReport> {
        let items = checks.iter().map(|json| RunItem::Check(Box::new(check(json)))).collect();
        self.ask(RunRequest { items, limit, policy: GroupPolicy::CollectAll }).await
    }

    /// Asks for what is to be run at once.
    pub async fn ask(&self, request: RunRequest) -> tokio::sync::mpsc::Receiver<RunReport> {
        self.agent.checker().unwrap().run_now(request).await.unwrap()
    }

    /// Waits until `number` verdicts were heard.
    pub async fn until_verdicts(&self, number: usize) -> Vec<RunVerdict> {
        until(&format!("{number} verdicts"), SOON, || Some(self.verdicts()).filter(|all| all.len() >= number)).await
    }

    /// Waits until nothing is outstanding and every worker is home.
    pub async fn until_at_rest(&self) -> AgentStatus {
        let end = std::time::Instant::now() + SOON;
        loop {
            let status = self.status().await;
            let mut pools = status.pools.iter().flatten();
            let home = pools.all(|pool| pool.idle == pool.size && pool.waiting == 0);
            if home && status.checker.is_none_or(|checker| checker.outstanding == 0) {
                return status;
            }
            assert!(std::time::Instant::now() < end, "tasks that do not end: {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn check(json: &str) -> Check {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

/// Every outcome of a request.
pub async fn all(mut reports: tokio::sync::mpsc::Receiver<RunReport>) -> Vec<TaskResult> {
    let mut all = Vec::new();
    while let Some(report) = reports.recv().await {
        if let RunReport::Result(result) = report {
            all.push(*result);
        }
    }
    all
}

/// Lets `tcp` tasks through one by one.
pub struct Gate {
    pub started: AtomicUsize,
    pub permits: Semaphore,
}

impl Gate {
    pub fn open(&self, number: usize) {
        self.permits.add_permits(number);
    }

    pub fn started(&self) -> usize {
        self.started.load(SeqCst)
    }

    pub async fn until_started(&self, number: usize) {
        until(&format!("{number} tasks run"), SOON, || (self.started() >= number).then_some(())).await;
    }
}

/// Probes that wait at a gate. Then a task for 127.0.0.n passes where n is odd, and fails where it is even.
pub fn gated() -> (ProbeSet, Arc<Gate>) {
    let gate = Arc::new(Gate { started: AtomicUsize::new(0), permits: Semaphore::new(0) });
    let made = Arc::clone(&gate);
    let factory = Arc::new(move || Box::new(Gated(Arc::clone(&made))) as Box<dyn Probe>);
    (ProbeSet::default().with(CheckType::Tcp, factory), gate)
}

struct Gated(Arc<Gate>);

impl Probe for Gated {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            self.0.started.fetch_add(1, SeqCst);
            recorder.enter(Stage::FirstByte);
            self.0.permits.acquire().await.unwrap().forget();
            let odd = |ip: std::net::IpAddr| matches!(ip, std::net::IpAddr::V4(ip) if ip.octets()[3] % 2 == 1);
            if task.endpoint.address.is_none_or(|address| odd(address.ip())) {
                Verdict::pass()
            } else {
                Verdict::fail(Reason::new(ReasonCode::AssertionFailed, "its address is even"))
            }
        })
    }
}
