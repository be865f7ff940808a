//! Probes that panic under load: each panic is its own task's outcome, and the pool is whole again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use watchpost_model::{CheckType, Task, TaskResult};
use watchpost_probe::{BoxFuture, Probe, ProbeSet, Recorder, Verdict};
use watchpost_tests::process::SOON;

use crate::local::{Setup, all, in_system};
use crate::rig::told;

const WORKERS: usize = 6;
const TASKS: usize = 600;
/// One of so many panics.
const PANICS_EACH: usize = 5;

/// Takes a ms; panics for each task whose number says so.
struct Fragile;

impl Probe for Fragile {
    fn run<'a>(&'a mut self, task: &'a Task, _: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let number: usize = task.check.as_str()[1..].parse().unwrap();
            assert!(!number.is_multiple_of(PANICS_EACH), "task {number} was fated to panic");
            Verdict::pass()
        })
    }
}

#[test]
fn guarantee_2_panics_under_load_cost_no_worker_and_no_other_task() {
    in_system(async {
        let probes = ProbeSet::default().with(CheckType::Tcp, Arc::new(|| Box::new(Fragile) as Box<dyn Probe>));
        let local = Setup::new(probes, WORKERS).start().await;
        let check = |n| format!(r#"{{"id": "c{n}", "tcp": {{"address": "127.0.0.1:9"}}, "interval": "5m"}}"#);
        let checks: Vec<String> = (0..TASKS).map(check).collect();
        let results = tokio::spawn(all(local.run(&checks, SOON).await));
        let (end, mut rebuilding) = (Instant::now() + SOON, 0);
        while !results.is_finished() {
            let pools = local.status().await.pools.unwrap();
            assert_eq!((pools[0].size, pools[0].target), (WORKERS, WORKERS));
            assert_eq!(pools[0].idle + pools[0].busy + pools[0].rebuilding, WORKERS, "{pools:?}");
            rebuilding = rebuilding.max(pools[0].rebuilding);
            assert!(Instant::now() < end, "tasks that do not end: {pools:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let results = results.await.unwrap();
        let count = |as_told: &str| results.iter().filter(|result: &&TaskResult| told(result) == as_told).count();
        assert_eq!((results.len(), count("error/panicked")), (TASKS, TASKS / PANICS_EACH));
        assert_eq!(count("pass"), TASKS - TASKS / PANICS_EACH);
        assert!(rebuilding > 0, "no worker was seen to be built anew, so none was waited for");
        let status = local.until_at_rest().await;
        assert_eq!(status.pools.unwrap()[0].idle, WORKERS);
        assert_eq!((status.counts.panics, status.counts.tasks_unreported), ((TASKS / PANICS_EACH) as u64, 0));
        assert_eq!(status.counts.actors_rebuilt, 0);
    });
}
