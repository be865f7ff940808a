//! The bastion's own bus and console.

use watchpost_model::{Outcome, TaskResult};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, until};

use crate::trap::Trap;

const POLICY: &str = "special: {loopback: allow}\ndefault: allow\n";

fn of<'a>(results: &'a [TaskResult], id: &str) -> Option<&'a TaskResult> {
    results.iter().find(|result| result.check.as_str() == id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_reaches_the_bastions_own_bus_or_console() {
    let (nats, trap) = (NatsServer::start(), Trap::start().await);
    let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0", "-o", "ndjson"];
    let mut up = Launch::new("up").policy(POLICY).config("checks: []\n").args(&args).start_ready().await;
    let console = up.until_logged("the console listens").await["address"].as_str().unwrap().to_owned();
    let console = console.rsplit_once(':').unwrap().1.to_owned();
    let bus = nats.address().rsplit_once(':').unwrap().1.to_owned();
    let connected = nats.connections_ever();

    let mut config = String::from("checks:\n");
    let mut rows = Vec::new();
    for (port, name, rule) in [(&bus, "bus", "`special.own_bus`"), (&console, "console", "`special.own_console`")] {
        for (n, host) in ["127.0.0.1", "127.0.0.2", "127.1.2.3", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "localhost"]
            .iter()
            .enumerate()
        {
            rows.push((format!("{name}-tcp-{n}"), rule));
            config += &format!("- {{id: {name}-tcp-{n}, tcp: {{address: '{host}:{port}'}}, interval: 1s}}\n");
            rows.push((format!("{name}-http-{n}"), rule));
            config += &format!("- {{id: {name}-http-{n}, http: {{url: 'http://{host}:{port}/'}}, interval: 1s}}\n");
        }
        for (n, host) in ["2130706433", "0x7f.1", "0177.0.0.1"].iter().enumerate() {
            rows.push((format!("{name}-form-{n}"), rule));
            config += &format!("- {{id: {name}-form-{n}, http: {{url: 'http://{host}:{port}/'}}, interval: 1s}}\n");
        }
    }
    // Beside them, another port of the same addresses.
    config += &format!("- {{id: other, tcp: {{address: '127.0.0.1:{}'}}, interval: 1s}}\n", trap.port());
    std::fs::write(up.folder().join(Launch::CONFIG), config).unwrap();
    up.signal("HUP");
    until("each check has a result", SOON, || {
        let results = up.results();
        rows.iter().map(|(id, _)| id.as_str()).chain(["other"]).all(|id| of(&results, id).is_some()).then_some(())
    })
    .await;
    let results = up.results();
    for (id, rule) in &rows {
        let result = of(&results, id).unwrap();
        let reason = result.reason.clone().unwrap();
        assert_eq!((result.outcome, reason.code.as_str()), (Outcome::Cancelled, "policy_denied"), "{result:#?}");
        assert!(reason.message.starts_with(rule), "{id}: {}", reason.message);
    }
    assert_eq!(of(&results, "other").unwrap().outcome, Outcome::Pass);
    assert!(trap.count().await > 0);
    // The server has seen nobody but those who were there before.
    assert_eq!(nats.connections_ever(), connected);
    assert_eq!(up.stop().await, 0);
}
