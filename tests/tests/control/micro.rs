//! How clients of NATS find bastions: the protocol of services (ADR-32 of NATS), field by field.

use serde_json::{Value, json};
use watchpost_model::Verb;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::Launch;

use crate::rig::{Rig, next};

async fn ask(rig: &Rig, subject: &str) -> Value {
    let answer = rig.asker.client.request(subject.to_owned(), "".into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

fn assert_fields(value: &Value, fields: &[&str]) {
    let found: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = fields.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bastion_is_found_and_says_what_it_can_be_asked() {
    let rig = Rig::start("checks: []\n").await;
    let ping = ask(&rig, "$SRV.PING").await;
    assert_fields(&ping, &["id", "metadata", "name", "type", "version"]);
    assert_eq!((&ping["type"], &ping["name"]), (&"io.nats.micro.v1.ping_response".into(), &"watchpost".into()));
    assert_eq!(ping["metadata"], json!({"bastion": "b1", "prefix": "watchpost", "runner": "r1"}));
    let id = ping["id"].as_str().unwrap().to_owned();
    let status = rig.asker.json("bastion.status", json!({})).await.value();
    assert_eq!(status["instance"], ping["id"]);
    for verb in ["PING", "INFO", "STATS"] {
        for subject in [format!("$SRV.{verb}"), format!("$SRV.{verb}.watchpost"), format!("$SRV.{verb}.watchpost.{id}")]
        {
            let told = ask(&rig, &subject).await;
            assert_eq!((&told["id"], &told["name"], &told["version"]), (&ping["id"], &ping["name"], &ping["version"]));
        }
    }
    let nobody = rig.asker.client.request(format!("$SRV.PING.watchpost.{id}x"), "".into()).await;
    assert!(nobody.is_err(), "{nobody:?}");

    let info = ask(&rig, "$SRV.INFO").await;
    assert_fields(&info, &["description", "endpoints", "id", "metadata", "name", "type", "version"]);
    assert_eq!(info["type"], "io.nats.micro.v1.info_response");
    let endpoints = info["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), Verb::ALL.len());
    for endpoint in endpoints {
        assert_fields(endpoint, &["metadata", "name", "queue_group", "subject"]);
        let verb = endpoint["metadata"]["verb"].as_str().unwrap();
        assert_eq!(endpoint["subject"], format!("watchpost.b1.control.{verb}"));
        let name = endpoint["name"].as_str().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{name}");
        for schema in ["request_schema", "response_schema"] {
            let schema: Value = serde_json::from_str(endpoint["metadata"][schema].as_str().unwrap()).unwrap();
            assert_eq!(schema["type"], "object", "{verb}: {schema}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_is_counted_by_verb() {
    let rig = Rig::start("checks: []\n").await;
    rig.asker.json("bastion.undrain", json!({})).await.value();
    rig.asker.json("bastion.undrain", json!({"v": 7})).await.error();
    rig.asker.json("task.cancel", json!({"v": 1})).await.error();
    let stats = ask(&rig, "$SRV.STATS").await;
    assert_fields(&stats, &["endpoints", "id", "metadata", "name", "started", "type", "version"]);
    assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
    assert!(stats["started"].as_str().unwrap().ends_with('Z'), "{stats}");
    let endpoint = |name: &str| {
        let found = stats["endpoints"].as_array().unwrap().iter().find(|one| one["name"] == name);
        let found = found.unwrap().clone();
        let fields =
            ["average_processing_time", "data", "last_error", "name", "num_errors", "num_requests", "processing_time"];
        assert_fields(&found, &[&fields[..], &["queue_group", "subject"]].concat());
        found
    };
    let undrain = endpoint("bastion-undrain");
    assert_eq!((&undrain["num_requests"], &undrain["num_errors"]), (&2.into(), &1.into()));
    assert!(undrain["last_error"].as_str().unwrap().starts_with("unknown_version: "), "{undrain}");
    let (all, each) =
        (undrain["processing_time"].as_u64().unwrap(), undrain["average_processing_time"].as_u64().unwrap());
    assert!(all > 0 && each == all / 2, "{undrain}");
    let cancel = endpoint("task-cancel");
    assert_eq!((&cancel["num_requests"], &cancel["num_errors"]), (&1.into(), &1.into()));
    assert_eq!(endpoint("check-put")["num_requests"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_tells_its_own_verbs_and_a_runner_alone_leaves_the_others_unheard() {
    let nats = NatsServer::start();
    let args = ["--bus", &nats.url(), "--runner", "r9"];
    let runner = Launch::new("runner").config("bastion: b1\nchecks: []\n").args(&args).start_ready().await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let told: Value = serde_json::from_slice(&client.request("$SRV.INFO", "".into()).await.unwrap().payload).unwrap();
    let names: Vec<&str> = told["endpoints"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    let own = [
        "task-cancel",
        "policy-test",
        "pool-resize",
        "bastion-status",
        "bastion-drain",
        "bastion-undrain",
        "bastion-log_level",
    ];
    assert_eq!(names, own);
    // Nobody answers what only a Checker does, and the server says so at once.
    let unheard = client.request("watchpost.b1.control.check.list", "{}".into()).await.unwrap_err();
    assert_eq!(unheard.kind(), async_nats::RequestErrorKind::NoResponders);
    let checker =
        Launch::new("checker").config("bastion: b1\nchecks: []\n").args(&["--bus", &nats.url()]).start_ready().await;
    let inbox = client.new_inbox();
    let mut heard = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply("$SRV.PING.watchpost", inbox, "".into()).await.unwrap();
    let ids = [next(&mut heard).await, next(&mut heard).await];
    assert_ne!(ids[0].payload, ids[1].payload);
    drop((runner, checker));
}
