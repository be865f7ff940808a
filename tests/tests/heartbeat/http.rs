//! Beats over HTTP.

use watchpost_model::{BeatStatus, TypeEvidence};

use crate::rig::{Rig, message_of};

/// Jobs that may be quiet for longer than any test takes.
const PATIENT: &str = "- {id: job, heartbeat: {every: 1h}, interval: 1h}\n";

#[tokio::test]
async fn a_beat_may_say_how_the_job_is_and_what_it_did() {
    let rig = Rig::start(PATIENT).await;
    rig.beat("/beat/job").await;
    let passed = rig.until_last("job", "").await;
    assert_eq!(passed.check_type.unwrap().as_str(), "heartbeat");
    assert!(passed.runner.is_none() && passed.metrics.contains_key("since_last_beat_seconds"), "{passed:?}");

    let told = r#"{"status": "fail", "message": "no space left", "duration_ms": 1500, "metrics": {"rows": 7}}"#;
    assert_eq!(rig.post("/beat/job", "Content-Type: application/json\r\n", told).await.status, 200);
    let failed = rig.until_last("job", "heartbeat_failed").await;
    assert!(message_of(&failed).starts_with("the job reported failure "), "{failed:?}");
    assert!(message_of(&failed).ends_with(" ago: no space left"), "{failed:?}");
    assert_eq!((failed.metrics["rows"], failed.metrics["duration_seconds"]), (7.0, 1.5));
    let Some(TypeEvidence::Heartbeat(evidence)) = &failed.evidence else { panic!("{failed:?}") };
    assert_eq!((evidence.status, evidence.message.as_deref()), (Some(BeatStatus::Fail), Some("no space left")));

    // The same by path, query and text.
    rig.beat("/beat/job/ok").await;
    rig.until_last("job", "").await;
    rig.beat("/beat/job/fail?message=disk%20full&duration_ms=20").await;
    let failed = rig.until_last("job", "heartbeat_failed").await;
    assert!(
        message_of(&failed).ends_with(" ago: disk full") && failed.metrics["duration_seconds"] == 0.02,
        "{failed:?}"
    );
    rig.beat("/beat/job?status=ok").await;
    rig.until_last("job", "").await;
    let long = "x".repeat(5_000);
    assert_eq!(rig.post("/beat/job/fail", "Content-Type: text/plain\r\n", &long).await.status, 200);
    let failed = rig.until_last("job", "heartbeat_failed").await;
    assert!(message_of(&failed).len() < 400 && message_of(&failed).contains("xxx"), "{failed:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_job_that_says_when_it_begins_has_its_time_taken() {
    let rig = Rig::start(PATIENT).await;
    rig.beat("/beat/job/start").await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    rig.beat("/beat/job").await;
    let passed = rig.until_last("job", "").await;
    assert!(passed.metrics["duration_seconds"] >= 0.05, "{passed:?}");
    assert!(rig.results("job").iter().all(|result| result.task == passed.task || result.metrics.is_empty()));
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_beat_is_refused_and_changes_nothing() {
    let rig = Rig::start(&format!("{PATIENT}- {{id: web, tcp: {{address: '127.0.0.1:1'}}, interval: 1h}}\n")).await;
    for (path, status, told) in [
        ("/beat/nobody", 404, "no heartbeat check is called `nobody` here"),
        ("/beat/web", 404, "no heartbeat check is called `web` here"),
        ("/beat/a.b", 404, "not a valid check id"),
        ("/beat/job?status=done", 400, "status `done`: expected ok, fail or start"),
        ("/beat/job/done", 400, "status `done`: expected ok, fail or start"),
        ("/beat/job?stauts=ok", 400, "parameter `stauts`: expected status, message, duration_ms or token"),
        ("/beat/job?duration_ms=-1", 400, "expected a whole number of ms"),
        ("/beat/job?token=", 400, "the token is empty"),
        ("/beat", 404, ""),
        ("/beat/job/ok/more", 404, ""),
    ] {
        let answer = rig.get(path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.contains(told), "{path}: {answer:?}");
    }
    let json = "Content-Type: application/json\r\n";
    for (headers, body, status) in [
        (json, "{", 400),
        (json, r#"{"status": "done"}"#, 400),
        (json, r#"{"v": 2}"#, 400),
        (json, r#"{"metrics": {"": 1}}"#, 400),
        ("", &"x".repeat(16 * 1024 + 1), 413),
    ] {
        let answer = rig.post("/beat/job", headers, body).await;
        assert_eq!(answer.status, status, "{body:.40}: {answer:?}");
    }
    assert_eq!(rig.send(b"PUT /beat/job HTTP/1.0\r\n\r\n").await.status, 405);
    assert!(rig.results("job").iter().all(|result| result.metrics.is_empty()), "no beat was heard");
    rig.beat("/beat/job").await;
    rig.until_last("job", "").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_check_with_a_token_takes_no_other_beats_and_shows_it_nowhere() {
    let rig = Rig::start("- {id: job, heartbeat: {every: 1h, token: hunter2hunter2}, interval: 1h}\n").await;
    for (path, headers) in [
        ("/beat/job", ""),
        ("/beat/job?token=hunter2", ""),
        ("/beat/job", "Authorization: Bearer hunter3hunter3\r\n"),
        ("/beat/job", "Authorization: hunter2hunter2\r\n"),
    ] {
        let answer = rig.post(path, headers, "").await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(!answer.body.contains("hunter"), "{answer:?}");
    }
    assert_eq!(rig.post("/beat/job/fail", "Authorization: Bearer hunter2hunter2\r\n", "no").await.status, 200);
    rig.until_last("job", "heartbeat_failed").await;
    rig.beat("/beat/job?token=hunter2hunter2").await;
    rig.until_last("job", "").await;
    assert!(!rig.watchpost.stdout().contains("hunter") && !rig.watchpost.stderr().contains("hunter"));
    rig.stop().await;
}

#[tokio::test]
async fn beats_are_bounded_in_number() {
    let rig = Rig::start(&format!("{PATIENT}- {{id: other, heartbeat: {{every: 1h}}, interval: 1h}}\n")).await;
    let mut refused = 0;
    for _ in 0..60 {
        refused += usize::from(rig.get("/beat/job").await.status == 429);
    }
    assert!(refused > 0, "60 beats in a row were all taken");
    // Others are not concerned.
    rig.beat("/beat/other").await;
    rig.stop().await;
}
