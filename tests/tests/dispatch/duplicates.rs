//! Guarantee 1: a task that comes twice has one result.

use std::time::Duration;

use watchpost_agent::{Clock, Roles};
use watchpost_bus::{Bus, Outgoing};
use watchpost_model::{
    CancelCause, CancelTasks, Endpoint, Firing, Format, RunId, Task, TaskClass, Timestamp, V1, encode,
};

use crate::local::{Local, Setup, check, gated, in_system};
use crate::rig::told;

/// A task for the agent's Runner.
fn task(local: &Local, id: &str) -> Task {
    let check = check(&format!(r#"{{"id": "{id}", "tcp": {{"address": "127.0.0.1:9"}}}}"#));
    let (now, bastion) = (local.clock.now(), "b1".parse().unwrap());
    let later = |by: Duration| {
        Timestamp::from_microsecond(now.as_microsecond() + i64::try_from(by.as_micros()).unwrap()).unwrap()
    };
    let firing = Firing {
        run: RunId::derive(&bastion, check.id(), now),
        bastion: &bastion,
        scheduled_at: now,
        deadline: later(Duration::from_secs(120)),
        answer_by: later(Duration::from_secs(180)),
        class: TaskClass::Scheduled,
        config_generation: 1,
    };
    Task::new(check.id(), check.probe().unwrap(), Endpoint::at("127.0.0.1:9".parse().unwrap()), &firing)
}

async fn send(local: &Local, task: &Task) {
    local.bus.publish(Outgoing::new("watchpost.b1.task.tcp", encode(task, Format::MsgPack))).await.unwrap();
}

async fn cancel(local: &Local, tasks: &[&Task], runs: &[&Task]) {
    let cancel = CancelTasks {
        v: V1,
        cause: CancelCause::Requested,
        message: "the test asked".to_owned(),
        runs: runs.iter().map(|task| task.run).collect(),
        tasks: tasks.iter().map(|task| task.task).collect(),
    };
    let message = Outgoing::new("watchpost.b1.control.task.cancel", encode(&cancel, Format::MsgPack));
    local.bus.publish(message).await.unwrap();
}

#[test]
fn guarantee_1_a_duplicate_of_a_task_that_was_cancelled_while_it_ran_or_waited_is_dropped() {
    in_system(async {
        for by_run in [true, false] {
            let (probes, gate) = gated();
            let mut setup = Setup::new(probes, 1);
            setup.roles = Roles::Runner;
            let local = setup.start().await;
            let (runs, waits) = (task(&local, "runs"), task(&local, "waits"));
            send(&local, &runs).await;
            gate.until_started(1).await;
            send(&local, &waits).await;
            while local.status().await.pools.unwrap()[0].waiting == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let both = [&runs, &waits];
            if by_run {
                cancel(&local, &[], &both).await;
            } else {
                cancel(&local, &both, &[]).await;
            }
            local.until_results(2).await;
            // What comes after them on the same way shows that they were dealt with.
            gate.open(1);
            let last = task(&local, "last");
            for duplicate in [&runs, &waits, &last] {
                send(&local, duplicate).await;
            }
            let results = local.until_results(3).await;
            assert_eq!(results[2].task, last.task, "by run: {by_run}: {results:#?}");
            let outcomes: Vec<_> = results.iter().map(told).collect();
            assert_eq!(outcomes, ["cancelled/cancelled_on_request", "cancelled/cancelled_on_request", "pass"]);
            local.until_at_rest().await;
            assert_eq!((local.results().len(), gate.started()), (3, 2));
            assert_eq!(local.status().await.counts.tasks_duplicate, 2);
        }
    });
}
