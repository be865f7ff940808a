//! The log of the built binary: over a kill and a restart, read and verified by its own command line.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost, binary};

use crate::written::{Folder, entries, of, until_written};

const POLICY: &str = "rules:\n  - {name: no-payroll, deny: {networks: [10.9.0.0/16]}}\ndefault: allow\n";

async fn bastion(nats: &NatsServer, folder: &Folder) -> Watchpost {
    let config = format!("bastion: b1\nrunner: r1\nstate_dir: {}\n", folder.path().display());
    Launch::new("bastion").config(&config).policy(POLICY).args(&["--bus", &nats.url()]).start_ready().await
}

/// Runs `watchpost audit` to its end.
async fn audit(args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary());
    command.arg("audit").args(args).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(SOON, command.output()).await.expect("it ends").unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn ask(client: &async_nats::Client, verb: &str, request: &Value) -> Value {
    let asked = client.request(format!("watchpost.b1.control.{verb}"), request.to_string().into());
    let answer = tokio::time::timeout(SOON, asked).await.expect("an answer in time").unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// The last entry on the disk, as the bastion tells it.
async fn head(client: &async_nats::Client) -> (u64, String) {
    let status = ask(client, "bastion.status", &json!({})).await;
    let audit = &status["audit"];
    assert_eq!((&audit["dropped"], &audit["failing"]), (&0.into(), &Value::Null), "{audit}");
    (audit["seq"].as_u64().unwrap(), audit["hash"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_log_of_a_bastion_holds_over_a_kill_and_tells_what_was_done_to_it_later() {
    let folder = Folder::new();
    let nats = NatsServer::start_with(&["-js", "-sd", folder.file("js").to_str().unwrap()]);
    let client = async_nats::connect(nats.url()).await.unwrap();
    let file = folder.file("b1.bastion.audit.jsonl");
    let path = file.to_str().unwrap().to_owned();

    let first = bastion(&nats, &folder).await;
    let denied = json!({"v": 1, "document": {"id": "pay", "tcp": {"address": "10.9.1.1:443"}}});
    assert_eq!(ask(&client, "check.test", &denied).await["kind"], "begun");
    until_written(&file, "the denial", |entries| !of(entries, "policy_denied").is_empty()).await;
    // Killed while it is asked for more.
    let asking = tokio::spawn({
        let client = client.clone();
        async move {
            loop {
                let asked = client.request("watchpost.b1.control.bastion.status", "{}".into());
                let _answer = tokio::time::timeout(Duration::from_millis(200), asked).await;
            }
        }
    });
    until_written(&file, "requests", |entries| of(entries, "control_request").len() > 50).await;
    first.signal("KILL");
    drop(first);
    asking.abort();

    let mut second = bastion(&nats, &folder).await;
    let (seq, hash) = head(&client).await;
    assert!(seq > 50, "{seq}");
    assert_eq!(second.stop().await, 0);

    let found = entries(&file);
    let words = |event: &str| of(&found, event);
    assert_eq!((words("started").len(), words("stopped").len()), (2, 1), "one was killed");
    let instances: std::collections::BTreeSet<_> = found.iter().map(|entry| entry["instance"].to_string()).collect();
    assert_eq!(instances.len(), 2);
    assert_eq!(found.last().unwrap()["event"], "stopped");
    let policy = &words("policy_loaded")[0];
    assert!(policy["policy"].as_str().unwrap().ends_with("policy.yaml") && policy["sha256"].is_string(), "{policy}");
    let denied = words("policy_denied");
    assert_eq!((denied.len(), &denied[0]["check"]), (1, &"pay".into()));
    assert!(denied[0]["why"].as_str().unwrap().contains("no-payroll"), "{denied:?}");

    let verified = audit(&["verify", &path, "--head", &format!("{seq}:{hash}")]).await;
    let told = format!("{} entries, 1 to {}: each follows from the one before", found.len(), found.len());
    assert!(verified.status.success() && stdout(&verified).contains(&told), "{verified:?}");
    let shown = audit(&["show", &path, "--event", "policy_denied", "-o", "ndjson"]).await;
    assert_eq!(serde_json::from_str::<Value>(&stdout(&shown)).unwrap(), denied[0]);
    let shown = stdout(&audit(&["show", &path, "-n", "1"]).await);
    assert!(shown.starts_with("NUMBER") && shown.lines().count() == 2 && shown.contains("stopped"), "{shown}");

    tampered(&file, &path, (seq, &hash)).await;
}

async fn tampered(file: &Path, path: &str, (seq, hash): (u64, &str)) {
    let whole = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let write = |lines: &[&str]| std::fs::write(file, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    let denied = lines.iter().position(|line| line.contains("policy_denied")).unwrap();

    // The denial never was.
    write(&[&lines[..denied], &lines[denied + 1..]].concat()).unwrap();
    let output = audit(&["verify", path]).await;
    let told = format!("{path}:{}: entry {} was removed before this one", denied + 1, denied + 1);
    assert!(output.status.code() == Some(1) && stdout(&output).contains(&told), "{told}: {output:?}");
    // It was another.
    let other = lines[denied].replace("10.9.1.1", "10.8.1.1");
    let mut changed = lines.clone();
    changed[denied] = &other;
    write(&changed).unwrap();
    let output = audit(&["verify", path, "-o", "json"]).await;
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((output.status.code(), &found["problems"][0]["line"]), (Some(1), &(denied + 1).into()), "{found}");
    // Nothing of that ever was.
    write(&lines[..denied]).unwrap();
    assert!(audit(&["verify", path]).await.status.success());
    let output = audit(&["verify", path, "--head", &format!("{seq}:{hash}")]).await;
    assert!(output.status.code() == Some(1) && stdout(&output).contains("what came after was removed"), "{output:?}");
    assert_eq!(audit(&["verify", "/nowhere/a.jsonl"]).await.status.code(), Some(2));
    assert_eq!(audit(&["verify", path, "--head", "7"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn a_bastion_that_cannot_write_its_log_does_not_start() {
    let folder = Folder::new();
    let nats = NatsServer::start();
    let mut first = bastion(&nats, &folder).await;
    let config = format!("bastion: b1\nstate_dir: {}\n", folder.path().display());
    let bus = nats.url();
    let mut second = Launch::new("bastion").config(&config).args(&["--bus", &bus]).start();
    assert_eq!(second.ended(SOON).await, 2);
    assert!(second.stderr().contains("is written by another process"), "{}", second.stderr());
    let config = "bastion: b1\naudit: {file: /proc/nowhere/audit.jsonl}\n";
    let mut third = Launch::new("bastion").config(config).args(&["--bus", &bus]).start();
    assert_eq!(third.ended(SOON).await, 2);
    assert!(third.stderr().contains("/proc/nowhere/audit.jsonl cannot be written"), "{}", third.stderr());
    let config = format!("bastion: b2\nstate_dir: {}\naudit: {{file: off}}\n", folder.path().display());
    let mut fourth = Launch::new("bastion").config(&config).args(&["--bus", &bus]).start_ready().await;
    assert!(!folder.file("b2.bastion.audit.jsonl").exists());
    assert_eq!((first.stop().await, fourth.stop().await), (0, 0));
}
