//! A pool whose size changes in the configuration while it works.

use std::time::Duration;

use serde_json::Value;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

use crate::rig::{apply, pool, told, until_health, write};
use crate::slow_server::SlowServer;

const CHECKS: usize = 60;

/// More than six workers can bear. Whoever finds a worker has the time that the target takes: a connection
/// that a timeout ends is seen by the target only after the next one has come.
fn config(target: &SlowServer, size: usize, checks: usize) -> String {
    let pools = format!("wait_for_worker: 1s\npools: {{http: {{size: {size}, per_check: 1}}}}\n");
    let mut yaml = format!("bastion: b1\n{pools}checks:\n");
    for i in 0..checks {
        let url = format!("http://127.0.0.1:{}/", target.port());
        yaml += &format!("- {{id: c{i}, http: {{url: '{url}'}}, interval: 2s, timeout: 2s}}\n");
    }
    if checks == 0 { yaml + "  []\n" } else { yaml }
}

/// Waits until the pool has this size, and looks all the while whether each worker is somewhere.
async fn until_sized(up: &Watchpost, size: usize) {
    let sized = |health: &Value| {
        let pool = pool(health, "http");
        let number = |key: &str| pool[key].as_u64().unwrap();
        assert_eq!(number("idle") + number("busy") + number("rebuilding"), number("size"), "{pool}");
        (number("size"), number("target")) == (size as u64, size as u64)
    };
    until_health(up, "the pool has its size", sized).await;
}

/// Waits until the target serves as many at once as there are workers, and no more.
async fn until_peak(up: &Watchpost, target: &SlowServer, size: usize) {
    // What was under way under the size before does not count.
    target.take_peak();
    let mut peak = 0;
    let mut looks = 0;
    until_health(up, "as many at once as there are workers", |health| {
        let pool = pool(health, "http");
        assert_eq!((&pool["size"], &pool["target"]), (&size.into(), &size.into()));
        peak = peak.max(target.take_peak());
        looks += 1;
        peak >= size && looks >= 50
    })
    .await;
    assert_eq!(peak, size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_2_a_pool_that_is_resized_under_load_loses_neither_worker_nor_task() {
    let target = SlowServer::start(Duration::from_millis(300)).await;
    let args = ["--console", "127.0.0.1:0", "-o", "ndjson"];
    let mut up = Launch::new("up").config(&config(&target, 2, CHECKS)).args(&args).start_ready().await;
    until_sized(&up, 2).await;
    until_peak(&up, &target, 2).await;
    apply(&up, &config(&target, 6, CHECKS)).await;
    until_sized(&up, 6).await;
    until_peak(&up, &target, 6).await;
    // Nobody sends a signal: the change of the file is enough.
    write(&up, &config(&target, 1, CHECKS));
    until_sized(&up, 1).await;
    until_peak(&up, &target, 1).await;
    write(&up, &config(&target, 1, 0));
    let at_rest = |health: &Value| health["checker"]["checks"] == 0 && health["checker"]["outstanding"] == 0;
    let health = until_health(&up, "every task has its outcome", at_rest).await;
    let resting = pool(&health, "http");
    assert_eq!((&resting["idle"], &resting["size"], &resting["target"]), (&1.into(), &1.into(), &1.into()));
    let counts = &health["counts"];
    assert_eq!((&counts["tasks_unreported"], &counts["panics"]), (&0.into(), &0.into()), "{health}");
    let runs = counts["runs"].as_u64().unwrap() as usize;
    until("every result is printed", SOON, || (up.results().len() >= runs).then_some(())).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());

    let results = up.results();
    assert_eq!(results.len(), runs);
    for result in results {
        // Those that found no worker in their second say so. None is lost, and none is cut off but by the last change.
        let outcomes = ["pass", "cancelled/no_free_worker", "cancelled/check_changed"];
        assert!(outcomes.contains(&told(&result).as_str()), "{result:#?}");
    }
}
