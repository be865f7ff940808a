//! `http` checks over plain TCP.

use std::time::Duration;

use watchpost_model::{CheckType, Outcome};
use watchpost_tests::http_fixture::HttpFixture;

use crate::{Bench, closed_port, eventually, loopback};

/// What a check reads of a body at most.
const CAP: u64 = 128 * 1024;

fn get(path: &str, more: &str) -> String {
    format!(r#"{{"http": {{"url": "http://svc.example{path}"}}{more}}}"#)
}

#[tokio::test]
async fn an_answer_passes_with_its_phases_and_evidence() {
    let server = HttpFixture::start("a").await.unwrap();
    let ran = Bench::new().run(&get("/ok", ""), server.address()).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.address, Some(server.address()));
    let phases = ran.evidence.phases;
    assert!(phases.dns.is_none() && phases.tls.is_none(), "{phases:?}");
    let parts = phases.connect.unwrap() + phases.send.unwrap() + phases.first_byte.unwrap() + phases.receive.unwrap();
    assert!(parts <= phases.total.unwrap() && phases.total.unwrap() <= ran.took.as_micros() as u64, "{phases:?}");
    let http = ran.http();
    assert_eq!((http.status, http.version.as_str(), http.body_bytes, http.body_truncated), (200, "HTTP/1.1", 2, false));
    assert_eq!(http.headers["x-instance"], "a");
    let ok = "2689367b205c16ce32ed4200942b8b8b1e262dfc70d9bc9fbc77c49699a4f1df";
    assert_eq!((http.body_sha256.as_deref(), &http.body_excerpt), (Some(ok), &None));
    assert!(ran.evidence.tls.is_none() && ran.evidence.metrics.is_empty());
}

#[tokio::test]
async fn time_is_counted_in_the_phase_where_it_passes() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    let slow = bench.run(&get("/slow?ms=80", ""), server.address()).await.evidence.phases;
    assert!(slow.first_byte.unwrap() >= 80_000 && slow.receive.unwrap() < 60_000, "{slow:?}");
    let slow_body = bench.run(&get("/slow-body?ms=80", ""), server.address()).await.evidence.phases;
    assert!(slow_body.receive.unwrap() >= 70_000 && slow_body.first_byte.unwrap() < 60_000, "{slow_body:?}");
}

/// O1: status 400 and above is a failure that carries the status code.
#[tokio::test]
async fn a_status_of_400_and_above_fails_unless_it_is_expected() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    for (status, expect, outcome, message) in [
        (204, "", Outcome::Pass, ""),
        (302, "", Outcome::Pass, ""),
        (404, "", Outcome::Fail, "status is 404, expected a status below 400"),
        (503, "", Outcome::Fail, "status is 503, expected a status below 400"),
        (503, r#", "expect": {"status": [200, "5xx"]}"#, Outcome::Pass, ""),
        (200, r#", "expect": {"status": [201, "5xx"]}"#, Outcome::Fail, "status is 200, expected 201, 500-599"),
    ] {
        let ran = bench.run(&get(&format!("/status/{status}"), expect), server.address()).await;
        assert_eq!((ran.outcome, ran.message()), (outcome, message), "{status}{expect}");
        assert_eq!(ran.code(), if outcome == Outcome::Fail { "http_status" } else { "" });
        assert_eq!((ran.http().status, ran.assertion(0).actual.as_str()), (status, status.to_string().as_str()));
        let has_excerpt = outcome == Outcome::Fail && status != 204;
        assert_eq!(ran.http().body_excerpt, has_excerpt.then(|| format!("status {status}")));
    }
}

/// O4: several instances behind one name, each checked by its own address under that name.
#[tokio::test]
async fn the_endpoint_decides_the_address_and_the_url_the_name() {
    let bench = Bench::new();
    let mut probe = bench.probe(watchpost_model::CheckType::Http);
    for (n, url, host) in [
        (1, "http://svc.example/echo#part", "svc.example"),
        (2, "http://svc.example:8080/echo", "svc.example:8080"),
        (3, "http://10.1.2.3/echo", "10.1.2.3"),
        (4, "http://10.1.2.3:81/echo", "10.1.2.3:81"),
    ] {
        let name = format!("instance-{n}");
        let server = HttpFixture::start_on(loopback(n), &name).await.unwrap();
        let json = format!(
            r#"{{"http": {{"url": "{url}"}}, "expect": {{"header": {{"X-Instance": {{"equals": "{name}"}}}},
                "body_contains": ["\"host\":\"{host}\"", "\"path\":\"/echo\""]}}}}"#
        );
        let task = crate::task(&json, Some(server.address()));
        let ran = crate::run_task(&mut *probe, &task, crate::AMPLE).await;
        ran.assert_passed();
        assert_eq!(ran.evidence.address, Some(server.address()));
        assert_eq!(server.counts().accepted(), 1);
    }
}

