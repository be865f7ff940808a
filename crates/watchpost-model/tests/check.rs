//! Which documents are valid checks, and that a check written out is the same check.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use watchpost_model::{Check, CheckDocument, GroupRules, Overlap, RunPolicy, VerdictRule};

fn check(json: &str) -> Result<Check, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

#[test]
fn defaults_fit_together() {
    let plain = check(r#"{"id": "a", "tcp": {"address": "a:1"}}"#).unwrap();
    assert_eq!((plain.interval().get().as_secs(), plain.timeout().get().as_secs()), (60, 10));
    let quick = check(r#"{"id": "a", "tcp": {"address": "a:1"}, "interval": "2s"}"#).unwrap();
    assert_eq!(quick.timeout().get().as_secs(), 2);
}

#[test]
fn what_does_not_fit_together_is_refused_with_what_was_expected() {
    for (json, told) in [
        (r#"{"id": "a"}"#, "it has no type: expected one of `http:`, `tcp:`, "),
        (r#"{"id": "a", "http": {"url": "http://a"}, "tcp": {"address": "a:1"}}"#, "expected exactly one type"),
        (r#"{"id": "a", "tcp": {"address": "a:1"}, "interval": "5s", "timeout": "6s"}"#, "at most the interval"),
        (r#"{"id": "a", "tcp": {"address": "a:1"}, "intervall": "5s"}"#, "unknown field `intervall`"),
        (
            r#"{"id": "a", "tcp": {"address": "a:1"}, "expect": {"status": 200}}"#,
            "no meaning for a check of the type tcp",
        ),
        (r#"{"id": "a.b", "tcp": {"address": "a:1"}}"#, "not a valid check id"),
        (r#"{"v": 2, "id": "a", "tcp": {"address": "a:1"}}"#, "version 2"),
        (r#"{"id": "a", "http": {"url": "https://10.0.0.1/"}, "addresses": ["10.0.0.2"]}"#, "expected a host name"),
        (
            r#"{"id": "a", "http": {"url": "http://a"}, "addresses": ["10.0.0.1", "10.0.0.1:80"]}"#,
            "lists 10.0.0.1:80 twice",
        ),
        (
            r#"{"id": "a", "tcp": {"address": "a:1"}, "group": {"checks": ["b"]}}"#,
            "it has `tcp:` and `group:`: expected exactly one type",
        ),
        (r#"{"id": "a", "group": {"checks": []}}"#, "no members"),
        (r#"{"id": "a", "group": {"checks": ["b"], "check": 1}}"#, "unknown field `check`"),
        (r#"{"id": "a", "group": {"checks": ["b"]}, "expect": {"max_latency": "1s"}}"#, "`expect` has no meaning"),
        (r#"{"id": "a", "group": {"checks": ["b"]}, "addresses": "all"}"#, "`addresses` has no meaning"),
        (r#"{"id": "a", "group": {"checks": ["b"]}, "policy": "fail"}"#, "expected `collect_all` or `fail_fast`"),
        (
            r#"{"id": "a", "group": {"checks": ["b"]}, "policy": "fail_fast", "verdict": "any"}"#,
            "before `verdict: any` is decided: expected `verdict: all`",
        ),
        (
            r#"{"id": "a", "group": {"checks": ["b", "c"]}, "verdict": {"quorum": 3}}"#,
            "`verdict` wants 3 of its group's members to pass, and there are 2",
        ),
        (
            r#"{"id": "a", "tcp": {"address": "a:1"}, "addresses": ["10.0.0.1"], "verdict": {"quorum": 2}}"#,
            "`verdict` wants 2 of its endpoints to pass, and there are 1",
        ),
        (r#"{"id": "a", "tcp": {"address": "a:1"}, "verdict": {"quorum": 2}}"#, "it could never pass"),
        (
            r#"{"id": "a", "tcp": {"address": "a:1"}, "expect": {"that": "status == 200"}}"#,
            "`expect.that`: in `status == 200`, column 1: ",
        ),
        (r#"{"id": "a", "tcp": {"address": "a:1"}, "parallel": 0}"#, "expected 1 to 10000"),
        (r#"{"id": "a", "tcp": {"address": "a:1"}, "parallel": 10001}"#, "expected 1 to 10000"),
        (r#"{"id": "a", "tcp": {"address": "a:1"}, "overlap": "queue"}"#, "expected `skip` or `allow`"),
        (r#"{"id": "a", "http": {"url": "http://a", "max_redirects": 11}}"#, "expected 0 to 10"),
        (r#"{"id": "a", "http": {"url": "http://a", "headers": {"Content-Length": "1"}}}"#, "content-length"),
    ] {
        let error = check(json).unwrap_err();
        assert!(error.contains(told), "{json}: {error}");
    }
}

#[test]
fn a_check_whose_tasks_would_be_too_large_is_refused() {
    let header = |n: usize| format!(r#""x-{n}": "{}""#, "v".repeat(8000));
    let with = |n: usize| {
        let headers: Vec<_> = (0..n).map(header).collect();
        check(&format!(r#"{{"id": "a", "http": {{"url": "http://a", "headers": {{{}}}}}}}"#, headers.join(",")))
    };
    assert!(with(20).is_ok());
    assert!(with(30).unwrap_err().contains("expected at most 196608 together"));
}

#[test]
fn a_check_written_out_reads_back_as_the_same_check() {
    let full = check(
        r#"{"id": "a", "http": {"url": "http://a", "method": "POST", "headers": {"X-A": "1"}, "body": "x",
            "max_redirects": 3}, "interval": "30s", "timeout": "1500ms", "addresses": ["10.0.0.1:81"],
            "expect": {"status": ["2xx", 404], "body_contains": ["a", "b"], "body_matches": "^a",
            "header": {"Server": {"equals": "x"}, "Date": {"present": true}}, "max_latency": "1s"}}"#,
    )
    .unwrap();
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(check(&text).unwrap(), full);
}

#[test]
fn a_group_has_members_and_rules_and_no_type() {
    let group = check(
        r#"{"id": "shop", "group": {"checks": ["web", "db"]}, "interval": "30s", "verdict": {"percent": 50},
            "parallel": 1, "overlap": "allow", "scheduled": false, "paused": true, "timeout": "2m"}"#,
    )
    .unwrap();
    assert_eq!(group.group().unwrap().iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["web", "db"]);
    let rules = GroupRules { policy: RunPolicy::CollectAll, verdict: VerdictRule::Percent(50), parallel: 1 };
    assert_eq!(*group.rules(), rules);
    assert_eq!((group.overlap(), group.is_scheduled(), group.is_paused()), (Overlap::Allow, false, true));
    assert!(group.probe().is_none() && group.check_type().is_none());
    let text = serde_json::to_string(&group).unwrap();
    assert_eq!(check(&text).unwrap(), group);
}

#[test]
fn defaults_are_not_written_out() {
    let plain = check(r#"{"id": "a", "tcp": {"address": "a:1"}}"#).unwrap();
    assert_eq!((plain.overlap(), plain.is_scheduled(), plain.rules().parallel), (Overlap::Skip, true, 256));
    assert!(!plain.is_paused());
    let written = serde_json::to_value(CheckDocument::from(plain)).unwrap();
    let keys: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["id", "interval", "tcp", "timeout", "v"]);
}

#[test]
fn fail_fast_and_a_quorum_go_with_what_can_be_met() {
    for json in [
        r#"{"id": "a", "tcp": {"address": "a:1"}, "policy": "fail_fast"}"#,
        r#"{"id": "a", "tcp": {"address": "a:1"}, "policy": "fail_fast", "verdict": "all", "addresses": "all"}"#,
        // How many there are is known at each run only.
        r#"{"id": "a", "tcp": {"address": "a:1"}, "addresses": "all", "verdict": {"quorum": 9}}"#,
        r#"{"id": "a", "tcp": {"address": "a:1"}, "addresses": ["10.0.0.1", "10.0.0.2"], "verdict": {"quorum": 2}}"#,
    ] {
        assert!(check(json).is_ok(), "{json}: {:?}", check(json));
    }
}
