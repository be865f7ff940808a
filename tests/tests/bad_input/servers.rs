//! Servers that never close, lie about lengths, or send bombs, through the whole path.

use std::collections::HashMap;

use watchpost_model::TaskResult;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, until};

/// What a server does, and what must be told of it.
const SERVERS: [(&str, &str); 12] = [
    ("ok", "pass"),
    ("hang", "timeout/first_byte_timeout"),
    ("hang-body", "timeout/receive_timeout"),
    ("endless?ms=20", "timeout/receive_timeout"),
    ("endless", "pass"),
    ("gzip-bomb", "pass"),
    ("large?bytes=20000000", "pass"),
    ("bad-gzip", "error/protocol_error"),
    ("short", "error/connection_closed"),
    ("short-chunks", "error/connection_closed"),
    ("garbage", "error/protocol_error"),
    ("reset-body", "error/connection_reset"),
];
/// How many checks there are of each.
const OF_EACH: usize = 6;
/// Far below what a bomb or an endless body would need, and far above what the checks do.
const RESIDENT_KIB_MAX: u64 = 300 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_servers_get_their_outcome_and_bounded_memory() {
    let nats = NatsServer::start();
    let observer = Observer::start(&nats.url()).await;
    let server = HttpFixture::start("target").await.unwrap();
    let mut yaml = String::from("bastion: b1\npools: {http: {size: 100}}\nchecks:\n");
    for (kind, (path, _)) in SERVERS.iter().enumerate() {
        for i in 0..OF_EACH {
            let url = format!("http://{}/{path}", server.address());
            yaml += &format!("- {{id: k{kind}-{i}, http: {{url: '{url}'}}, interval: 6s, timeout: 5s}}\n");
        }
    }
    let args = ["--bus", &nats.url(), "--grace", "60s"];
    let mut bastion = Launch::new("bastion").config(&yaml).args(&args).start_ready().await;
    let mut resident_kib = 0;
    until("two rounds of all", SOON * 2, || {
        resident_kib = resident_kib.max(bastion.resident_kib());
        (observer.results().len() >= 2 * SERVERS.len() * OF_EACH).then_some(())
    })
    .await;
    assert!(resident_kib < RESIDENT_KIB_MAX, "{resident_kib} KiB");
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
    observer.catch_up().await;
    assert!(observer.assert_at_most_one_result_each().is_empty());

    let mut kinds = HashMap::<usize, usize>::new();
    for result in observer.results() {
        let kind: usize = result.check.as_str()[1..].split_once('-').unwrap().0.parse().unwrap();
        let (path, expected) = SERVERS[kind];
        assert_eq!(told(&result), expected, "{path}: {result:#?}");
        *kinds.entry(kind).or_default() += 1;
    }
    assert_eq!(kinds.len(), SERVERS.len());
    assert!(server.bytes_sent() > 0);
}

fn told(result: &TaskResult) -> String {
    match &result.reason {
        None => result.outcome.to_string(),
        Some(reason) => format!("{}/{}", result.outcome, reason.code),
    }
}