#[tokio::test]
async fn method_headers_and_body_arrive() {
    let server = HttpFixture::start("a").await.unwrap();
    let json = r#"{"http": {"url": "http://svc.example/echo", "method": "PUT", "body": "häh?",
        "headers": {"Host": "other.example", "X-Key": "v", "User-Agent": "me"}},
        "expect": {"body_contains": ["\"method\":\"PUT\"", "\"body\":\"häh?\"", "\"host\":\"other.example\"",
        "\"x-key\":\"v\"", "\"user-agent\":\"me\"", "\"connection\":\"close\"", "\"accept-encoding\":\"gzip"]}}"#;
    Bench::new().run(json, server.address()).await.assert_passed();
    let plain = get("/echo", r#", "expect": {"body_matches": "\"user-agent\":\"watchpost/[0-9.]+\""}"#);
    Bench::new().run(&plain, server.address()).await.assert_passed();
}

#[tokio::test]
async fn each_check_makes_a_connection_of_its_own() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    let mut probe = bench.probe(watchpost_model::CheckType::Http);
    let task = crate::task(&get("/ok", ""), Some(server.address()));
    for _ in 0..5 {
        crate::run_task(&mut *probe, &task, crate::AMPLE).await.assert_passed();
    }
    assert_eq!(server.counts().accepted(), 5);
    eventually("all connections are closed", || server.counts().open() == 0).await;
}

#[tokio::test]
async fn a_server_that_misbehaves_is_an_error_with_a_code_and_a_sentence() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    for (path, code, told) in [
        ("/reset", "connection_reset", "reset the connection before the first byte of an answer"),
        ("/reset-body", "connection_reset", "reset the connection in the middle of the answer, after 5 bytes"),
        ("/close", "connection_closed", "closed the connection before the first byte of an answer"),
        ("/short", "connection_closed", "closed the connection in the middle of the answer, after 9 bytes"),
        ("/short-chunks", "connection_closed", "closed the connection in the middle of the answer, after 5 bytes"),
        ("/garbage", "protocol_error", "is not valid HTTP"),
        ("/many-headers", "protocol_error", "is not valid HTTP"),
        ("/bad-gzip", "protocol_error", "cannot be read in the middle of the answer"),
        ("/cut-gzip", "protocol_error", "is complete, but not the gzip data in it"),
        ("/cut-deflate", "protocol_error", "is complete, but not the deflate data in it"),
    ] {
        let ran = bench.run(&get(path, ""), server.address()).await;
        ran.assert_ended(Outcome::Error, code);
        let whom = format!("{} (svc.example)", server.address());
        assert!(ran.message().contains(&whom) && ran.message().contains(told), "{path}: {}", ran.message());
    }
    let cut = bench.run(&get("/short", ""), server.address()).await;
    assert_eq!((cut.http().status, cut.http().body_excerpt.as_deref()), (200, Some("too short")));
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let address = closed_port(loopback(1)).await;
    let ran = Bench::new().run(&get("/", ""), address).await;
    ran.assert_ended(Outcome::Error, "connect_refused");
    assert!(ran.message().starts_with(&format!("{address} (svc.example) refused the connection after ")));
    assert_eq!(ran.evidence.address, Some(address));
    assert!(ran.evidence.phases.connect.is_some() && ran.evidence.phases.first_byte.is_none());
}

