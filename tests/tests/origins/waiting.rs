//! O4: a task that gets no worker is cancelled, says how long it waited, and never starts later; one
//! slow type of check does not hold up another.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use watchpost_model::{CheckType, Outcome, TaskResult};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::tcp_fixture::Behaviour;

use crate::agent::told;
use crate::runner::RunnerRig;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_no_free_worker_cancels_the_task_for_good() {
    const SIZE: usize = 2;
    const SENT: usize = 10;
    const WAIT: Duration = Duration::from_millis(700);
    const LIMIT: Duration = Duration::from_secs(8);
    let (slow, quick) = (HttpFixture::start("slow").await.unwrap(), Behaviour::Silent.start(LOCALHOST).await.unwrap());
    let mut rig = RunnerRig::start(&format!("pools: {{http: {{size: {SIZE}}}}}\nwait_for_worker: {WAIT:?}\n")).await;
    for _ in 0..SENT {
        rig.send_http(slow.address(), "hang", LIMIT).await;
    }
    // Meanwhile the other type goes on.
    let mut refused = Vec::new();
    for _ in 0..40 {
        rig.send_tcp(quick.address(), LIMIT).await;
        let result = next_of(&mut rig, CheckType::Tcp, &mut refused).await;
        assert_eq!(told(&result), "pass", "{result:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.pool("http").await["busy"], SIZE, "http was not busy all the while");

    while refused.len() < SENT - SIZE {
        refused.push(rig.result().await);
    }
    for result in &refused {
        assert_eq!(told(result), "cancelled/no_free_worker", "{result:#?}");
        let waited = Duration::from_micros(result.queue_wait_us);
        assert!(waited >= WAIT && waited < LIMIT, "{waited:?}");
        assert_eq!(result.started_at, None, "{result:#?}");
    }
    for _ in 0..SIZE {
        let result = rig.result().await;
        assert_eq!(result.outcome, Outcome::Timeout, "{result:#?}");
    }
    // The workers are free again, and whoever was cancelled does not get one.
    let pool = rig.pool("http").await;
    assert_eq!((&pool["idle"], &pool["waiting"]), (&SIZE.into(), &0.into()), "{pool}");
    rig.send_http(slow.address(), "ok", LIMIT).await;
    assert_eq!(told(&rig.result().await), "pass");
    assert_eq!(slow.counts().accepted(), SIZE + 1);
    assert_eq!(rig.runner.stop().await, 0);
}

/// The next result of this type; those of others are kept.
async fn next_of(rig: &mut RunnerRig, check_type: CheckType, others: &mut Vec<TaskResult>) -> TaskResult {
    loop {
        let result = rig.result().await;
        if result.check_type == Some(check_type) {
            return result;
        }
        others.push(result);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_full_queue_refuses_at_once_and_counts() {
    const SIZE: usize = 2;
    const QUEUE: usize = 3;
    const SENT: usize = 12;
    const LIMIT: Duration = Duration::from_secs(6);
    let slow = HttpFixture::start("slow").await.unwrap();
    let config = format!("pools: {{http: {{size: {SIZE}, queue: {QUEUE}}}}}\nwait_for_worker: 3s\n");
    let mut rig = RunnerRig::start(&config).await;
    for _ in 0..SENT {
        rig.send_http(slow.address(), "hang", LIMIT).await;
    }
    let mut refused = Vec::new();
    for _ in 0..SENT - SIZE - QUEUE {
        refused.push(rig.result().await);
    }
    let health = rig.runner.health().await;
    let pool = rig.pool("http").await;
    assert_eq!((&pool["busy"], &pool["waiting"]), (&SIZE.into(), &QUEUE.into()), "{pool}");
    assert_eq!(health["counts"]["shed"]["overloaded"], SENT - SIZE - QUEUE, "{health}");
    for result in &refused {
        assert_eq!((told(result).as_str(), result.queue_wait_us), ("cancelled/overloaded", 0), "{result:#?}");
    }
    let mut rest = Vec::new();
    for _ in 0..SIZE + QUEUE {
        rest.push(told(&rig.result().await));
    }
    let timeouts = rest.iter().filter(|told| told.starts_with("timeout/")).count();
    let waited = rest.iter().filter(|told| *told == "cancelled/no_free_worker").count();
    assert_eq!((timeouts, waited), (SIZE, QUEUE), "{rest:?}");
    assert_eq!(slow.counts().accepted(), SIZE);
    assert_eq!(rig.runner.stop().await, 0);
}
