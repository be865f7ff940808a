//! O5: what was cancelled, replaced or removed before its turn is never begun, and is told once.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use watchpost_agent::{GroupPolicy, RunItem, RunRequest};
use watchpost_bus::Bus;
use watchpost_tests::process::SOON;

use crate::local::{Local, Setup, all, check, gated, in_system};
use crate::rig::{told, told_of_run};

/// A check of some addresses that nobody fires.
fn tcp(id: &str, addresses: &str, timeout: &str) -> String {
    let tcp = format!(r#""tcp": {{"address": "127.0.0.1:9"}}, "addresses": [{addresses}]"#);
    format!(r#"{{"id": "{id}", {tcp}, "scheduled": false, "interval": "5m", "timeout": "{timeout}"}}"#)
}

fn plain(id: &str) -> String {
    tcp(id, r#""127.0.0.1""#, "5m")
}

/// A group that nobody fires.
fn group(id: &str, members: &str, rules: &str) -> String {
    let group = format!(r#""group": {{"checks": [{members}]}}{rules}"#);
    format!(r#"{{"id": "{id}", {group}, "scheduled": false, "interval": "5m", "timeout": "5m"}}"#)
}

fn item(json: &str) -> RunItem {
    RunItem::Check(Box::new(check(json)))
}

/// How each check was told on the bus, results and verdicts alike.
fn told_by_check(local: &Local) -> BTreeMap<String, Vec<String>> {
    let results = local.results().into_iter().map(|result| (result.check.to_string(), told(&result)));
    let verdicts = local.verdicts().into_iter().map(|verdict| (verdict.check.to_string(), told_of_run(&verdict)));
    let mut by_check = BTreeMap::<String, Vec<String>>::new();
    for (check, told) in results.chain(verdicts) {
        by_check.entry(check).or_default().push(told);
    }
    by_check
}

fn once<const N: usize>(told: [(&str, &str); N]) -> BTreeMap<String, Vec<String>> {
    told.map(|(check, told)| (check.to_owned(), vec![told.to_owned()])).into()
}

#[test]
fn o5_what_ends_at_once_and_fails_fast_lets_no_task_of_the_others_reach_the_bus() {
    in_system(async {
        let first = [
            RunItem::Invalid { id: "first".parse().unwrap(), given: "::".into(), message: "no target".into() },
            // Its member is not among the checks.
            item(&group("first", r#""nobody""#, "")),
        ];
        for first in first {
            let (probes, gate) = gated();
            gate.open(10);
            let local = Setup::new(probes, 4).start().await;
            let mut tasks = local.bus.subscribe("watchpost.b1.task.*", None).await.unwrap();
            local.configure(&[plain("member")]).await;
            let wide = tcp("wide", r#""127.0.0.1", "127.0.0.3", "127.0.0.5""#, "5m");
            let others = [item(&plain("one")), item(&wide), item(&group("group", r#""member""#, ""))];
            let items = [first].into_iter().chain(others).collect();
            let request = RunRequest { items, limit: SOON, policy: GroupPolicy::FailFast };
            let results = all(local.ask(request).await).await;
            let not_the_first = || results.iter().filter(|result| result.check.as_str() != "first");
            assert_eq!(not_the_first().map(told).collect::<Vec<_>>(), ["cancelled/group_failed"; 2], "{results:#?}");
            for result in not_the_first() {
                let message = &result.reason.as_ref().unwrap().message;
                assert!(message.contains("ended as error"), "the cause is not named: {message}");
            }
            local.until_results(results.len()).await;
            local.until_verdicts(4 - results.len()).await;
            let cancelled = "cancelled/group_failed";
            let told =
                [("first", "error/invalid_target"), ("group", cancelled), ("one", cancelled), ("wide", cancelled)];
            assert_eq!(told_by_check(&local), once(told));
            // A Checker's messages go out in their order, and the last of them were heard.
            assert!(tasks.next().now_or_never().is_none(), "a task was sent");
            assert_eq!((gate.started(), local.status().await.counts.tasks_published), (0, 0));
        }
    });
}

#[test]
fn o5_a_member_that_was_replaced_or_removed_while_it_waited_is_not_begun() {
    in_system(async {
        let (probes, gate) = gated();
        let local = Setup::new(probes, 4).start().await;
        let ours = [plain("first"), plain("stays")];
        let before = [plain("replaced"), plain("removed"), group("nested", r#""gone""#, ""), plain("gone")];
        local.configure(&[ours.as_slice(), &before].concat()).await;
        let members = r#""first", "replaced", "removed", "nested", "stays""#;
        // Asked for, so that no reload ends the group itself.
        let results = local.run(&[group("all", members, r#", "parallel": 1"#)], SOON * 4).await;
        gate.until_started(1).await;
        let after = [tcp("replaced", r#""127.0.0.1""#, "4m"), group("nested", r#""other""#, ""), plain("other")];
        local.configure(&[ours.as_slice(), &after].concat()).await;
        gate.open(5);
        all(results).await;
        local.until_results(4).await;
        local.until_verdicts(2).await;
        let changed = "cancelled/check_changed";
        let told =
            [("first", "pass"), ("stays", "pass"), ("replaced", changed), ("removed", changed), ("nested", changed)];
        assert_eq!(told_by_check(&local), [once(told), once([("all", changed)])].into_iter().flatten().collect());
        assert_eq!(gate.started(), 2);
    });
}

#[test]
fn o5_a_member_that_was_replaced_while_it_waited_is_not_begun_by_the_schedule_s_own_run() {
    in_system(async {
        let (probes, gate) = gated();
        let setup = Setup::new(probes, 4);
        let interval = std::time::Duration::from_secs(60);
        let slot = crate::set_clock::SetClock::default().slot("due", interval, std::time::Duration::ZERO);
        setup.clock.set(crate::set_clock::before(slot, std::time::Duration::from_secs(1)));
        let local = setup.start().await;
        let due = r#"{"id": "due", "group": {"checks": ["first", "replaced"]}, "parallel": 1, "interval": "1m"}"#;
        local.configure(&[due.to_owned(), plain("first"), plain("replaced")]).await;
        gate.until_started(1).await;
        local.configure(&[due.to_owned(), plain("first"), tcp("replaced", r#""127.0.0.1""#, "4m")]).await;
        gate.open(2);
        local.until_verdicts(1).await;
        local.until_results(2).await;
        let changed = "cancelled/check_changed";
        assert_eq!(told_by_check(&local), once([("first", "pass"), ("replaced", changed), ("due", changed)]));
        assert_eq!(gate.started(), 1);
    });
}
