//! A bus that is away, a server that forgot, and a bucket that somebody deleted.

use std::time::Duration;

use serde_json::Value;
use watchpost_bus::{Bus, Outgoing, request};
use watchpost_model::{CheckEventKind, Outcome};
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

use crate::rig::{BUCKET, FOLLOWED, LIMITS, NOT_FOLLOWED, Rig};

async fn until_running(url: &str, checks: &[&str]) {
    let observer = Observer::of_results(url).await;
    until("each check passes again and again", SOON, || {
        let results = observer.results();
        let passed = |check: &str| {
            results.iter().filter(|result| result.check.as_str() == check && result.outcome == Outcome::Pass).count()
        };
        checks.iter().all(|check| passed(check) > 1).then_some(())
    })
    .await;
}

/// Waits for a line with this message that says this much.
async fn until_told(bastion: &Watchpost, message: &str, part: &str) -> Value {
    let says = |line: &Value| line.to_string().contains(part);
    until(&format!("`{message}` with `{part}`"), SOON, || bastion.logged(message).into_iter().find(says)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bastion_begins_without_the_bus_and_runs_what_it_has_on_disk() {
    let mut rig = Rig::start().await;
    let mut events = rig.events().await;
    let mut bastion = rig.bastion("", &[]).await;
    rig.put("site.a", rig.check("a")).await;
    rig.put("site.b", rig.check("b")).await;
    events.until(CheckEventKind::CheckApplied, "b").await;
    rig.put("site.b", "{").await;
    events.until(CheckEventKind::CheckRefused, "b").await;
    assert_eq!(bastion.stop().await, 0);

    rig.server.stop();
    let bastion = rig.launch("", &[]).start_ready().await;
    let begun = bastion.until_logged("beginning without the bus, with the checks that are on disk").await;
    assert_eq!(begun["stored"], 2, "{begun}");
    let loaded = bastion.until_logged("checks loaded").await;
    assert_eq!(loaded["stored"], 2, "{loaded}");
    // They run all the same (`guarantee_5_*` says what becomes of their results).
    rig.server.restart_on_same_port();
    bastion.until_logged("connected to the bus").await;
    until_running(&rig.server.url(), &["a", "b"]).await;
    bastion.until_logged(FOLLOWED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_on_disk_a_bus_that_cannot_be_reached_is_still_the_end() {
    let mut rig = Rig::start_without_bucket().await;
    rig.server.stop();
    let mut bastion = rig.launch("", &[]).start();
    assert_eq!(bastion.ended(SOON).await, 4, "{}", bastion.stderr());
    // A runner alone has nothing to run either.
    let url = rig.server.url();
    let mut runner = Launch::new("runner").args(&["--bus", &url, "--bastion", "site"]).start();
    assert_eq!(runner.ended(SOON).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_with_its_data_or_without_takes_no_check_with_it() {
    let mut rig = Rig::start().await;
    let mut events = rig.events().await;
    let bastion = rig.bastion("", &[]).await;
    rig.put("site.a", rig.check("a")).await;
    rig.put("site.b", rig.check("b")).await;
    events.until(CheckEventKind::CheckApplied, "b").await;
    rig.server.restart_on_same_port();
    until("it follows again", SOON, || (bastion.logged(FOLLOWED).len() > 1).then_some(())).await;
    until_running(&rig.server.url(), &["a", "b"]).await;
    assert!(bastion.logged("the store has lost checks that run").is_empty());

    rig.server.stop();
    std::fs::remove_dir_all(rig.server.folder().join("jetstream")).unwrap();
    rig.server.restart_on_same_port();
    until_told(&bastion, NOT_FOLLOWED, "there is no bucket").await;
    until_running(&rig.server.url(), &["a", "b"]).await;

    // Somebody makes the bucket anew, and puts back one of them, and deletes the other.
    until("the other connection is there again", SOON, || rig.bus.is_connected().then_some(())).await;
    let mut events = rig.events().await;
    rig.kv.ensure(LIMITS).await.unwrap();
    bastion.until_logged("the store has lost checks that run").await;
    until_running(&rig.server.url(), &["a", "b"]).await;
    let revision = rig.put("site.a", rig.check("a")).await;
    assert_eq!(events.until(CheckEventKind::CheckApplied, "a").await.revision, Some(revision));
    rig.kv.delete("site.b", None).await.unwrap();
    events.until(CheckEventKind::CheckRemoved, "b").await;
    until("all is well", SOON, || (bastion.logged(FOLLOWED).len() > 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_deleted_is_told_and_nothing_stops() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let bastion = rig.bastion("", &[]).await;
    rig.put("site.a", rig.check("a")).await;
    events.until(CheckEventKind::CheckApplied, "a").await;
    let delete = Outgoing::new(format!("$JS.API.STREAM.DELETE.KV_{BUCKET}"), "");
    request(&rig.bus, delete, Duration::from_secs(10)).await.unwrap();
    events.until(CheckEventKind::CheckOrphaned, "a").await;
    until_told(&bastion, NOT_FOLLOWED, "there is no bucket").await;
    until_running(&rig.server.url(), &["a"]).await;
    assert!(bastion.logged("checks changed").len() <= 1, "nothing but the put changed anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_at_any_time_begins_with_a_whole_set() {
    let mut rig = Rig::start().await;
    let mut events = rig.events().await;
    for round in 0..6 {
        let mut bastion = rig.bastion("", &[]).await;
        let mut last = 0;
        for n in 0..40 {
            last = rig.put(&format!("site.c{n}"), rig.check_every(&format!("c{n}"), &format!("{}s", 60 + round))).await;
        }
        while events.until(CheckEventKind::CheckApplied, "c39").await.revision != Some(last) {}
        // In some rounds in the midst of writing, in others before it.
        tokio::time::sleep(Duration::from_millis(round * 250)).await;
        bastion.signal("KILL");
        bastion.ended(SOON).await;
    }
    rig.server.stop();
    let state = rig.state().join("site.checks");
    assert!(state.exists() && !rig.state().join("site.checks.damaged").exists());
    let bastion = rig.launch("", &[]).start_ready().await;
    assert_eq!(bastion.until_logged("checks loaded").await["stored"], 40);
}
