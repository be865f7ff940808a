//! What the command line tells of checks that the policy of a bastion will deny.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, binary};

use crate::written::{Folder, of, until_written};

const POLICY: &str = "rules:\n  - {name: no-payroll, deny: {networks: [10.9.0.0/16]}}\ndefault: allow\n";
const CHECKS: &str = "checks:\n  - {id: pay, tcp: {address: '10.9.1.1:443'}, scheduled: false}\n  - {id: web, tcp: {address: '10.8.1.1:443'}, scheduled: false}\n";

async fn run(nats: &NatsServer, folder: &Folder, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary());
    command.args(args).current_dir(folder.path()).env_clear().env("WATCHPOST_BUS", nats.url()).env("USER", "ada");
    command.env("XDG_CONFIG_HOME", folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(SOON, command.output()).await.expect("it ends").unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn apply_status_and_list_tell_what_the_policy_of_a_bastion_will_deny() {
    let folder = Folder::new();
    let nats = NatsServer::start_with(&["-js", "-sd", folder.file("js").to_str().unwrap()]);
    let run = async |args: &[&str]| run(&nats, &folder, args).await;
    assert!(run(&["bus", "setup"]).await.status.success());
    let config = format!("bastion: b1\nrunner: r1\nstate_dir: {}\n", folder.path().display());
    let launch = Launch::new("bastion").config(&config).policy(POLICY);
    let bastion = launch.args(&["--bus", &nats.url()]).start_ready().await;
    std::fs::write(folder.file("checks.yaml"), CHECKS).unwrap();

    // Nothing is written, and it is told.
    let dry = run(&["checks", "apply", "-f", "checks.yaml", "--group", "b1", "--dry-run", "--no-diff"]).await;
    let told = "  ! b1: policy_denied: runner r1: ";
    assert!(dry.status.code() == Some(1) && stdout(&dry).contains(told), "{dry:?}");
    assert!(stdout(&dry).contains("rule `no-payroll` of the policy denies 10.9.1.1:443"), "{dry:?}");
    // It is written all the same, told, and in force.
    let applied = run(&["checks", "apply", "-f", "checks.yaml", "--group", "b1", "--no-diff"]).await;
    assert_eq!(applied.status.code(), Some(1), "{applied:?}");
    assert_eq!(stdout(&applied).matches(told).count(), 1, "{applied:?}");
    assert!(stdout(&applied).contains("b1/pay created (revision"), "{applied:?}");

    let status = run(&["checks", "status", "-o", "ndjson"]).await;
    let lines: Vec<Value> = stdout(&status).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let standing = |id: &str| lines.iter().find(|line| line["check"] == id).unwrap()["standing"].clone();
    assert_eq!((standing("pay"), standing("web"), status.status.code()), ("denied".into(), "running".into(), Some(1)));
    let listed = run(&["checks", "list", "--bastion", "b1"]).await;
    let pay = stdout(&listed).lines().find(|line| line.starts_with("pay")).unwrap().to_owned();
    assert!(pay.contains("denied") && pay.contains("runner r1") && pay.contains("no-payroll"), "{pay}");

    // Another policy, and nothing is denied any more.
    std::fs::write(bastion.folder().join(Launch::POLICY), "default: allow\n").unwrap();
    bastion.signal("HUP");
    let begun = Instant::now();
    while run(&["checks", "status"]).await.status.code() != Some(0) {
        assert!(begun.elapsed() < SOON, "the policy is not the other one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let file = folder.file("b1.bastion.audit.jsonl");
    let written = until_written(&file, "both policies", |entries| of(entries, "policy_loaded").len() == 2).await;
    let put = of(&written, "control_request").into_iter().find(|entry| entry["verb"] == "check.put").unwrap();
    assert!(put["from"]["claimed"].as_str().unwrap().starts_with("ada@"), "{put}");
    let applied = of(&written, "check_changed");
    assert!(applied.iter().any(|entry| entry["check"] == "pay" && entry["change"] == "applied"), "{applied:?}");
}
