//! Requests over the bus, on the one within the process.

use serde_json::{Value, json};
use watchpost_bus::{Bus, Outgoing, Subscription, request};
use watchpost_model::header;

use super::*;

/// As `control/mod.rs` has it.
const TESTS_MAX: usize = 32;

async fn ask(bus: &InProcessBus, verb: &str, payload: Value) -> (Option<String>, Value) {
    let ask = Outgoing::new(format!("watchpost.b.control.{verb}"), payload.to_string());
    let answer = request(bus, ask, LIMIT).await.unwrap();
    (answer.headers.get(header::ERROR).map(str::to_owned), serde_json::from_slice(&answer.payload).unwrap())
}

/// Begins a test that ends when somebody opens the gate.
async fn begin(bus: &InProcessBus, number: usize) -> (Subscription, Value) {
    let inbox = bus.new_inbox();
    let mut heard = bus.subscribe(&inbox, None).await.unwrap();
    let tcp = json!({"address": "127.0.0.1:9"});
    let document = json!({"id": format!("c{number}"), "tcp": tcp, "interval": "5m", "timeout": "1m"});
    let ask = json!({"v": 1, "document": document}).to_string();
    bus.publish(Outgoing::new("watchpost.b.control.check.test", ask).reply_to(inbox)).await.unwrap();
    let first = serde_json::from_slice(&heard.next().await.unwrap().payload).unwrap();
    (heard, first)
}

#[test]
fn tests_beyond_what_is_taken_at_a_time_are_refused_and_everything_else_is_answered() {
    run_system(async {
        let bus = Arc::new(InProcessBus::new());
        let clock = Arc::new(SystemClock::default());
        let rig = Rig::with(Roles::Both, &[CheckType::Tcp], Arc::clone(&bus) as SharedBus, clock).await;
        let mut heard = Vec::new();
        for number in 0..TESTS_MAX {
            let (test, first) = begin(&bus, number).await;
            assert_eq!(first["kind"], "begun", "{first}");
            heard.push(test);
        }
        let (_, refused) = begin(&bus, TESTS_MAX).await;
        assert_eq!(refused["code"], "too_often", "{refused}");
        let (error, status) = ask(&bus, "bastion.status", json!({})).await;
        assert_eq!((error, &status["bastion"]), (None, &"b".into()), "{status}");
        let (error, told) = ask(&bus, "bastion.drain", json!({})).await;
        assert_eq!((error, &told["draining"]), (None, &true.into()), "{told}");
        // Nobody listens to any of them any more: all of it is stopped, and there is room again.
        drop(heard);
        let at_rest = |status: &AgentStatus, _| status.checker.is_some_and(|checker| checker.outstanding == 0);
        rig.until("everything is stopped", at_rest).await;
        let (error, _) = ask(&bus, "bastion.undrain", json!({})).await;
        assert_eq!(error, None);
        rig.assert_whole(0).await;
        // The last of them may be a moment behind the Checker.
        while begin(&bus, 0).await.1["kind"] != "begun" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .unwrap();
}
