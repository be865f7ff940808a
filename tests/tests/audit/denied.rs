//! What the policies of Runners will deny is seen at once when a check is put.

use std::sync::Arc;

use serde_json::{Value, json};
use watchpost_agent::{Agent, AgentSettings, Deps, Roles, StoreSettings, SystemClock, run_system};
use watchpost_bus::{KvLimits, NatsBus, NatsOptions, SharedBus};
use watchpost_policy::{Guard, Own, Policy, PolicyFile, Standing};
use watchpost_probe::{ProbeOptions, ProbeSet, Resolver, TargetFinder};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::SOON;

use crate::written::{Folder, of, until_written};

const BUCKET: &str = "WATCHPOST_CHECKS";

fn guard(policy: Value) -> Guard {
    let file: PolicyFile = serde_json::from_value(policy).unwrap();
    Guard::new(Policy::try_from(file).unwrap(), Own::default(), "policy.yaml")
}

fn no_payroll() -> Value {
    json!({"rules": [{"name": "no-payroll", "deny": {"networks": ["10.9.0.0/16"]}}], "default": "allow"})
}

/// An agent of the bastion `b1`, with a connection of its own.
async fn agent(nats: &NatsServer, runner: &str, roles: Roles, guard: &Guard, folder: &Folder) -> Agent {
    let bus: SharedBus = Arc::new(NatsBus::connect(NatsOptions::new([nats.url()])).await.unwrap());
    let limits = KvLimits { bytes_max: 16 << 20, value_bytes_max: 1 << 20, history: 5 };
    bus.key_value(BUCKET).ensure(limits).await.unwrap();
    let mut settings = AgentSettings::new("b1".parse().unwrap(), runner.parse().unwrap());
    settings.store = Some(StoreSettings { bucket: Some(BUCKET.to_owned()), ..StoreSettings::default() });
    let deps = Deps {
        bus,
        clock: Arc::new(SystemClock::default()),
        resolver: Resolver::system(),
        probes: ProbeSet::standard(&Resolver::system()),
        finder: TargetFinder::new(&ProbeOptions::new(&Resolver::system())),
        audit: folder.log(&format!("{runner}.jsonl")),
        guard: guard.clone(),
    };
    Agent::start(settings, roles, deps).await.unwrap()
}

