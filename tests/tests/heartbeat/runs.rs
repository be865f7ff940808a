//! What silence and beats become: runs by the schedule and off it, each with one outcome.

use std::fs;
use std::time::Duration;

use watchpost_model::Outcome;
use watchpost_tests::process::{Launch, SOON, until};

use crate::rig::{Rig, code_of, message_of};

#[tokio::test]
async fn silence_is_told_when_it_is_there_and_so_is_its_end() {
    // No slot of its schedule is near, most likely: what is told is told off it.
    let rig = Rig::start("- {id: job, heartbeat: {every: 1s, grace: 500ms}, interval: 24h}\n").await;
    let silent = rig.until_last("job", "heartbeat_silent").await;
    assert_eq!(silent.outcome, Outcome::Fail);
    assert!(message_of(&silent).starts_with("no beat since the check was loaded "), "{silent:?}");
    assert!(message_of(&silent).ends_with("s ago; one is expected every 1s, grace 500 ms"), "{silent:?}");
    rig.beat("/beat/job").await;
    // It passes, and falls silent again, however soon one looks.
    let codes = || rig.results("job").iter().map(|result| code_of(result).to_owned()).collect::<Vec<_>>();
    let told = |codes: &[String]| codes.windows(2).any(|two| two[0].is_empty() && two[1] == "heartbeat_silent");
    until("well, and silent again", SOON, || told(&codes()).then_some(())).await;
    let again = rig.until_last("job", "heartbeat_silent").await;
    assert!(message_of(&again).starts_with("no beat for ") && message_of(&again).contains("the last one came at 20"));
    rig.beat("/beat/job/fail").await;
    rig.until_last("job", "heartbeat_failed").await;
    let silent = rig.until_last("job", "heartbeat_silent").await;
    assert!(message_of(&silent).contains("the last one, a failure, came at"), "{silent:?}");
    rig.stop().await;
}

