//! The examples of docs/protocol.md do what they say.

use std::path::Path;
use std::process::{Output, Stdio};

use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, binary};
use watchpost_tests::python_server;

/// Runs an example to its end.
async fn example(name: &str, args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name);
    let mut command = tokio::process::Command::new("python3");
    command.env("PYTHONPATH", python_server::packages()).arg(script).args(args).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(SOON, command.output()).await.expect("an example that ends").unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_the_protocol_do_what_they_say() {
    let nats = NatsServer::start_with(&["-js", "-sd", "jetstream"]);
    let made =
        tokio::process::Command::new(binary()).args(["bus", "setup", "--bus", &nats.url()]).output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let target = HttpFixture::start("target").await.unwrap();
    let url = format!("http://{}/ok", target.address());
    let bastion = Launch::new("bastion").config("bastion: demo\n").args(&["--bus", &nats.url()]).start_ready().await;

    let said = lines(&example("control_json.py", &[&nats.url(), "demo", &url]).await);
    let expected = [
        "put example running",
        "ran example pass",
        &format!("tested {url} pass "),
        "test passed 1",
        "paused paused",
        "refused conflict",
        "status demo checks 1",
        "left []",
    ];
    assert_eq!(said, expected, "{}", bastion.stderr());

    let lasting = format!(r#"{{"id":"lasting","http":{{"url":"{url}"}},"interval":"1s","timeout":"1s"}}"#);
    let put = ["checks", "apply", "--bus", &nats.url(), "--group", "demo", "--yes", "-f", "lasting.yaml"];
    std::fs::write(bastion.folder().join("lasting.yaml"), lasting).unwrap();
    let applied =
        tokio::process::Command::new(binary()).args(put).current_dir(bastion.folder()).output().await.unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let said = lines(&example("control_msgpack.py", &[&nats.url(), "demo"]).await);
    assert!(said.iter().any(|line| line.starts_with("check lasting running")), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("result lasting pass"), "{said:?}");
}
