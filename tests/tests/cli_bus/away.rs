//! A bus that is away for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use watchpost_tests::process::{Launch, SOON, until};

use crate::rig::Rig;

/// A server that was made anew brings no bucket and no stream, but this one keeps its data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_5_checks_go_on_while_the_bus_is_away_and_their_results_arrive_once() {
    let mut rig = Rig::set_up().await;
    let state = rig.folder().join("state").display().to_string();
    let launch =
        |url: &str| Launch::new("bastion").config("bastion: b1\n").args(&["--bus", url, "--state-dir", &state]);
    let mut bastion = launch(&rig.nats.url()).start_ready().await;
    rig.write("checks.yaml", &rig.http("web", "ok", "interval: 1s\ntimeout: 1s"));
    rig.run(&["checks", "apply", "-f", "checks.yaml", "-g", "b1"]).await.code(0);
    let history = ["checks", "history", "web", "-o", "ndjson", "-n", "1000"];
    rig.until(&history, |ran| (ran.lines().len() >= 2).then_some(())).await;

    // The bus goes while the bastion runs; then the bastion is started again without it.
    rig.nats.stop();
    checked_again(&rig).await;
    assert_eq!(bastion.stop().await, 3, "what waits for the bus cannot be sent: {}", bastion.stderr());
    let bastion = launch(&rig.nats.url()).start_ready().await;
    let away_since = started_at(&bastion.until_logged("checks loaded").await);
    checked_again(&rig).await;

    rig.nats.restart_on_same_port();
    bastion.until_logged("connected to the bus").await;
    let while_away = |result: &&Value| result["scheduled_at"].as_str().unwrap() > away_since.as_str();
    let arrived = rig
        .until(&history, |ran| {
            let lines = ran.lines();
            (lines.iter().filter(while_away).count() >= 5).then_some(lines)
        })
        .await;
    let mut tasks = BTreeSet::new();
    for result in &arrived {
        assert!(tasks.insert(result["task"].to_string()), "twice: {result}");
        assert_eq!(result["outcome"], "pass", "{result}\n{}", bastion.stderr());
    }
    assert!(arrived.is_sorted_by_key(|result| result["scheduled_at"].to_string()), "{arrived:#?}");
}

fn started_at(line: &Value) -> String {
    line["timestamp"].as_str().unwrap().to_owned()
}

/// Waits until the target has been asked some times more.
async fn checked_again(rig: &Rig) {
    let before = rig.target.counts().accepted();
    let asked = || (rig.target.counts().accepted() >= before + 3).then_some(());
    until("the target is asked three times more", SOON + Duration::from_secs(5), asked).await;
}
