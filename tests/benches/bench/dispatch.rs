//! What it costs to get a task to a worker and its result back, with a probe that does nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use watchpost_agent::{Agent, PoolStatus, Roles, run_system};
use watchpost_bus::{InProcessBus, NatsBus, NatsOptions, Outgoing, SharedBus};
use watchpost_model::CheckType;
use watchpost_tests::nats_server::NatsServer;

use crate::agents::{self, no_op_check, no_op_probes};
use crate::figures::{Figures, grouped, median, shown};
use crate::process::cpu;

/// How many workers there are.
const WORKERS: usize = 100;
/// How many tasks go one after the other.
const ONE_BY_ONE: usize = 1_000;

/// How many tasks wait for one worker.
const WAITING: [usize; 3] = [10, 1_000, 100_000];
/// How many tasks are published before it is waited for that they have arrived: the bus holds 65 536.
const AT_A_TIME: usize = 20_000;

/// One load: wall and processor time for each task.
struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// Measures each way `rounds` times with `tasks` tasks.
pub fn run(rounds: usize, tasks: usize, figures: &mut Figures) {
    let nats = NatsServer::start();
    let mut costs: [(&str, Vec<Cost>); 3] = [
        ("bus → Runner → bus, in process", Vec::new()),
        ("Checker → bus → Runner → Checker, in process", Vec::new()),
        ("the same over NATS, without nats-server's CPU", Vec::new()),
    ];
    for _ in 0..rounds {
        costs[0].1.push(run_system(runner(tasks)).expect("a runtime"));
        costs[1].1.push(run_system(both(in_process(), tasks)).expect("a runtime"));
        costs[2].1.push(run_system(async { both(over_nats(&nats).await, tasks).await }).expect("a runtime"));
    }
    for (name, costs) in &costs {
        let wall = median(costs.iter().map(|cost| cost.wall.as_secs_f64()));
        let cpu = median(costs.iter().map(|cost| cost.cpu.as_secs_f64()));
        let value = format!("{:.1} µs CPU, {}/s", cpu * 1e6, grouped(1.0 / wall));
        figures.note(format!("dispatch of a no-op task, {name}"), value);
    }
    for waiting in WAITING {
        // Few tasks are measured often.
        let times = (tasks / waiting).clamp(3, 200);
        let walls = (0..times).map(|_| run_system(with_waiting(waiting)).expect("a runtime").as_secs_f64());
        let name = format!("dispatch through the actors, one worker, {} waiting", grouped(waiting as f64));
        figures.note(name, format!("{:.1} µs a task", median(walls) * 1e6));
    }
    let alone = run_system(one_by_one()).expect("a runtime");
    figures.note("one no-op check at a time, in process, from asking to its result", shown(alone));
}

fn in_process() -> SharedBus {
    Arc::new(InProcessBus::new())
}

async fn over_nats(nats: &NatsServer) -> SharedBus {
    Arc::new(NatsBus::connect(NatsOptions::new([nats.url()])).await.expect("the bus"))
}

async fn runner(count: usize) -> Cost {
    let bus = in_process();
    let agent = agents::start(Roles::Runner, &bus, no_op_probes(), WORKERS).await;
    let mut results = agents::subscribe_to_results(&bus).await;
    let tasks = agents::tasks(&no_op_check(), count);
    let before = cpu::of_self();
    let wall = agents::run_tasks(&bus, &mut results, tasks).await;
    let cost = Cost::each(wall, cpu::of_self() - before, count);
    agents::stop(agent).await;
    cost
}

async fn both(bus: SharedBus, count: usize) -> Cost {
    let agent = agents::start(Roles::Both, &bus, no_op_probes(), WORKERS).await;
    let before = cpu::of_self();
    let wall = agents::run_now(&agent, &no_op_check(), count).await;
    let cost = Cost::each(wall, cpu::of_self() - before, count);
    agents::stop(agent).await;
    cost
}

/// The time for each of `waiting` tasks, from the moment at which all of them wait for the only worker.
async fn with_waiting(waiting: usize) -> Duration {
    let (bus, gate) = (in_process(), Arc::new(Semaphore::new(0)));
    let agent = agents::start(Roles::Runner, &bus, agents::gated_probes(&gate), 1).await;
    let mut results = agents::subscribe_to_results(&bus).await;
    publish(&bus, &agent, agents::tasks(&agents::gated_check(), 1), |pool| pool.busy == 1).await;
    let mut sent = 0;
    let mut tasks = agents::tasks(&no_op_check(), waiting);
    while !tasks.is_empty() {
        let rest = tasks.split_off(tasks.len().min(AT_A_TIME));
        sent += tasks.len();
        publish(&bus, &agent, std::mem::replace(&mut tasks, rest), |pool| pool.waiting == sent).await;
    }
    let begun = Instant::now();
    gate.add_permits(1);
    for _ in 0..=waiting {
        results.next().await.expect("a result");
    }
    let each = begun.elapsed().div_f64(waiting as f64);
    agents::stop(agent).await;
    each
}

/// Publishes tasks and waits until the pool has them.
async fn publish(bus: &SharedBus, agent: &Agent, tasks: Vec<Outgoing>, there: impl Fn(&PoolStatus) -> bool) {
    for task in tasks {
        bus.publish(task).await.expect("the bus takes it");
    }
    let end = Instant::now() + agents::LOAD_LIMIT;
    loop {
        let pools = agent.status().await.expect("the agent lives").pools.expect("it has a Runner");
        if pools.iter().any(|pool| pool.check_type == CheckType::Tcp && there(pool)) {
            return;
        }
        assert!(Instant::now() < end, "the tasks do not arrive: {pools:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The median of tasks that each have the agent to themselves.
async fn one_by_one() -> Duration {
    let bus = in_process();
    let agent = agents::start(Roles::Both, &bus, no_op_probes(), WORKERS).await;
    let mut times = Vec::with_capacity(ONE_BY_ONE);
    for _ in 0..ONE_BY_ONE {
        let begun = Instant::now();
        agents::run_now(&agent, &no_op_check(), 1).await;
        times.push(begun.elapsed().as_secs_f64());
    }
    agents::stop(agent).await;
    Duration::from_secs_f64(median(times))
}

impl Cost {
    fn each(wall: Duration, cpu: Duration, count: usize) -> Self {
        let count = u32::try_from(count).expect("a few thousand");
        Self { wall: wall / count, cpu: cpu / count }
    }
}
