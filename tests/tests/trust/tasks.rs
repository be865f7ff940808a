//! Tasks that somebody puts on the bus himself.

use std::sync::Arc;
use std::time::Duration;

use watchpost_model::{Check, Endpoint, Format, Labels, RunId, Task, TaskId, decode};
use watchpost_trust::{Proof, Signer};

use crate::rig::{Rig, now, told};

/// A task with another id and time than any before, so that nothing of it is a duplicate.
fn anew(payload: &[u8], n: u32) -> Task {
    let mut task: Task = decode(payload, Format::MsgPack).unwrap();
    task.run = RunId::derive(&task.bastion, &task.check, now());
    task.task = TaskId::derive(task.run, "anew", n + 1);
    task.deadline = now() + Duration::from_secs(10);
    task.answer_by = task.deadline + Duration::from_secs(10);
    task
}

fn proof_of(document: watchpost_model::CheckDocument) -> Option<Arc<str>> {
    Proof::write(&Check::try_from(document).unwrap())
}

/// With which code and words a task is refused, and what somebody has changed of it.
type Attack<'a> = (&'static str, &'static str, Box<dyn Fn(&mut Task) + 'a>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_8_a_runner_runs_what_signed_checks_say_and_nothing_else() {
    let rig = Rig::start().await;
    let (_checker, mut runner) = rig.apart("").await;
    rig.put("site.web", &rig.signed(rig.check("web"), "site", 2)).await;
    let payload = rig.task_of("web").await;
    assert_eq!(told(&rig.result_of("web").await), "pass");

    // Whoever holds the bus can have a signed check run once more, and that is all.
    let before = rig.target.counts().accepted();
    assert_eq!(told(&rig.inject(&anew(&payload, 0)).await), "pass");
    assert!(rig.target.counts().accepted() > before);

    let victim = rig.victim.address();
    let astray = rig.check_of("web", &rig.victim, "");
    let settings = Arc::clone(&Check::try_from(astray.clone()).unwrap().probe().unwrap().settings);
    let thief = Signer::generate().unwrap();
    let lead = |task: &mut Task| {
        task.endpoint = Endpoint::at(victim);
        task.probe = Arc::clone(&settings);
    };
    let good = decode::<Task>(&payload, Format::MsgPack).unwrap().proof.unwrap();
    let altered: Arc<str> = good.replace(&rig.target.port().to_string(), &victim.port().to_string()).into();
    let with = |proof: Option<Arc<str>>| {
        move |task: &mut Task| {
            lead(task);
            task.proof = proof.clone();
        }
    };
    let attacks: Vec<Attack<'_>> = vec![
        ("not_signed", "is not signed", Box::new(with(None))),
        ("not_signed", "is not signed", Box::new(with(proof_less(&astray)))),
        ("signature_invalid", "not a signed check", Box::new(with(Some("{}".into())))),
        ("signature_invalid", "not a signed check", Box::new(with(Some("\u{0}".into())))),
        ("signature_invalid", "its settings", Box::new(lead)),
        ("signature_invalid", "not an endpoint", Box::new(|task| task.endpoint = Endpoint::at(victim))),
        ("signature_invalid", "not an endpoint", Box::new(|task| task.endpoint.address = Some(victim))),
        ("signature_invalid", "not an endpoint", Box::new(|task| task.endpoint.name = "x".to_owned())),
        ("signature_invalid", "labels", Box::new(|task| task.endpoint.labels = labels())),
        ("signature_invalid", "a task of the check", Box::new(|task| task.check = "other".parse().unwrap())),
        ("signature_invalid", "the task's deadline", Box::new(|task| task.deadline = now() + Duration::from_secs(120))),
        ("signature_invalid", "not over what", Box::new(with(Some(altered)))),
        (
            "signature_invalid",
            "not among `trust.signers`",
            Box::new(with(proof_of(rig.signed_by(&thief, astray.clone(), "site", 9)))),
        ),
        (
            "signature_invalid",
            "for the bastion group `elsewhere`",
            Box::new(with(proof_of(rig.signed(astray.clone(), "elsewhere", 9)))),
        ),
        (
            "signature_invalid",
            "revision 2 was seen before",
            Box::new(with(proof_of(rig.signed(astray.clone(), "site", 1)))),
        ),
    ];
    let number = attacks.len();
    for (n, (code, part, attack)) in attacks.into_iter().enumerate() {
        let mut task = anew(&payload, u32::try_from(n).unwrap() + 1);
        attack(&mut task);
        task.answer_by = task.deadline + Duration::from_secs(10);
        let result = rig.inject(&task).await;
        assert_eq!(told(&result), format!("cancelled/{code}"), "{part}: {result:?}");
        let message = result.reason.unwrap().message;
        assert!(message.contains(part), "{part}: {message}");
        let id = task.task.to_string();
        let line = rig.until_audited("runner", "task_refused", |line| line["task"] == id.as_str()).await;
        assert_eq!((&line["code"], &line["why"]), (&code.into(), &message.as_str().into()), "{line}");
    }
    assert_eq!(rig.audited("runner", "task_refused").len(), number);
    assert_eq!(runner.stop().await, 0);

    // A Runner that starts anew has seen what it saw before.
    let runner = rig.launch("runner", "", "").args(&["--runner", "r1"]).start_ready().await;
    let mut old = anew(&payload, 100);
    with(proof_of(rig.signed(astray, "site", 1)))(&mut old);
    assert_eq!(told(&rig.inject(&old).await), "cancelled/signature_invalid");
    assert_eq!(told(&rig.inject(&anew(&payload, 101)).await), "pass");
    drop(runner);
    assert_eq!(rig.victim.counts().accepted(), 0, "somebody was led astray");
}