#[tokio::test]
async fn each_slot_of_the_schedule_tells_how_the_job_is() {
    let rig = Rig::start("- {id: job, heartbeat: {every: 1h}, interval: 1s}\n").await;
    let pending = rig.until_last("job", "heartbeat_pending").await;
    assert_eq!(pending.outcome, Outcome::Cancelled, "it says nothing about the job");
    assert!(message_of(&pending).starts_with("no beat yet, "), "{pending:?}");
    rig.beat("/beat/job").await;
    let passes = || rig.results("job").iter().filter(|result| result.outcome == Outcome::Pass).count();
    until("several slots pass", SOON, || (passes() >= 4).then_some(())).await;
    rig.beat("/beat/job/fail").await;
    let fails = || rig.results("job").iter().filter(|result| code_of(result) == "heartbeat_failed").count();
    until("several slots fail", SOON, || (fails() >= 3).then_some(())).await;
    // A run for each slot, and one for each piece of news: pass, fail.
    let mut slots: Vec<_> = rig.results("job").iter().map(|r| r.scheduled_at.as_microsecond()).collect();
    slots.sort_unstable();
    let phase = |us: &i64| us % 1_000_000;
    let mut phases: Vec<i64> = slots.iter().map(phase).collect();
    phases.sort_unstable();
    let scheduled = phases.chunk_by(|a, b| a == b).map(<[i64]>::len).max().unwrap();
    assert_eq!(slots.len() - scheduled, 2, "{slots:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_job_that_changes_its_mind_is_not_told_of_each_time() {
    let rig = Rig::start("- {id: job, heartbeat: {every: 1h}, interval: 24h}\n").await;
    for status in ["ok", "fail", "ok", "fail", "ok", "fail", "ok", "fail"] {
        rig.beat(&format!("/beat/job/{status}")).await;
    }
    // The first is news at once. What holds a second later is told then.
    rig.until_last("job", "heartbeat_failed").await;
    let results = rig.results("job");
    for two in results.windows(2) {
        let apart = two[1].scheduled_at.as_microsecond() - two[0].scheduled_at.as_microsecond();
        assert!(apart > 900_000, "{apart} µs apart: {results:#?}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_heartbeat_can_be_a_member_of_a_group() {
    let checks = "- {id: job, heartbeat: {every: 1h}, interval: 1h, scheduled: false}\n\
                  - {id: all, group: {checks: [job]}, interval: 1s}\n";
    let rig = Rig::start(checks).await;
    let outcome = |wanted: Outcome| {
        let verdicts = rig.watchpost.verdicts();
        verdicts.into_iter().next_back().filter(|verdict| verdict.outcome == wanted)
    };
    until("nothing is known", SOON, || outcome(Outcome::Cancelled)).await;
    rig.beat("/beat/job").await;
    until("the group passes", SOON, || outcome(Outcome::Pass)).await;
    rig.beat("/beat/job/fail?message=no").await;
    let failed = until("the group fails", SOON, || outcome(Outcome::Fail)).await;
    assert!(failed.reason.unwrap().message.contains("heartbeat_failed"));
    // Not scheduled by itself, it is told of as a member alone: each of its results belongs to a run of the group.
    let groups = rig.watchpost.verdicts().len();
    assert!(rig.results("job").len() <= groups + 1, "{groups}");
    rig.stop().await;
}

#[tokio::test]
async fn what_was_heard_outlives_a_reload_as_long_as_the_check_is_there() {
    let config = |grace: &str, more: &str| {
        format!("bastion: b1\nchecks:\n- {{id: job, heartbeat: {{every: 1h, grace: {grace}}}, interval: 1s}}\n{more}")
    };
    let other = "- {id: other, heartbeat: {every: 1h}, interval: 1h}\n";
    let rig = Rig::start("- {id: job, heartbeat: {every: 1h, grace: 1m}, interval: 1s}\n").await;
    rig.beat("/beat/job").await;
    rig.until_last("job", "").await;
    for (reloads, (grace, more)) in [("1m", other), ("2m", ""), ("2m", other)].into_iter().enumerate() {
        fs::write(rig.watchpost.folder().join(Launch::CONFIG), config(grace, more)).unwrap();
        rig.watchpost.signal("HUP");
        until("reloaded", SOON, || (rig.watchpost.logged("checks reloaded").len() > reloads).then_some(())).await;
        let before = rig.results("job").len();
        until("more slots", SOON, || (rig.results("job").len() >= before + 2).then_some(())).await;
        let last = rig.results("job").pop().unwrap();
        assert_eq!(last.outcome, Outcome::Pass, "{last:?}");
        assert_eq!(rig.get("/beat/other").await.status, if more.is_empty() { 404 } else { 200 });
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_look_at_everything_leaves_heartbeats_out() {
    let config = "checks:\n- {id: job, heartbeat: {}}\n- {id: fine, exec: {command: /bin/true}}\n";
    let mut watchpost = Launch::new("check").config(config).args(&["--exec-dir", "/bin", "-o", "ndjson"]).start();
    assert_eq!(watchpost.ended(SOON).await, 0, "{}", watchpost.stderr());
    let checks: Vec<_> = watchpost.results().iter().map(|result| result.check.to_string()).collect();
    assert_eq!(checks, ["fine"]);
    assert!(watchpost.stderr().contains("left out"), "{}", watchpost.stderr());
}

#[tokio::test]
async fn settings_that_have_no_meaning_are_refused() {
    for (config, told) in [
        ("checks: [{id: a, heartbeat: {}, expect: {max_latency: 1s}}]", "`expect` has no meaning for a heartbeat"),
        ("checks: [{id: a, heartbeat: {}, addresses: all}]", "`addresses` has no meaning"),
        ("checks: [{id: a, heartbeat: {}, targets: {static: [{address: 'a:1'}]}}]", "`targets`"),
        ("checks: [{id: a, heartbeat: {every: 32d}}]", "expected 1s to 31d"),
        ("checks: [{id: a, heartbeat: {grace: 32d}}]", "expected at most 31d"),
        ("checks: [{id: a, heartbeat: {token: ''}}]", "the token is empty"),
        ("checks: [{id: a, heartbeat: {period: 1m}}]", "unknown field `period`"),
        ("pools: {heartbeat: {size: 5}}\nchecks: []", "`pools.heartbeat` has no meaning"),
    ] {
        let mut watchpost = Launch::new("up").config(config).start();
        assert_eq!(watchpost.ended(Duration::from_secs(30)).await, 2, "{config}");
        assert!(watchpost.stderr().contains(told), "{config}: {}", watchpost.stderr());
    }
}
