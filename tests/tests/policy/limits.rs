//! How much the policy lets checks do at a time.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use watchpost_model::{Outcome, TaskResult};
use watchpost_tests::process::{Launch, SOON};
use watchpost_tests::tcp_fixture::{Behaviour, Server};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CHECKS: usize = 12;

/// The results of as many `checks` at once, of which `check` says what each does.
async fn results(limits: &str, timeout: &str, check: impl Fn(usize) -> String) -> Vec<TaskResult> {
    let policy = format!("special: {{loopback: allow}}\ndefault: allow\nlimits: {limits}\n");
    let mut config = String::from("checks:\n");
    for n in 0..CHECKS {
        config += &format!("- {{id: c{n}, timeout: {timeout}, {}}}\n", check(n));
    }
    let args = ["-o", "ndjson", "--timeout", timeout];
    let mut check = Launch::new("check").policy(&policy).config(&config).args(&args).start();
    let code = check.ended(SOON * 2).await;
    assert!(matches!(code, 0 | 1), "{code}: {}", check.stderr());
    let results = check.results();
    assert_eq!(results.len(), CHECKS);
    results
}

/// How many passed. All others must be refused for want of `told`, which says nothing about their targets.
fn passed(results: &[TaskResult], told: &str) -> usize {
    let (passed, others): (Vec<_>, Vec<_>) = results.iter().partition(|result| result.outcome == Outcome::Pass);
    for result in others {
        let reason = result.reason.clone().unwrap();
        assert_eq!((result.outcome, reason.code.as_str()), (Outcome::Cancelled, "policy_denied"), "{result:#?}");
        assert!(reason.message.contains(told), "{}", reason.message);
    }
    passed.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_are_made_than_the_overall_rate_permits() {
    let server = Behaviour::Silent.start(LOCAL).await.unwrap();
    let port = server.port();
    let results = results("{overall: 5/h}", "2s", |_| format!("tcp: {{address: '127.0.0.1:{port}'}}")).await;
    assert_eq!(passed(&results, "`limits.overall` of the policy permits 5/h"), 5);
    assert_eq!(server.counts().accepted(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_endpoint_has_a_rate_of_its_own_by_whatever_name() {
    let server = Behaviour::Silent.start_everywhere().await.unwrap();
    let port = server.port();
    // Three forms of one address, and another address.
    let forms = ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "127.0.0.2"];
    let results = results("{per_endpoint: 2/h}", "2s", |n| {
        format!("websocket: {{url: 'ws://{}:{port}/'}}", forms[n % forms.len()])
    })
    .await;
    let refused = results.iter().filter(|result| {
        result
            .reason
            .as_ref()
            .is_some_and(|reason| reason.message.contains("`limits.per_endpoint` of the policy permits 2/h"))
    });
    assert_eq!(refused.count(), CHECKS - 4, "{results:#?}");
    // A mapped address is none that this server listens at, and counts all the same.
    assert!(server.counts().accepted() <= 4, "{}", server.counts().accepted());
}

/// Each echo request is a datagram, and not only the first of a check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_echo_request_counts_for_the_rates() {
    let check = |n| format!("icmp: {{host: 127.0.0.{}, count: 4, interval: 10ms, max_loss: 0}}", n + 1);
    let results_of = async |limits: &str| results(limits, "2s", check).await;
    assert_eq!(passed(&results_of("{per_endpoint: 4/h}").await, "nothing"), CHECKS);
    assert_eq!(passed(&results_of("{per_endpoint: 3/h}").await, "`limits.per_endpoint` of the policy permits 3/h"), 0);
    // Whoever can wait for the next one does, and loses nothing.
    let slow = results("{per_endpoint: 10/s}", "30s", |n| {
        format!("icmp: {{host: 127.0.0.{}, count: 12, interval: 10ms, max_loss: 0}}", n + 1)
    });
    for result in slow.await {
        assert_eq!(result.outcome, Outcome::Pass, "{result:#?}");
        let took = result.finished_at.duration_since(result.started_at.unwrap());
        assert!(took.as_millis() >= 190, "12 at 10/s, 10 of them at once: {took:?}");
    }
}

/// A rate that is not used up for long lets everybody through in turn, and nobody's latency has the wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_can_wait_for_a_rate_does_and_the_target_is_not_blamed() {
    let server = Behaviour::Silent.start(LOCAL).await.unwrap();
    let port = server.port();
    let check = |_| format!("tcp: {{address: '127.0.0.1:{port}'}}, expect: {{max_latency: 500ms}}");
    let results = results("{overall: 6/s}", "30s", check).await;
    assert_eq!(passed(&results, "nothing"), CHECKS);
    let took = results.iter().map(|result| (result.finished_at, result.started_at));
    let longest = took.map(|(finished, started)| finished.duration_since(started.unwrap())).max().unwrap();
    assert!(longest.as_millis() > 500, "nobody has waited: {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_checks_are_under_way_than_the_policy_permits() {
    let slow = Server::start(LOCAL, |mut stream| async move {
        // Whoever asks is answered after a while.
        stream.read_u8().await.ok();
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    let slow = slow.await.unwrap();
    let port = slow.port();
    let check = |_| format!("tcp: {{address: '127.0.0.1:{port}', send: x, expect: '^$'}}");
    let results = results("{concurrency: 3}", "30s", check).await;
    assert!(results.iter().all(|result| result.outcome != Outcome::Timeout), "{results:#?}");
    assert_eq!((slow.counts().accepted(), slow.counts().peak()), (CHECKS, 3));
}

/// Whose turn it never is has not spoken to its target.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_in_vain_for_its_turn_is_cancelled() {
    let silent = Behaviour::Silent.start(LOCAL).await.unwrap();
    let port = silent.port();
    let check = |_| format!("tcp: {{address: '127.0.0.1:{port}', expect: never}}");
    let results = results("{concurrency: 1}", "2s", check).await;
    let ended = |outcome: Outcome| results.iter().filter(|result| result.outcome == outcome).count();
    assert_eq!((ended(Outcome::Timeout), ended(Outcome::Cancelled)), (1, CHECKS - 1), "{results:#?}");
    assert_eq!(silent.counts().accepted(), 1);
}
