//! O5: groups of an agent in this process: their verdicts, and what one member means for the others.

use std::time::Duration;

use watchpost_agent::{AgentError, PoolSettings};
use watchpost_model::{Outcome, RunId, SetErrorKind};
use watchpost_tests::process::{SOON, until};

use crate::local::{Setup, all, check, gated, in_system};
use crate::rig::{told, told_of_run};
use crate::set_clock::{SetClock, before, slot_after};

#[test]
fn o5_what_was_never_tried_leaves_a_verdict_open_only_where_it_could_have_changed_it() {
    // An endpoint passes where its number is odd. Of three, the last gets neither worker nor room to wait.
    const CASES: [([u8; 3], &str, &str); 8] = [
        ([2, 4, 1], r#""any""#, "cancelled/overloaded"),
        ([2, 1, 3], r#""any""#, "pass"),
        ([1, 2, 3], r#"{"quorum": 2}"#, "cancelled/overloaded"),
        ([1, 3, 5], r#"{"quorum": 2}"#, "pass"),
        ([2, 4, 1], r#"{"quorum": 2}"#, "fail/verdict_not_met"),
        ([1, 3, 5], r#""all""#, "cancelled/overloaded"),
        ([1, 2, 5], r#""all""#, "fail/verdict_not_met"),
        ([1, 2, 5], r#"{"percent": 34}"#, "cancelled/overloaded"),
    ];
    in_system(async {
        let (probes, gate) = gated();
        let mut setup = Setup::new(probes, 1);
        setup.pool = PoolSettings { size: 1, queue_max: 1, per_check_max: None };
        let local = setup.start().await;
        for (number, (hosts, rule, expected)) in CASES.into_iter().enumerate() {
            let addresses = hosts.map(|host| format!(r#""127.0.0.{host}:9""#)).join(", ");
            let check = format!(
                r#"{{"id": "c{number}", "tcp": {{"address": "127.0.0.1:9"}}, "addresses": [{addresses}],
                    "verdict": {rule}, "interval": "5m", "timeout": "5m"}}"#
            );
            let results = local.run(&[check], SOON).await;
            // The two others run one after the other, once the third is out.
            local.until_results(number * 3 + 1).await;
            gate.open(2);
            let results = all(results).await;
            assert_eq!(results.len(), 3);
            assert_eq!(results[0].target.endpoint, format!("127.0.0.{}:9", hosts[2]));
            assert_eq!(told(&results[0]), "cancelled/overloaded");
            let find = || local.verdicts().into_iter().nth(number);
            let verdict = until("the verdict", SOON, find).await;
            let code = verdict.reason.as_ref().map(|reason| format!("/{}", reason.code)).unwrap_or_default();
            assert_eq!(format!("{}{code}", verdict.outcome), expected, "{hosts:?} {rule}: {verdict:#?}");
            assert_eq!((verdict.total, verdict.undecided), (3, 1));
            local.until_at_rest().await;
        }
        let status = local.status().await;
        assert_eq!(status.counts.shed["overloaded"], CASES.len() as u64);
        assert!(local.results().iter().all(|result| result.outcome != Outcome::Lost));
    });
}

#[test]
fn slots_of_a_group_that_were_skipped_and_the_run_after_them_have_verdicts_under_ids_of_their_own() {
    const INTERVAL: Duration = Duration::from_secs(60);
    const LEAD: Duration = Duration::from_secs(1);
    in_system(async {
        let (probes, gate) = gated();
        gate.open(1);
        let setup = Setup::new(probes, 1);
        let first = SetClock::default().slot("due", INTERVAL, INTERVAL);
        setup.clock.set(before(first, INTERVAL / 2));
        let local = setup.start().await;
        let member = r#"{"id": "member", "tcp": {"address": "127.0.0.1:9"}, "scheduled": false, "interval": "5m"}"#;
        let due = r#"{"id": "due", "group": {"checks": ["member"]}, "interval": "1m"}"#;
        local.configure(&[member.to_owned(), due.to_owned()]).await;
        // Three slots have passed by then, and this one is the next.
        let later = slot_after("due", INTERVAL, first, INTERVAL * 2);
        local.clock.set(before(later, LEAD));
        let verdicts = local.until_verdicts(2).await;
        assert_eq!(verdicts.iter().map(told_of_run).collect::<Vec<_>>(), ["missed/behind_schedule", "pass"]);
        assert!(verdicts.iter().all(|verdict| verdict.scheduled_at == later), "{verdicts:#?}");
        let own = RunId::derive(&"b1".parse().unwrap(), &verdicts[1].check, later);
        assert_eq!(verdicts[1].run, own);
        assert_ne!(verdicts[0].run, own, "JetStream would drop the second one");
        local.until_at_rest().await;
        assert_eq!((local.verdicts().len(), local.results().len()), (2, 1));
    });
}

#[test]
fn o5_a_member_that_has_failed_before_all_of_its_endpoints_ended_is_named_to_the_siblings_it_cancels() {
    in_system(async {
        let (probes, gate) = gated();
        let local = Setup::new(probes, 3).start().await;
        let member = |id: &str, addresses: &str| {
            let tcp = format!(r#""tcp": {{"address": "127.0.0.1:9"}}, "addresses": [{addresses}]"#);
            format!(r#"{{"id": "{id}", {tcp}, "scheduled": false, "interval": "5m", "timeout": "5m"}}"#)
        };
        // The three endpoints have all workers, so that it is one of them which fails first.
        let three = member("three", r#""127.0.0.2", "127.0.0.4", "127.0.0.6""#);
        local.configure(&[three, member("sibling", r#""127.0.0.1""#)]).await;
        let group = r#"{"id": "group", "group": {"checks": ["three", "sibling"]}, "policy": "fail_fast", "interval": "5m", "timeout": "5m"}"#;
        let results = local.run(&[group.to_owned()], SOON * 10).await;
        gate.until_started(3).await;
        gate.open(1);
        let heard = local.until_results(2).await;
        let sibling = heard.iter().find(|result| result.check.as_str() == "sibling");
        let sibling = sibling.unwrap_or_else(|| panic!("the sibling goes on: {heard:#?}"));
        assert_eq!(told(sibling), "cancelled/group_failed");
        let message = &sibling.reason.as_ref().unwrap().message;
        assert!(message.starts_with("three ended as fail"), "the cause is not named: {message}");
        // Its own endpoints go on: each of them is to be told.
        gate.open(2);
        let mut outcomes: Vec<_> = all(results).await.iter().map(told).collect();
        outcomes.sort();
        assert_eq!(
            outcomes,
            ["cancelled/group_failed", "fail/assertion_failed", "fail/assertion_failed", "fail/assertion_failed"]
        );
    });
}

#[test]
fn checks_that_do_not_fit_together_are_refused_and_change_nothing() {
    in_system(async {
        let local = Setup::new(gated().0, 1).start().await;
        let plain = r#"{"id": "plain", "tcp": {"address": "127.0.0.1:9"}, "interval": "5m"}"#;
        local.configure(&[plain.to_owned()]).await;
        let before = local.status().await.checker.unwrap();
        let cycle = ["b", "a"].into_iter().zip(["a", "b"]);
        let group = |(id, member)| check(&format!(r#"{{"id": "{id}", "group": {{"checks": ["{member}"]}}}}"#));
        let refused = local.agent.checker().unwrap().replace_checks(cycle.map(group).collect()).await;
        let Err(AgentError::Checks(error)) = refused else { panic!("it was taken: {refused:?}") };
        assert!(matches!(error.kind, SetErrorKind::Cycle { .. }), "{error}");
        assert_eq!(local.status().await.checker.unwrap(), before);
    });
}
