//! How late checks start: 100 000 of them, each due every 10 s, with a probe that does nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use watchpost_agent::{Roles, run_system};
use watchpost_bus::{InProcessBus, SharedBus};
use watchpost_model::{Check, CheckType, Task, Timestamp};
use watchpost_probe::{BoxFuture, Probe, Recorder, Verdict};

use crate::agents;
use crate::figures::{Figures, grouped, percentile, shown};
use crate::process::cpu;

const CHECKS: usize = 100_000;
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const WORKERS: usize = 64;
/// The checks are loaded by then, and what came due meanwhile is done.
const SETTLING: Duration = Duration::from_secs(4);

/// How late each check was taken off the schedule, in µs. Its task does not say when that was, but
/// the deadline is that moment and the timeout.
type FiredLate = Arc<Mutex<Vec<i64>>>;

struct NotingNoOp(FiredLate);

impl Probe for NotingNoOp {
    fn run<'a>(&'a mut self, task: &'a Task, _: &'a Recorder) -> BoxFuture<'a, Verdict> {
        self.0.lock().unwrap().push(us_between(task.scheduled_at, task.deadline) - TIMEOUT.as_micros() as i64);
        Box::pin(std::future::ready(Verdict::pass()))
    }
}

fn us_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.as_microsecond() - earlier.as_microsecond()
}

/// Measures for `window` in the steady state.
pub fn run(window: Duration, figures: &mut Figures) {
    let measured = run_system(measure(window)).expect("a runtime");
    let show = |values: &[i64], part| shown(Duration::from_micros(percentile(values, part).unsigned_abs()));
    let what = "100 000 checks every 10 s, no-op probe";
    let started = &measured.started_late_us;
    let p99 = percentile(started, 0.99);
    let rate = started.len() as f64 / window.as_secs_f64();
    figures.note(format!("{what}: results a second"), grouped(rate));
    figures.goal(format!("{what}: start after it was due, p99"), show(started, 0.99), "≤ 10 ms", p99 <= 10_000);
    let others = [0.5, 0.9, 0.999, 1.0].map(|part| show(started, part)).join(", ");
    figures.note(format!("{what}: the same, p50, p90, p99.9, most"), others);
    let fired = &measured.fired_late_us;
    let fired = [0.5, 0.99, 0.999, 1.0].map(|part| show(fired, part)).join(", ");
    figures.note(format!("{what}: taken off the schedule after it was due, p50, p99, p99.9, most"), fired);
    figures.note(format!("{what}: CPU"), format!("{:.0} % of one core", measured.cpu_part * 100.0));
}

struct Measured {
    started_late_us: Vec<i64>,
    fired_late_us: Vec<i64>,
    cpu_part: f64,
}

async fn measure(window: Duration) -> Measured {
    let bus: SharedBus = Arc::new(InProcessBus::new());
    let fired = FiredLate::default();
    let for_probes = Arc::clone(&fired);
    let probes =
        agents::no_op_probes().with(CheckType::Tcp, Arc::new(move || Box::new(NotingNoOp(Arc::clone(&for_probes)))));
    let agent = agents::start(Roles::Both, &bus, probes, WORKERS).await;
    let changed = agent.checker().expect("it has a Checker").replace_checks(checks()).await.expect("it is there");
    assert_eq!(changed.added, CHECKS);
    tokio::time::sleep(SETTLING).await;

    let mut results = agents::subscribe_to_results(&bus).await;
    fired.lock().unwrap().clear();
    let before = cpu::of_self();
    let mut payloads: Vec<Bytes> = Vec::new();
    let collect = async {
        while let Some(result) = results.next().await {
            payloads.push(result.payload);
        }
    };
    let ended = tokio::time::timeout(window, collect).await;
    assert!(ended.is_err(), "the bus lasts");
    let cpu_part = (cpu::of_self() - before).as_secs_f64() / window.as_secs_f64();
    let mut fired_late_us = std::mem::take(&mut *fired.lock().unwrap());
    let counts = agent.status().await.expect("it is there").counts;
    agents::stop(agent).await;

    // Read only now, so that reading does not disturb what is measured.
    let mut started_late_us: Vec<i64> = payloads.iter().map(|payload| started_late(payload)).collect();
    let expected = CHECKS as f64 * window.as_secs_f64() / INTERVAL.as_secs_f64();
    assert!(started_late_us.len() as f64 > expected * 0.95, "{} results: {counts:?}", started_late_us.len());
    started_late_us.sort_unstable();
    fired_late_us.sort_unstable();
    Measured { started_late_us, fired_late_us, cpu_part }
}

fn started_late(payload: &[u8]) -> i64 {
    let result = agents::read(payload);
    let started = result.started_at.unwrap_or_else(|| panic!("a check was not started: {result:?}"));
    us_between(result.scheduled_at, started)
}

fn checks() -> Vec<Check> {
    let check = |i: usize| {
        agents::check(&format!(
            r#"{{"id": "check-{i}", "tcp": {{"address": "127.0.0.1:1"}}, "interval": "{INTERVAL:?}", "timeout": "{TIMEOUT:?}"}}"#
        ))
    };
    (0..CHECKS).map(check).collect()
}
