//! O1, O4: a worker comes home whatever becomes of its task, and a panic is that task's outcome alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use watchpost_agent::{GroupPolicy, RunItem, RunRequest};
use watchpost_model::{CheckType, Outcome, ProbeSettings, Reason, ReasonCode, Task};
use watchpost_probe::{BoxFuture, Probe, ProbeFactory, ProbeSet, Recorder, Stage, Verdict};

use crate::agent;

const WORKERS: usize = 4;
/// How often every fate is met.
const ROUNDS: usize = 8;
const LIMIT: Duration = Duration::from_secs(2);

/// Does what the path of its task's URL says.
struct Fated;

impl Probe for Fated {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let ProbeSettings::Http(http) = &*task.probe else { panic!("not an http task") };
            let reason = || Reason::new(ReasonCode::AssertionFailed, "as it was fated");
            match http.url.as_str().rsplit_once('/').unwrap().1 {
                "fail" => Verdict::fail(reason()),
                "error" => Verdict::error(reason()),
                "hang" => {
                    recorder.enter(Stage::FirstByte);
                    std::future::pending().await
                }
                "panic" => panic!("task of {} was fated to panic", task.check),
                "panic-late" => {
                    tokio::task::yield_now().await;
                    std::panic::panic_any(17_u8)
                }
                _ => Verdict::pass(),
            }
        })
    }
}

/// The probes, and how many were made so far.
fn fated() -> (ProbeSet, Arc<AtomicUsize>) {
    let made = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&made);
    let factory: ProbeFactory = Arc::new(move || {
        counting.fetch_add(1, SeqCst);
        Box::new(Fated)
    });
    (agent::probes().with(CheckType::Http, factory), made)
}

fn items(fates: &[&str]) -> Vec<RunItem> {
    let item = |(i, fate): (usize, &&str)| agent::http(&format!("c{i}"), &format!("http://a/{fate}"));
    fates.iter().enumerate().map(item).collect()
}

#[test]
fn o1_a_panic_is_the_outcome_of_its_check_alone() {
    agent::in_system(async {
        let (probes, made) = fated();
        let agent = agent::start(probes, WORKERS, 100).await;
        let fates: Vec<&str> = ["pass", "panic", "pass", "panic-late", "fail"].repeat(8);
        let results = agent::run(&agent, items(&fates), LIMIT, GroupPolicy::CollectAll).await;
        assert_eq!(results.len(), fates.len());
        for result in &results {
            let number: usize = result.check.as_str()[1..].parse().unwrap();
            let expected = match fates[number] {
                "pass" => "pass",
                "fail" => "fail/assertion_failed",
                _ => "error/panicked",
            };
            assert_eq!(agent::told(result), expected, "{result:#?}");
            let message = result.reason.as_ref().map_or("", |reason| &reason.message);
            match fates[number] {
                "panic" => assert!(message.contains(&format!("task of c{number} was fated to panic")), "{message}"),
                "panic-late" => assert!(message.contains("(no message)"), "{message}"),
                _ => {}
            }
        }
        let status = agent::assert_all_settled(&agent, WORKERS).await;
        assert_eq!((status.counts.panics, status.counts.tasks_unreported), (16, 0));
        // Each worker that saw a panic got a new probe, and no worker was added.
        assert_eq!(made.load(SeqCst), WORKERS + 16);
    });
}

#[test]
fn o4_every_fate_brings_the_worker_home() {
    agent::in_system(async {
        let (probes, _) = fated();
        let agent = agent::start(probes, WORKERS, 100).await;
        let mut seen = HashMap::<Outcome, usize>::new();
        for round in 0..ROUNDS as u64 {
            let fates: Vec<&str> = ["pass", "fail", "error", "panic"].repeat(3);
            let mut results = agent::run(&agent, items(&fates), LIMIT, GroupPolicy::CollectAll).await;
            let time_out = agent::run(&agent, items(&["hang"; WORKERS]), LIMIT / 2, GroupPolicy::CollectAll).await;
            assert!(time_out.iter().all(|result| result.outcome == Outcome::Timeout), "{time_out:#?}");
            results.extend(time_out);
            // One fails, so those that hang and those that wait are cancelled.
            let fail_fast = ["hang", "hang", "fail", "hang", "hang", "hang", "hang"];
            let fast = agent::run(&agent, items(&fail_fast), LIMIT, GroupPolicy::FailFast).await;
            let cancelled = fast.iter().filter(|r| agent::told(r) == "cancelled/group_failed").count();
            assert_eq!((fast.len(), cancelled), (fail_fast.len(), fail_fast.len() - 1), "{fast:#?}");
            results.extend(fast);
            // Whoever asked goes away, and nothing goes on for nobody.
            let request =
                RunRequest { items: items(&["hang"; 9]), limit: LIMIT * 100, policy: GroupPolicy::CollectAll };
            drop(agent.checker().unwrap().run_now(request).await.unwrap());
            let status = agent::assert_all_settled(&agent, WORKERS).await;
            assert_eq!(status.counts.outcomes.iter().sum::<u64>(), (round + 1) * (12 + 4 + 7 + 9), "{status:?}");
            for result in results {
                *seen.entry(result.outcome).or_default() += 1;
            }
        }
        let count = |outcome| seen.get(&outcome).copied().unwrap_or_default();
        assert_eq!(count(Outcome::Pass), ROUNDS * 3);
        assert_eq!(count(Outcome::Fail), ROUNDS * (3 + 1));
        assert_eq!(count(Outcome::Error), ROUNDS * 6);
        assert_eq!(count(Outcome::Timeout), ROUNDS * WORKERS);
        assert_eq!(count(Outcome::Cancelled), ROUNDS * 6);
        let status = agent.status().await.unwrap();
        assert_eq!(status.counts.tasks_unreported, 0);
    });
}
