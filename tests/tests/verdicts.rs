//! Verdicts over whole runs on their way from the bus to stdout.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use watchpost_model::{Format, RunVerdict, encode};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

fn verdict(check: &str, passed: u32) -> RunVerdict {
    let outcome = if passed >= 2 { "pass" } else { "fail" };
    let json = format!(
        r#"{{"v": 1, "run": "a291e387-34c7-5f65-bf6b-174d502d93c9", "check": "{check}", "bastion": "b1",
            "scheduled_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:01Z", "outcome": "{outcome}",
            "verdict": {{"quorum": 2}}, "of": "checks", "needed": 2, "total": 3, "passed": {passed},
            "failed": {}, "undecided": 0}}"#,
        3 - passed
    );
    serde_json::from_str(&json).unwrap()
}

async fn start(nats: &NatsServer, args: &[&str]) -> Watchpost {
    let url = nats.url();
    let args = [&["--console", "off", "--bus", &url], args].concat();
    Launch::new("up").config("bastion: b1\nchecks: []\n").args(&args).start_ready().await
}

/// Publishes verdicts, and what is none.
async fn publish(nats: &NatsServer, verdicts: &[RunVerdict]) {
    let client = async_nats::connect(nats.url()).await.unwrap();
    client.publish("watchpost.b1.verdict.shop", "nonsense".into()).await.unwrap();
    client.publish("watchpost.b2.verdict.shop", encode(&verdict("other", 3), Format::Json).into()).await.unwrap();
    for (verdict, format) in verdicts.iter().zip([Format::MsgPack, Format::Json].into_iter().cycle()) {
        let subject = format!("watchpost.b1.verdict.{}", verdict.check);
        client.publish(subject, encode(verdict, format).into()).await.unwrap();
    }
    client.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_prints_each_verdict_and_counts_none_as_a_result() {
    let nats = NatsServer::start();
    let mut up = start(&nats, &["-o", "ndjson"]).await;
    let sent = [verdict("shop", 1), verdict("shop", 3)];
    publish(&nats, &sent).await;
    until("both verdicts", SOON, || (up.verdicts().len() >= 2).then_some(())).await;
    assert_eq!(up.verdicts(), sent);
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
    assert_eq!(up.logged("no results").len(), 1, "{}", up.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_tell_how_many_passed_and_quiet_leaves_out_what_is_well() {
    let nats = NatsServer::start();
    let mut up = start(&nats, &["--quiet"]).await;
    publish(&nats, &[verdict("shop", 2), verdict("shop", 1)]).await;
    until("the row", SOON, || up.stdout().contains("1 of 3").then_some(())).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
    let printed = up.stdout();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let columns: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(columns[1..].join(" "), "FAIL shop 1 of 3 checks passed, 2 needed");
}
