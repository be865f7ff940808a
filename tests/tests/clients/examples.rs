//! The examples of docs/protocol.md do what they say, and so do other clients that are not ours.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use watchpost_model::Timestamp;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost, binary};
use watchpost_tests::python_server;

/// A bus that keeps what it is to keep, something to check, and a bastion called `demo`.
struct Rig {
    nats: NatsServer,
    url: String,
    bastion: Watchpost,
    _target: HttpFixture,
}

impl Rig {
    async fn start(config: &str) -> Self {
        let nats = NatsServer::start_with(&["-js", "-sd", "jetstream"]);
        succeeds(tokio::process::Command::new(binary()).args(["bus", "setup", "--bus", &nats.url()])).await;
        let target = HttpFixture::start("target").await.unwrap();
        let url = format!("http://{}/ok", target.address());
        let config = format!("bastion: demo\n{}", config.replace("{url}", &url));
        let bastion = Launch::new("bastion").config(&config).args(&["--bus", &nats.url()]).start_ready().await;
        Self { nats, url, bastion, _target: target }
    }
}

async fn succeeds(command: &mut tokio::process::Command) -> Vec<String> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(SOON * 2, command.output()).await;
    let output: Output = ended.unwrap_or_else(|_| panic!("{command:?} does not end")).unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Runs a script to its end.
async fn python(script: PathBuf, args: &[&str]) -> Vec<String> {
    let mut command = tokio::process::Command::new("python3");
    succeeds(command.env("PYTHONPATH", python_server::packages()).arg(script).args(args)).await
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_the_protocol_do_what_they_say() {
    let Rig { nats, url, bastion, .. } = &Rig::start("").await;
    let said = python(example("control_json.py"), &[&nats.url(), "demo", url]).await;
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
    std::fs::write(bastion.folder().join("lasting.yaml"), lasting).unwrap();
    let apply = ["checks", "apply", "--bus", &nats.url(), "--group", "demo", "--yes", "-f", "lasting.yaml"];
    succeeds(tokio::process::Command::new(binary()).args(apply).current_dir(bastion.folder())).await;
    let said = python(example("control_msgpack.py"), &[&nats.url(), "demo"]).await;
    assert!(said.iter().any(|line| line.starts_with("check lasting running")), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("result lasting pass"), "{said:?}");
}

/// A hundred other checks are the load. A replaced check keeps its slots: none is fired twice, and none is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_another_client_replaces_a_thousand_times_keeps_one_timer_and_leaves_no_gap() {
    let others =
        (0..100).map(|n| format!("- {{id: other-{n}, http: {{url: '{{url}}'}}, interval: 1s, timeout: 1s}}\n"));
    let Rig { nats, url, bastion, .. } = &Rig::start(&format!("checks:\n{}", others.collect::<String>())).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/replace.py");
    let said = python(script, &[&nats.url(), "demo", url]).await;
    let told: serde_json::Value = serde_json::from_str(said.last().unwrap()).unwrap();
    assert_eq!((told["standing"].as_str(), told["number"].as_str()), (Some("running"), Some("1000")), "{told}");
    let slots: Vec<i64> = told["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| slot.as_str().unwrap().parse::<Timestamp>().unwrap().as_microsecond())
        .collect();
    let distinct: BTreeSet<i64> = slots.iter().copied().collect();
    assert_eq!(distinct.len(), slots.len(), "a slot was fired twice: {told}\n{}", bastion.stderr());
    assert!(distinct.len() >= 4, "{told}");
    let steps: BTreeSet<i64> = distinct.iter().zip(distinct.iter().skip(1)).map(|(a, b)| b - a).collect();
    assert_eq!(steps, BTreeSet::from([1_000_000]), "a slot was left out: {told}\n{}", bastion.stderr());
}

/// The plain command line of NATS, where somebody has installed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_of_nats_is_enough_where_there_is_one() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(nats_cli) = std::env::split_paths(&path).map(|folder| folder.join("nats")).find(|file| file.is_file())
    else {
        return;
    };
    let Rig { nats, url, bastion, .. } = &Rig::start("").await;
    let run = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(&nats_cli);
        succeeds(command.args(["--server", &nats.url()]).args(args)).await.join("\n")
    };
    let check = format!(r#"{{"id":"shop","http":{{"url":"{url}"}},"interval":"1s"}}"#);
    run(&["kv", "put", "WATCHPOST_CHECKS", "demo.shop", &check]).await;
    bastion.until_logged("the store of checks is followed").await;
    let status = run(&["req", "watchpost.demo.control.bastion.status", "{}"]).await;
    assert!(status.contains("\"bastion\":\"demo\""), "{status}");
    assert!(run(&["micro", "info", "watchpost"]).await.contains("check.put"));
    run(&["kv", "del", "-f", "WATCHPOST_CHECKS", "demo.shop"]).await;
}
