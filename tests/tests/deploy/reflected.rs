//! What others can be made to say: whoever asks names the subject of the answer, and the server does not hold that
//! against what he may publish. So nobody of ours answers anywhere but where somebody waits for it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;
use watchpost_agent::{Clock, SystemClock};
use watchpost_model::{
    Check, CheckDocument, Endpoint, Firing, Format, Outcome, RunId, Task, TaskClass, TaskResult, decode, encode,
};
use watchpost_tests::process::{SOON, Watchpost, until};

use crate::rig::{Attacker, Rig};

const USERS: [&str; 3] = ["bastion:site-1", "operator:ann", "viewer:wall"];

/// Waits until the bastion has said so often that an answer would go where none may go.
async fn told(bastion: &Watchpost, times: usize) {
    let seen = || bastion.stderr().matches("its answer would go where none may go").count() >= times;
    until("the bastion says that it did not act on a message", SOON, || seen().then_some(())).await;
}

/// A task that connects to an address, and its subject.
fn task(at: SocketAddr) -> (String, Vec<u8>) {
    let document = json!({"id": "web", "tcp": {"address": at.to_string()}});
    let check = Check::try_from(serde_json::from_value::<CheckDocument>(document).unwrap()).unwrap();
    let bastion = "site-1".parse().unwrap();
    let now = SystemClock::default().now();
    let deadline = now.checked_add(SOON).unwrap();
    let firing = Firing {
        run: RunId::derive(&bastion, check.id(), now),
        bastion: &bastion,
        scheduled_at: now,
        deadline,
        answer_by: deadline,
        class: TaskClass::Scheduled,
        config_generation: 1,
    };
    let task = Task::new(check.id(), check.probe().unwrap(), Endpoint::at(at), &firing);
    ("watchpost.site-1.task.tcp".to_owned(), encode(&task, Format::MsgPack))
}

async fn is_draining(ann: &Attacker) -> bool {
    let answer = ann.client.request("watchpost.site-1.control.bastion.status", "".into()).await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    status["draining"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_or_task_whose_answer_would_go_elsewhere_is_not_acted_on() {
    let rig = Rig::small(&USERS);
    rig.run("ann", &["bus", "setup"]).await.code(0);
    let bastion = rig.start("bastion", "site-1", "bastion: site-1\n", &[]).await;
    let (ann, root) = (rig.client("ann").await, rig.client("root").await);
    let mut heard = root.client.subscribe("$KV.>").await.unwrap();
    let drain = "watchpost.site-1.control.bastion.drain";
    let elsewhere = [
        "watchpost.site-1.result.web",
        "watchpost.site-3.result.web",
        "watchpost.site-1.control.check.delete",
        "watchpost.site-1.task.exec",
        "$KV.WATCHPOST_CHECKS.site-1.web",
        "$JS.API.STREAM.PURGE.WATCHPOST_RESULTS",
        "$SYS.REQ.SERVER.PING",
        "anything",
    ];
    for (n, reply) in elsewhere.into_iter().enumerate() {
        ann.client.publish_with_reply(drain, reply, "{\"v\":1}".into()).await.unwrap();
        ann.client.flush().await.unwrap();
        told(&bastion, n + 1).await;
    }
    assert!(!is_draining(&ann).await);

    // A task that is published by somebody who may, to have a result written into the store of checks.
    let before = bastion.stderr().matches("its answer would go where none may go").count();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (subject, task) = task(listener.local_addr().unwrap());
    let reply = "$KV.WATCHPOST_CHECKS.site-1.web";
    root.client.publish_with_reply(subject.clone(), reply, task.clone().into()).await.unwrap();
    told(&bastion, before + 1).await;
    // And one that cannot be read: its refusal goes nowhere either.
    root.client.publish_with_reply(subject.clone(), reply, "{}".into()).await.unwrap();
    told(&bastion, before + 2).await;
    assert!(timeout(Duration::from_millis(200), listener.accept()).await.is_err(), "the task was run");
    assert!(!is_draining(&ann).await);
    let nothing = timeout(Duration::from_millis(200), heard.next()).await;
    assert!(nothing.is_err(), "something was written into the store of checks: {nothing:?}");
    // The same task is run for somebody who waits for its result.
    let answer = root.client.request(subject, task.into()).await.unwrap();
    let result = decode::<TaskResult>(&answer.payload, Format::MsgPack).unwrap();
    assert_eq!((result.outcome, result.check.as_str()), (Outcome::Pass, "web"), "{result:?}");
}