/// O3: what does not answer is cut short in time, and says how far it got.
#[tokio::test]
async fn a_server_that_hangs_is_timed_out_in_its_phase() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    let limit = Duration::from_millis(200);
    for (path, code, told) in [
        ("/hang", "first_byte_timeout", "no first byte within 200ms: connected to 127.0.0.1:"),
        ("/hang-body", "receive_timeout", "5 bytes read"),
        ("/endless?ms=5", "receive_timeout", "the answer was not complete within 200ms"),
    ] {
        let ran = bench.run_within(limit, &get(path, ""), server.address()).await;
        ran.assert_ended(Outcome::Timeout, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        assert!(ran.took < limit * 3, "{:?}", ran.took);
        let phases = ran.evidence.phases;
        assert!(phases.connect.is_some() && phases.first_byte.is_some() && phases.total.is_some(), "{phases:?}");
        assert_eq!(phases.receive.is_some(), code == "receive_timeout");
        assert_eq!(ran.evidence.http.is_some(), code == "receive_timeout");
    }
    let trickled = bench.run_within(limit, &get("/endless?ms=5", ""), server.address()).await;
    assert!((10..CAP).contains(&trickled.http().body_bytes), "{}", trickled.http().body_bytes);
    eventually("the server is alone", || server.counts().open() == 0).await;
}

#[tokio::test]
async fn a_body_is_read_to_the_cap_and_never_beyond() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    for (bytes, read, truncated) in
        [(CAP - 1, CAP - 1, false), (CAP, CAP, false), (CAP + 1, CAP, true), (5_000_000, CAP, true)]
    {
        let ran = bench.run(&get(&format!("/large?bytes={bytes}"), ""), server.address()).await;
        ran.assert_passed();
        assert_eq!((ran.http().body_bytes, ran.http().body_truncated), (read, truncated), "{bytes}");
    }
    let missing = get("/large?bytes=200000", r#", "expect": {"body_contains": "b"}"#);
    let ran = bench.run(&missing, server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.assertion(1).actual.contains("goes on beyond"), "{}", ran.assertion(1).actual);
    assert_eq!(ran.http().body_excerpt.as_ref().map(String::len), Some(2048));
    let endless = bench.run(&get("/endless", ""), server.address()).await;
    endless.assert_passed();
    assert!(endless.http().body_truncated);
    eventually("the server is alone", || server.counts().open() == 0).await;
}

#[tokio::test]
async fn compressed_bodies_are_unpacked_and_count_unpacked() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    for path in ["/gzip", "/deflate"] {
        let ran = bench.run(&get(path, r#", "expect": {"body_matches": "^unpacked$"}"#), server.address()).await;
        ran.assert_passed();
        assert_eq!(ran.http().body_bytes, 8);
    }
}

#[tokio::test]
async fn how_a_body_was_packed_can_be_asserted_and_is_evidence() {
    let server = HttpFixture::start("a").await.unwrap();
    let expect = r#", "expect": {"body_contains": "unpacked",
        "header": {"Content-Encoding": {"equals": "gzip"}, "Content-Length": {"matches": "^[0-9]+$"}}}"#;
    let own = r#"{"http": {"url": "http://svc.example/gzip", "headers": {"Accept-Encoding": "gzip"}}, "expect":
        {"body_contains": "unpacked", "header": {"Content-Encoding": {"equals": "gzip"}}}}"#;
    for json in [&get("/gzip", expect), own] {
        let ran = Bench::new().run(json, server.address()).await;
        ran.assert_passed();
        assert_eq!(ran.http().headers["content-encoding"], "gzip");
        assert_ne!(ran.http().headers["content-length"], "8");
    }
    let own = r#"{"http": {"url": "http://svc.example/echo", "headers": {"Accept-Encoding": "br"}},
        "expect": {"body_contains": "\"accept-encoding\":\"br\""}}"#;
    Bench::new().run(own, server.address()).await.assert_passed();
}

