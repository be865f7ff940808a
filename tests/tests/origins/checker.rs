//! O1: whoever does not answer is reported by name, and a late answer is dropped harmlessly.

use std::time::Duration;

use watchpost_model::{Format, Outcome, encode};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

use crate::agent::told;

async fn checker(nats: &NatsServer, checks: usize, settings: &str, rhythm: &str) -> Watchpost {
    let mut yaml = format!("bastion: b1\n{settings}checks:\n");
    for i in 0..checks {
        yaml += &format!("- {{id: c{i}, tcp: {{address: '127.0.0.1:1'}}, {rhythm}}}\n");
    }
    let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
    Launch::new("checker").config(&yaml).args(&args).start_ready().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_a_runner_that_never_answers_has_lost_its_tasks() {
    let nats = NatsServer::start();
    // It hears the tasks and says nothing, which is what a Runner that hangs does.
    let observer = Observer::start(&nats.url()).await;
    let rhythm = "interval: 2s, timeout: 1s";
    let mut checker = checker(&nats, 8, "answer_grace: 700ms\n", rhythm).await;
    until("lost tasks", SOON, || (observer.results().len() >= 16).then_some(())).await;
    let tasks = observer.tasks();
    let lost = observer.results_by_task();
    for task in tasks.iter().filter(|task| lost.contains_key(&task.task)) {
        let [result] = lost[&task.task].as_slice() else { panic!("{:#?}", lost[&task.task]) };
        assert_eq!(told(result), "lost/runner_silent", "{result:#?}");
        let us = |at: watchpost_model::Timestamp| at.as_microsecond();
        assert_eq!(us(task.answer_by) - us(task.deadline), 700_000);
        assert!(us(result.finished_at) >= us(task.answer_by), "{task:#?} {result:#?}");
    }

    // A Runner that wakes up now has nothing to say any more.
    let mut late = observer.results()[0].as_ref().clone();
    late.runner = Some("sleepy".parse().unwrap());
    late.outcome = Outcome::Pass;
    let subject = format!("watchpost.b1.result.{}", late.check);
    observer.client().publish(subject, encode(&late, Format::MsgPack).into()).await.unwrap();
    let dropped = async {
        while checker.health().await["counts"]["answers_not_open"] != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, dropped).await.expect("the late answer is dropped, and counted");
    assert_eq!(checker.health().await["checker"]["outcomes"]["pass"], 0);
    assert_eq!(checker.stop().await, 0, "{}", checker.stderr());
    observer.catch_up().await;
    assert!(observer.unanswered().is_empty(), "{:#?}", observer.unanswered());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_tasks_that_no_runner_takes_are_missed_at_once() {
    let nats = NatsServer::start();
    // Listening to tasks as well would make it a Runner in the eyes of the server.
    let observer = Observer::of_results(&nats.url()).await;
    let mut checker = checker(&nats, 50, "", "interval: 20s, timeout: 20s").await;
    until("missed tasks", SOON, || (observer.results().len() >= 10).then_some(())).await;
    for result in observer.results() {
        assert_eq!(told(&result), "missed/no_runner", "{result:#?}");
        let took_us = result.finished_at.as_microsecond() - result.scheduled_at.as_microsecond();
        assert!(took_us < 10_000_000, "only by its deadline: {result:#?}");
    }
    assert_eq!(checker.stop().await, 0, "{}", checker.stderr());
    observer.catch_up().await;
    observer.assert_at_most_one_result_each();
}
