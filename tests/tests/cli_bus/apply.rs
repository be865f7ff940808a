//! Applying files: what is compared, asked, written, and taken up.

use futures_util::StreamExt;
use serde_json::{Value, json};
use watchpost_tests::process::SOON;

use crate::rig::Rig;

fn changes(lines: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines.iter().map(|line| (text(&line["check"]), text(&line["change"]))).collect()
}

fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(check, change)| ((*check).to_owned(), (*change).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_into_force_and_what_they_lack_is_pruned_when_asked() {
    let rig = Rig::new().await;
    let _b1 = rig.bastion("b1").await;
    rig.write("checks/web.yaml", &rig.http("web", "ok", "interval: 30s"));
    let list = format!("checks:\n- {{id: old, http: {{url: 'http://{}/ok'}}, interval: 30s}}\n", rig.target.address());
    rig.write("checks/more/old.yml", &list);
    rig.write("checks/README.md", "no check");
    let apply = ["checks", "apply", "-f", "checks", "-g", "b1"];

    // Nothing is there, and nothing is made by looking.
    let dry = rig.run(&[&apply[..], &["--dry-run", "-o", "ndjson"]].concat()).await.code(0);
    assert_eq!(changes(&dry.lines()), of(&[("old", "created"), ("web", "created")]));
    assert!(rig.run(&["checks", "list", "-o", "ndjson"]).await.code(0).stdout.is_empty());

    let first = rig.run(&[&apply[..], &["-o", "ndjson"]].concat()).await.code(0);
    assert_eq!(changes(&first.lines()), of(&[("old", "created"), ("web", "created")]));
    let status = rig.run(&["checks", "status", "-o", "ndjson"]).await.code(0);
    for line in status.lines() {
        assert!(
            line["standing"] == "running" && line["bastion"] == "b1" && line["running"] == line["stored"],
            "{line}"
        );
    }
    assert_eq!(status.lines().len(), 2);

    // A second time there is nothing to do.
    let again = rig.run(&apply).await.code(0);
    assert!(again.stdout.is_empty(), "{again:?}");
    again.tells("2 unchanged");

    rig.write("checks/web.yaml", &rig.http("web", "ok", "interval: 45s"));
    std::fs::remove_file(rig.folder().join("checks/more/old.yml")).unwrap();
    let dry = rig.run(&[&apply[..], &["--dry-run"]].concat()).await.code(0);
    assert!(dry.stdout.contains("b1/web changed (dry run)"), "{dry:?}");
    assert!(dry.stdout.contains("  -interval: 30s\n  +interval: 45s\n"), "{dry:?}");
    assert!(!dry.stdout.contains("old"), "nobody asked for it to be pruned: {dry:?}");
    let before = rig.run(&["checks", "get", "web"]).await.code(0);
    assert!(before.stdout.contains("interval: 30s"), "a dry run wrote: {before:?}");

    // Deleting wants a word, of a person or of whoever wrote the script.
    let prune = [&apply[..], &["--prune"]].concat();
    rig.run(&prune).await.code(2).tells("--yes");
    assert_eq!(rig.run(&["checks", "list", "-o", "ndjson"]).await.lines().len(), 2);
    let pruned = rig.run(&[&prune[..], &["--yes", "-o", "ndjson"]].concat()).await.code(0);
    assert_eq!(changes(&pruned.lines()), of(&[("old", "pruned"), ("web", "changed")]));
    let known = rig.run(&["checks", "list", "--bastion", "b1", "-o", "ndjson"]).await.code(0).lines();
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(known[0]["revision"], pruned.lines()[1]["revision"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_bastion_would_refuse_is_told_before_anything_is_written() {
    let rig = Rig::set_up().await;
    let own = format!("checks:\n- {{id: own, http: {{url: 'http://{}/ok'}}}}\n", rig.target.address());
    let _b1 = rig.bastion_with("b1", &own).await;
    rig.write("checks.yaml", &(rig.http("own", "ok", "") + &rig.http("good", "ok", "")));
    let apply = ["checks", "apply", "-f", "checks.yaml", "-g", "b1"];

    let stopped = rig.run(&apply).await.code(1);
    assert!(stopped.stdout.contains("! b1: read_only: "), "{stopped:?}");
    stopped.tells("nothing was written");
    assert!(rig.run(&["checks", "list", "-o", "ndjson"]).await.code(0).stdout.is_empty());

    let forced = rig.run(&[&apply[..], &["--force", "-o", "ndjson"]].concat()).await.code(1);
    let refused: Vec<_> = forced.lines().into_iter().filter(|line| line.get("bastions").is_some()).collect();
    assert_eq!(refused.len(), 1, "{forced:?}");
    assert_eq!((&refused[0]["check"], &refused[0]["bastions"][0]["code"]), (&json!("own"), &json!("duplicate")));
    let status = rig.run(&["checks", "status", "-q", "-o", "ndjson"]).await.code(1).lines();
    assert_eq!(status.len(), 1, "{status:?}");
    assert_eq!((&status[0]["check"], &status[0]["standing"]), (&json!("own"), &json!("refused")));
    assert!(status[0]["reason"].as_str().unwrap().starts_with("duplicate: "), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_and_its_members_are_applied_together() {
    let rig = Rig::set_up().await;
    let _b1 = rig.bastion("b1").await;
    let members = rig.http("one", "ok", "") + &rig.http("two", "ok", "");
    rig.write("checks.yaml", &format!("id: all\ngroup: {{checks: [one, two]}}\n---\n{members}"));
    rig.run(&["checks", "apply", "-f", "checks.yaml", "-g", "b1"]).await.code(0);
    let status = rig.run(&["checks", "status", "-o", "ndjson"]).await.code(0).lines();
    assert!(status.len() == 3 && status.iter().all(|line| line["standing"] == "running"), "{status:?}");

    rig.write("circle.yaml", "id: a\ngroup: {checks: [b]}\n---\nid: b\ngroup: {checks: [a]}\n");
    rig.run(&["checks", "apply", "-f", "circle.yaml", "-g", "b1"]).await.code(2).tells("a → b → a");
    rig.write("twice.yaml", &(rig.http("same", "ok", "") + &rig.http("same", "ok", "")));
    let twice = rig.run(&["checks", "apply", "-f", "twice.yaml", "-g", "b1"]).await.code(2);
    twice.tells("twice.yaml:5: check `same` is there already, in twice.yaml:1");
    rig.write("bad.yaml", &(rig.http("good", "ok", "") + "id: bad\ntcp: {address: x}\n---\nid: worse\n"));
    let bad = rig.run(&["checks", "apply", "-f", "bad.yaml", "-g", "b1"]).await.code(2);
    bad.tells("bad.yaml:6:");
    assert_eq!(rig.run(&["checks", "list", "-o", "ndjson"]).await.lines().len(), 3, "something of it was written");
}

/// Somebody who answers as a bastion, and writes into the store between the question and the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_faster_is_not_overwritten() {
    let rig = Rig::set_up().await;
    rig.write("checks.yaml", &(rig.http("contested", "ok", "") + &rig.http("free", "ok", "")));
    let apply = ["checks", "apply", "-f", "checks.yaml", "-g", "eu", "--wait", "0s", "-o", "ndjson"];
    let client = async_nats::connect(rig.nats.url()).await.unwrap();
    let store = async_nats::jetstream::new(client.clone()).get_key_value("WATCHPOST_CHECKS").await.unwrap();

    let ping = client.subscribe("$SRV.PING.watchpost").await.unwrap();
    let asked = client.subscribe("watchpost.slow.control.>").await.unwrap();
    client.flush().await.unwrap();
    let heartbeat = json!({
        "v": 1, "bastion": "slow", "version": "9", "roles": ["checker"], "groups": ["eu"],
        "started_at": "2026-01-01T00:00:00Z", "sent_at": "2026-01-01T00:00:00Z",
    });
    let theirs = json!({"id": "contested", "tcp": {"address": "theirs:1"}}).to_string();
    let (answering, rival) = (client.clone(), store.clone());
    let bastion = tokio::spawn(async move {
        let mut messages = futures_util::stream::select(ping, asked);
        let mut wrote = false;
        while let Some(message) = messages.next().await {
            let reply = message.reply.clone().unwrap();
            let answer = match message.subject.as_str() {
                "$SRV.PING.watchpost" => json!({"metadata": {"bastion": "slow", "prefix": "watchpost"}}),
                "watchpost.slow.control.bastion.status" => heartbeat.clone(),
                _ => {
                    if !wrote {
                        rival.put("eu.contested", theirs.clone().into()).await.unwrap();
                        wrote = true;
                    }
                    json!({"v": 1, "check": "any", "group": "eu", "revision": 0, "config_generation": 1})
                }
            };
            answering.publish(reply, answer.to_string().into()).await.unwrap();
        }
    });

    let ran = rig.run(&apply).await.code(1);
    ran.tells("somebody else has changed them since they were read: `contested`");
    let lines = ran.lines();
    assert_eq!((&lines[0]["check"], &lines[0]["conflict"]), (&json!("contested"), &json!(true)), "{lines:?}");
    assert!(lines[1]["check"] == "free" && lines[1]["revision"].is_u64(), "{lines:?}");
    let kept = tokio::time::timeout(SOON, store.get("eu.contested")).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&kept).contains("theirs:1"), "it was overwritten: {kept:?}");

    // Whoever looks again sees what is there now, and may replace it.
    let again = rig.run(&apply).await.code(0);
    assert_eq!(changes(&again.lines()), of(&[("contested", "changed"), ("free", "unchanged")]));
    bastion.abort();
}