fn labels() -> Labels {
    Labels::new([("env".to_owned(), "prod".to_owned())]).unwrap()
}

/// The check itself in the place of a proof.
fn proof_less(document: &watchpost_model::CheckDocument) -> Option<Arc<str>> {
    Some(serde_json::to_string(document).unwrap().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bastion_in_one_process_asks_for_proofs_of_what_its_checker_did_not_send() {
    let rig = Rig::start().await;
    let _bastion = rig.bastion("", "").await;
    rig.put("site.web", &rig.signed(rig.check("web"), "site", 2)).await;
    let payload = rig.task_of("web").await;
    assert_eq!(told(&rig.inject(&anew(&payload, 1)).await), "pass");
    let mut unsigned = anew(&payload, 2);
    unsigned.proof = None;
    assert_eq!(told(&rig.inject(&unsigned).await), "cancelled/not_signed");
    // What was deleted is not run any more, however good its signature.
    let mut events = rig.events().await;
    rig.kv.delete("site.web", None).await.unwrap();
    events.until(watchpost_model::CheckEventKind::CheckRemoved, "web").await;
    let late = rig.inject(&anew(&payload, 3)).await;
    assert_eq!(told(&late), "cancelled/signature_invalid");
    assert!(late.reason.unwrap().message.contains("was deleted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_addresses_of_a_name_are_those_that_the_runner_finds_itself() {
    let rig = Rig::start().await;
    let (_checker, _runner) = rig.apart("").await;
    let json = format!(
        r#"{{"id": "all", "tcp": {{"address": "localhost:{}"}}, "addresses": "all", "interval": "1s", "verdict": "any"}}"#,
        rig.target.port()
    );
    rig.put("site.all", &rig.signed(serde_json::from_str(&json).unwrap(), "site", 1)).await;
    let payload = rig.task_of("all").await;
    let mut there = anew(&payload, 1);
    there.endpoint = Endpoint::at(rig.target.address());
    assert_eq!(told(&rig.inject(&there).await), "pass");
    let mut elsewhere = anew(&payload, 2);
    elsewhere.endpoint = Endpoint::at((std::net::Ipv4Addr::new(127, 9, 9, 9), rig.target.port()).into());
    let result = rig.inject(&elsewhere).await;
    assert_eq!(told(&result), "cancelled/signature_invalid");
    assert!(result.reason.unwrap().message.contains("not at 127.9.9.9 as seen from this Runner"));
}