#[tokio::test]
async fn a_body_that_fills_the_cap_is_not_waited_for() {
    let server = HttpFixture::start("a").await.unwrap();
    let limit = Duration::from_secs(2);
    let ran = Bench::new().run_within(limit, &get(&format!("/large-open?bytes={CAP}"), ""), server.address()).await;
    ran.assert_passed();
    assert_eq!((ran.http().body_bytes, ran.http().body_truncated), (CAP, true));
    eventually("the server is alone", || server.counts().open() == 0).await;
}

/// A server that says back what it was sent must not bring secrets into results.
#[tokio::test]
async fn secrets_of_the_request_are_not_shown_when_they_are_echoed() {
    let server = HttpFixture::start("a").await.unwrap();
    let json = r#"{"http": {"url": "http://svc.example/echo", "headers": {"Authorization": "Bearer hunter2-hunter2",
        "X-Session": "hunter2", "Cookie": "sid=hunter2hunter2"}}, "expect": {"status": 500, "body_contains": "none",
        "body_matches": ["hunter.", "no such"], "header": {"X-Instance": {"equals": "b"}}}}"#;
    let ran = Bench::new().run(json, server.address()).await;
    ran.assert_ended(Outcome::Fail, "http_status");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    let excerpt = ran.http().body_excerpt.as_deref().unwrap();
    assert!(excerpt.contains("\"authorization\":\"[redacted]\""), "{excerpt}");
    assert_eq!(ran.assertion(4).actual, "\"a\"");
}

#[tokio::test]
async fn a_task_of_another_type_is_a_fault_of_ours() {
    let (http, tcp) = (get("/ok", ""), r#"{"tcp": {"address": "svc.example:1"}}"#);
    for (check_type, json) in [(CheckType::Tcp, http.as_str()), (CheckType::Http, tcp)] {
        let mut probe = Bench::new().probe(check_type);
        let ran = crate::run_task(&mut *probe, &crate::task(json, None), crate::AMPLE).await;
        ran.assert_ended(Outcome::Cancelled, "bad_task");
    }
}

#[tokio::test]
async fn a_gzip_bomb_costs_neither_memory_nor_time() {
    let server = HttpFixture::start("a").await.unwrap();
    let ran = Bench::new().run(&get("/gzip-bomb", ""), server.address()).await;
    ran.assert_passed();
    assert_eq!((ran.http().body_bytes, ran.http().body_truncated), (CAP, true));
    eventually("the server is alone", || server.counts().open() == 0).await;
    // Ten gigabytes unpacked are ten megabytes on the wire; what the sockets buffer is far less.
    assert!(server.bytes_sent() < 8_000_000, "{}", server.bytes_sent());
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
}

#[tokio::test]
async fn secrets_of_the_answer_are_not_shown() {
    let server = HttpFixture::start("a").await.unwrap();
    let expect = r#", "expect": {"status": 500, "header": {"Set-Cookie": {"matches": "^no"}}}"#;
    let ran = Bench::new().run(&get("/secret", expect), server.address()).await;
    ran.assert_ended(Outcome::Fail, "http_status");
    assert_eq!(
        (ran.http().headers["set-cookie"].as_str(), ran.assertion(1).actual.as_str()),
        ("[redacted]", "[redacted]")
    );
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn latency_is_an_assertion() {
    let server = HttpFixture::start("a").await.unwrap();
    let ran = Bench::new().run(&get("/slow?ms=60", r#", "expect": {"max_latency": "50ms"}"#), server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(
        ran.message().starts_with("total is ") && ran.message().ends_with("expected less than 50ms"),
        "{}",
        ran.message()
    );
    assert_eq!(ran.assertion(1).expr, "total < 50ms");
}
