//! What is in force where nobody says anything.

use watchpost_model::{Outcome, TaskResult};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, until};

fn told(results: &[TaskResult], id: &str) -> Option<(Outcome, String)> {
    let result = results.iter().find(|result| result.check.as_str() == id)?;
    let reason = result.reason.as_ref().map(|reason| format!("{}: {}", reason.code, reason.message));
    Some((result.outcome, reason.unwrap_or_default()))
}

fn config(port: u16, interval: &str) -> String {
    format!(
        "checks:\n\
         - {{id: here, http: {{url: 'http://127.0.0.1:{port}/ok'}}{interval}}}\n\
         - {{id: file, http: {{url: 'http://127.0.0.1:{port}/ok', method: POST, body: {{file: watchpost.yaml}}}}{interval}}}\n\
         - {{id: metadata, http: {{url: 'http://169.254.169.254/'}}{interval}}}\n\
         - {{id: many, udp: {{address: '224.0.0.251:5353', send: x}}{interval}}}\n\
         - {{id: socket, unix: {{path: /none/such.sock}}{interval}}}\n"
    )
}

/// Whoever runs a check from the command line sits at this machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_from_the_command_line_may_go_to_this_machine() {
    let server = HttpFixture::start("here").await.unwrap();
    let config = config(server.address().port(), "");
    let mut check = Launch::new("check").config(&config).args(&["-o", "ndjson"]).start();
    assert_eq!(check.ended(SOON).await, 1, "{}", check.stderr());
    let results = check.results();
    for id in ["here", "file"] {
        assert_eq!(told(&results, id).unwrap().0, Outcome::Pass, "{results:#?}");
    }
    for (id, part) in [("metadata", "special.metadata"), ("many", "special.multicast")] {
        let (outcome, reason) = told(&results, id).unwrap();
        assert!(outcome == Outcome::Cancelled && reason.contains(part), "{id}: {outcome} {reason}");
    }
    assert!(told(&results, "socket").unwrap().1.starts_with("connect_error: "), "{results:#?}");
}

/// What comes over a bus is somebody else's idea.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_over_a_bus_may_not_go_to_this_machine() {
    let (nats, server) = (NatsServer::start(), HttpFixture::start("here").await.unwrap());
    let config = config(server.address().port(), ", interval: 1s");
    let args = ["--bus", &nats.url(), "--console", "off", "-o", "ndjson"];
    let mut up = Launch::new("up").without_policy().config(&config).args(&args).start_ready().await;
    let ids = ["here", "file", "metadata", "many", "socket"];
    until("each check has a result", SOON, || {
        let results = up.results();
        ids.iter().all(|id| told(&results, id).is_some()).then_some(())
    })
    .await;
    let results = up.results();
    for (id, part) in [
        ("here", "special.loopback"),
        ("file", "the policy does not permit checks the file "),
        ("metadata", "special.metadata"),
        ("many", "special.multicast"),
        ("socket", "the policy permits no sockets"),
    ] {
        let (outcome, reason) = told(&results, id).unwrap();
        assert!(
            outcome == Outcome::Cancelled && reason.starts_with("policy_denied: ") && reason.contains(part),
            "{id}: {reason}"
        );
    }
    assert_eq!(server.counts().accepted(), 0);
    assert_eq!(up.stop().await, 0);
}
