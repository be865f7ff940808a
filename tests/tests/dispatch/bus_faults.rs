//! A bus that takes nothing, or takes it too slowly: what could not be sent is told.

use std::time::Duration;

use watchpost_agent::Roles;
use watchpost_bus::{Bus, Outgoing};
use watchpost_model::{Endpoint, Firing, Format, RunId, Task, TaskClass, Timestamp, encode};
use watchpost_tests::process::{SOON, until};

use crate::local::{Local, Setup, all, check, gated, in_system};
use crate::rig::told;

fn json(id: &str, timeout: &str) -> String {
    let tcp = r#""tcp": {"address": "127.0.0.1:9"}, "addresses": ["127.0.0.1"]"#;
    format!(r#"{{"id": "{id}", {tcp}, "interval": "5m", "timeout": "{timeout}"}}"#)
}

#[test]
fn a_task_whose_deadline_passed_while_the_bus_was_slow_is_not_sent() {
    const TIMEOUT: Duration = Duration::from_millis(800);
    in_system(async {
        let (probes, gate) = gated();
        gate.open(2);
        let local = Setup::new(probes, 2).start().await;
        let mut tasks = local.bus.subscribe("watchpost.b1.task.*", None).await.unwrap();
        // The first one holds up who publishes, and the second one stands behind it.
        local.bus.hold(Some(".task."));
        let results = local.run(&[json("first", "800ms"), json("second", "800ms")], SOON).await;
        local.bus.until_held().await;
        tokio::time::sleep(TIMEOUT + Duration::from_millis(50)).await;
        local.bus.hold(None);
        let mut results = all(results).await;
        results.sort_by_key(|result| result.check.to_string());
        let outcomes: Vec<_> = results.iter().map(told).collect();
        assert_eq!(outcomes, ["cancelled/deadline_passed", "missed/not_published"], "{results:#?}");
        let message = &results[1].reason.as_ref().unwrap().message;
        assert!(message.contains("its deadline passed while it waited to be sent"), "{message}");
        local.until_at_rest().await;
        assert_eq!(gate.started(), 0);
        drop(local);
        let mut sent = Vec::new();
        while let Ok(Some(task)) = tokio::time::timeout(Duration::from_millis(100), tasks.next()).await {
            sent.push(task);
        }
        assert_eq!(sent.len(), 1, "the second one was sent");
    });
}

/// Sends a task to the agent's Runner, with so much time to do it and to answer.
async fn send(local: &Local, id: &str, limit: Duration, answer: Duration) -> watchpost_model::TaskId {
    let check = check(&json(id, "5m"));
    let now = watchpost_agent::Clock::now(&*local.clock);
    let later = |by: Duration| {
        Timestamp::from_microsecond(now.as_microsecond() + i64::try_from(by.as_micros()).unwrap()).unwrap()
    };
    let bastion = "b1".parse().unwrap();
    let firing = Firing {
        run: RunId::derive(&bastion, check.id(), now),
        bastion: &bastion,
        scheduled_at: now,
        deadline: later(limit),
        answer_by: later(limit + answer),
        class: TaskClass::Scheduled,
        config_generation: 1,
    };
    let task = Task::new(check.id(), check.probe().unwrap(), Endpoint::at("127.0.0.1:9".parse().unwrap()), &firing);
    local.bus.publish(Outgoing::new("watchpost.b1.task.tcp", encode(&task, Format::MsgPack))).await.unwrap();
    task.task
}

#[test]
fn o2_a_result_that_is_given_up_during_a_stop_is_named_as_abandoned() {
    const GRACE: Duration = Duration::from_secs(10);
    in_system(async {
        let (probes, gate) = gated();
        let mut setup = Setup::new(probes, 4);
        setup.roles = Roles::Runner;
        let local = setup.start().await;
        // Nobody waits for this one any more long before the grace is over, and for the other one still.
        let short = send(&local, "short", Duration::from_secs(1), Duration::from_millis(400)).await;
        gate.until_started(1).await;
        let long = send(&local, "long", Duration::from_secs(60), Duration::from_secs(60)).await;
        gate.until_started(2).await;
        local.bus.set_away(true);
        // Results are sent one after the other, so that this one ends first.
        gate.open(1);
        let home = |status: watchpost_agent::AgentStatus| status.pools.unwrap()[0].idle == 3;
        while !home(local.status().await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gate.open(1);
        let stop = local.agent.stop(GRACE);
        let back = async {
            while local.status().await.counts.results_late == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            local.bus.set_away(false);
        };
        let (report, ()) = tokio::join!(stop, back);
        let report = report.unwrap();
        let named: Vec<_> = report.abandoned.iter().map(|abandoned| abandoned.task).collect();
        assert_eq!(named, [short], "{report:?}");
        assert_eq!(report.abandoned[0].state, "ended, and its result not sent");
        assert!(report.flushed && !report.is_clean(), "{report:?}");
        let results = until("the other result", SOON, || Some(local.results()).filter(|all| !all.is_empty())).await;
        assert_eq!(results.iter().map(|result| result.task).collect::<Vec<_>>(), [long]);
    });
}