/// Asks the bastion, and hears one answer.
async fn ask(client: &async_nats::Client, verb: &str, request: Value) -> Value {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Watchpost-Sender", "ada@ops-1");
    let asked =
        client.request_with_headers(format!("watchpost.b1.control.{verb}"), headers, request.to_string().into());
    let answer = tokio::time::timeout(SOON, asked).await.expect("an answer in time").unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// Waits until the bastion follows its store.
async fn followed(client: &async_nats::Client) {
    let begun = std::time::Instant::now();
    while ask(client, "check.list", json!({})).await["store"]["state"] != "following" {
        assert!(begun.elapsed() < SOON, "the store is not followed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Which Runner denies by which rule.
fn denied(of: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let denied = of["denied"].as_array().cloned().unwrap_or_default();
    let mut denied: Vec<_> = denied.iter().map(|denial| (word(&denial["runner"]), word(&denial["rule"]))).collect();
    denied.sort();
    denied
}

fn by(runner: &str, rule: &str) -> (String, String) {
    (runner.to_owned(), rule.to_owned())
}

fn in_system(test: impl AsyncFnOnce(&NatsServer, &Folder)) {
    let folder = Folder::new();
    let nats = NatsServer::start_with(&["-js", "-sd", folder.file("js").to_str().unwrap()]);
    run_system(async {
        tokio::time::timeout(SOON * 4, test(&nats, &folder)).await.expect("it comes to its end");
    })
    .unwrap();
}

fn put(id: &str, address: &str, dry_run: bool) -> Value {
    json!({"v": 1, "check": {"id": id, "tcp": {"address": address}, "interval": "1h"}, "dry_run": dry_run})
}

#[test]
fn a_checker_without_a_runner_asks_those_on_the_bus() {
    in_system(async |nats, folder| {
        let client = async_nats::connect(nats.url()).await.unwrap();
        let (strict, open) = (guard(no_payroll()), guard(json!({"default": "allow"})));
        let _checker = agent(nats, "c", Roles::Checker, &guard(json!({"default": "deny"})), folder).await;
        followed(&client).await;
        // Nobody is there to ask, which keeps nothing from being put.
        let stored = ask(&client, "check.put", put("pay", "10.9.1.1:443", true)).await;
        assert_eq!((denied(&stored), &stored["check"]), (vec![], &"pay".into()), "{stored}");

        let _r1 = agent(nats, "r1", Roles::Runner, &strict, folder).await;
        // It is believed for a moment that there is none.
        let begun = std::time::Instant::now();
        let stored = loop {
            let stored = ask(&client, "check.put", put("pay", "10.9.1.1:443", true)).await;
            if !denied(&stored).is_empty() {
                break stored;
            }
            assert!(begun.elapsed() < SOON, "the Runner is not asked");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        assert_eq!(denied(&stored), [by("r1", "no-payroll")], "{stored}");
        assert!(stored["denied"][0]["message"].as_str().unwrap().contains("no-payroll"), "{stored}");
        let stored = ask(&client, "check.put", put("pay", "10.9.1.1:443", false)).await;
        assert_eq!(
            (denied(&stored), denied(&stored["report"])),
            (vec![by("r1", "no-payroll")], vec![by("r1", "no-payroll")])
        );
        assert_eq!(stored["report"]["standing"], "running", "it stays in force: policies change");
        let stored = ask(&client, "check.put", put("web", "10.8.1.1:443", false)).await;
        assert_eq!(denied(&stored), []);

        let shown = ask(&client, "check.get", json!({"v": 1, "check": "pay"})).await;
        assert_eq!(denied(&shown["report"]), [by("r1", "no-payroll")]);
        let listed = ask(&client, "check.list", json!({})).await;
        let listed_at = |listed: &Value, i: usize| {
            (listed["checks"][i]["check"].as_str().unwrap().to_owned(), denied(&listed["checks"][i]))
        };
        assert_eq!(listed_at(&listed, 0), ("pay".to_owned(), vec![by("r1", "no-payroll")]));
        assert_eq!(listed_at(&listed, 1), ("web".to_owned(), vec![]));

        // Another Runner with another policy, and then the first one gets another.
        let _r2 = agent(nats, "r2", Roles::Runner, &open, folder).await;
        open.replace(
            Policy::try_from(serde_json::from_value::<PolicyFile>(json!({"default": "deny"})).unwrap()).unwrap(),
            Standing { source: "other.yaml".to_owned(), sha256: None, broken: None },
        );
        let asked = json!({"v": 1, "checks": [{"id": "x", "tcp": {"address": "10.9.1.1:443"}}]});
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.unwrap();
        client.publish_with_reply("watchpost.b1.control.policy.test", inbox, asked.to_string().into()).await.unwrap();
        let mut told = Vec::new();
        for _ in 0..2 {
            let answer =
                tokio::time::timeout(SOON, futures_util::StreamExt::next(&mut answers)).await.unwrap().unwrap();
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
            let rules: Vec<_> =
                answer["denied"].as_array().unwrap().iter().map(|denied| denied["rule"].clone()).collect();
            told.push((answer["runner"].clone(), answer["policy"]["source"].clone(), rules));
        }
        told.sort_by_key(|(runner, ..)| runner.to_string());
        assert_eq!(
            told,
            [
                ("r1".into(), "policy.yaml".into(), vec!["no-payroll".into()]),
                ("r2".into(), "other.yaml".into(), vec!["default".into()]),
            ]
        );
        let only = ask(
            &client,
            "policy.test",
            json!({"v": 1, "runner": "r2", "checks": [{"id": "x", "tcp": {"address": "a:1"}}]}),
        );
        assert_eq!(only.await["runner"], "r2");
        let bad = ask(&client, "policy.test", json!({"v": 1, "runner": "r2", "checks": [{"id": "x"}]})).await;
        assert_eq!((&bad["code"], &bad["field"]), (&"bad_payload".into(), &"checks[0]".into()), "{bad}");

        strict.replace(Policy::strict(), Standing { source: "built in".to_owned(), sha256: None, broken: None });
        let shown = ask(&client, "check.get", json!({"v": 1, "check": "pay"})).await;
        assert!(!denied(&shown["report"]).contains(&by("r1", "no-payroll")), "{shown}");

        // What was asked stands in the logs of those that it was for, with who sent it.
        let are_there = |entries: &[Value]| of_verb(entries, "check.put").len() >= 4;
        let puts = of_verb(&until_written(&folder.file("c.jsonl"), "the puts", are_there).await, "check.put");
        assert!(puts.iter().all(|put| put["from"]["claimed"] == "ada@ops-1" && put["answer"] == "done"), "{puts:#?}");
        assert!(puts.iter().all(|put| put["from"]["reply"].as_str().unwrap().starts_with("_INBOX.")), "{puts:#?}");
        let asked = |entries: &[Value]| {
            let asked = of_verb(entries, "policy.test");
            asked.iter().filter(|asked| asked["from"]["claimed"] == "the Checker of b1").count()
        };
        until_written(&folder.file("r1.jsonl"), "what the Checker asked", |all| asked(all) >= 4).await;
        let applied = |entries: &[Value]| {
            let changes = of(entries, "check_changed");
            let changes = changes.iter().map(|change| format!("{} {}", change["change"], change["check"]));
            changes.collect::<Vec<_>>() == [r#""applied" "pay""#, r#""applied" "web""#]
        };
        until_written(&folder.file("c.jsonl"), "what came into force", applied).await;
    });
}

fn of_verb(entries: &[Value], verb: &str) -> Vec<Value> {
    of(entries, "control_request").into_iter().filter(|entry| entry["verb"] == verb).collect()
}

#[test]
fn a_process_with_both_roles_asks_itself() {
    in_system(async |nats, folder| {
        let client = async_nats::connect(nats.url()).await.unwrap();
        let _agent = agent(nats, "both", Roles::Both, &guard(no_payroll()), folder).await;
        followed(&client).await;
        let stored = ask(&client, "check.put", put("pay", "10.9.1.1:443", false)).await;
        assert_eq!(denied(&stored["report"]), [by("both", "no-payroll")]);
        // Refused requests are written down as well.
        let refused = ask(&client, "check.put", json!({"v": 1, "check": {"id": "pay"}})).await;
        assert_eq!(refused["code"], "bad_payload");
        let unknown = ask(&client, "check.explode", json!({})).await;
        assert_eq!(unknown["code"], "unknown_verb");
        let is_there = |entries: &[Value]| !of_verb(entries, "check.explode").is_empty();
        let written = until_written(&folder.file("both.jsonl"), "the refusals", is_there).await;
        let answers: Vec<_> =
            of(&written, "control_request").iter().map(|entry| entry["answer"].as_str().unwrap().to_owned()).collect();
        assert!(
            answers.ends_with(&["done".to_owned(), "bad_payload".to_owned(), "unknown_verb".to_owned()]),
            "{answers:?}"
        );
    });
}

#[test]
fn a_long_list_of_denied_checks_is_told_in_answers_that_the_bus_carries() {
    in_system(async |nats, folder| {
        let client = async_nats::connect(nats.url()).await.unwrap();
        let _agent = agent(nats, "both", Roles::Both, &guard(no_payroll()), folder).await;
        followed(&client).await;
        let bus = NatsBus::connect(NatsOptions::new([nats.url()])).await.unwrap();
        let kv = watchpost_bus::Bus::key_value(&bus, BUCKET);
        for number in 0..1_000 {
            let check = json!({"id": format!("c{number:04}"), "tcp": {"address": "10.9.1.1:443"}, "interval": "1h"});
            kv.put(&format!("b1.c{number:04}"), check.to_string().into_bytes().into(), None).await.unwrap();
        }
        let begun = std::time::Instant::now();
        let all = loop {
            let (mut all, mut after) = (Vec::new(), Value::Null);
            loop {
                let mut asked = json!({"limit": 1_000});
                if !after.is_null() {
                    asked["after"] = after;
                }
                let list = ask(&client, "check.list", asked).await;
                assert!(list["checks"].is_array(), "{list}");
                all.extend(list["checks"].as_array().unwrap().clone());
                after = list["next"].clone();
                if after.is_null() {
                    break;
                }
            }
            if all.len() == 1_000 {
                break all;
            }
            assert!(begun.elapsed() < SOON, "{} checks", all.len());
        };
        assert!(all.iter().all(|report| denied(report) == [by("both", "no-payroll")]));
    });
}
