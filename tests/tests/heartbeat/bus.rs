//! Beats over the bus.

use serde_json::Value;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::SOON;

use crate::rig::{Rig, message_of};

async fn ask(client: &async_nats::Client, check: &str, payload: &str) -> Value {
    let asked = client.request(format!("watchpost.b1.beat.{check}"), payload.to_owned().into());
    let reply = tokio::time::timeout(SOON, asked).await.unwrap().unwrap();
    serde_json::from_slice(&reply.payload).unwrap_or_else(|e| panic!("{e}: {:?}", reply.payload))
}

#[tokio::test]
async fn a_person_with_a_plain_client_can_beat() {
    let nats = NatsServer::start();
    let checks = "- {id: job, heartbeat: {every: 1h}, interval: 1h}\n\
                  - {id: closed, heartbeat: {every: 1h, token: hunter2hunter2}, interval: 1h}\n";
    let rig = Rig::with(checks, &["--bus", &nats.url()]).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    // Without anything, and without waiting for an answer.
    client.publish("watchpost.b1.beat.job", "".into()).await.unwrap();
    rig.until_last("job", "").await;
    let taken = ask(&client, "job", r#"{"status": "fail", "message": "no"}"#).await;
    assert!(taken["check"] == "job" && taken["silent_at"].is_string(), "{taken}");
    let failed = rig.until_last("job", "heartbeat_failed").await;
    assert!(message_of(&failed).ends_with(": no"), "{failed:?}");
    for (check, payload, code) in [
        ("nobody", "{}", "unknown_check"),
        ("job", "{", "bad_payload"),
        ("job", r#"{"status": 7}"#, "bad_payload"),
        ("job", r#"{"v": 9}"#, "unknown_version"),
        ("closed", "{}", "not_allowed"),
        ("closed", r#"{"token": "hunter3hunter3"}"#, "not_allowed"),
    ] {
        let refused = ask(&client, check, payload).await;
        assert_eq!(refused["code"], code, "{check} {payload}: {refused}");
    }
    let large = ask(&client, "job", &format!("{:20000}", "{}")).await;
    assert_eq!(large["code"], "too_large", "{large}");
    assert_eq!(ask(&client, "closed", r#"{"token": "hunter2hunter2"}"#).await["check"], "closed");
    rig.until_last("closed", "").await;
    rig.stop().await;
}
