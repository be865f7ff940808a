//! Expressions and JSON paths, held against real answers.

use std::net::SocketAddr;

use watchpost_model::Outcome;
use watchpost_tests::tcp_fixture::Behaviour;

use crate::{Bench, Ran, loopback};

const SECRET: &str = "hunter2-hunter2";

async fn answered(body: &str, expect: &str) -> Ran {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Kind: a\r\nX-Kind: b\r\nSet-Cookie: sid={SECRET}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let server = Behaviour::Says([head.as_bytes(), body.as_bytes()].concat()).start(loopback(1)).await.unwrap();
    let address: SocketAddr = server.address();
    let json = format!(
        r#"{{"http": {{"url": "http://svc.example/", "headers": {{"X-Token": "{SECRET}"}}}}, "expect": {expect}}}"#
    );
    Bench::new().run(&json, address).await
}

#[tokio::test]
async fn expressions_hold_or_say_what_they_saw() {
    let body = r#"{"items": [{"state": "up"}, {"state": "down"}], "n": 3, "echo": "hunter2-hunter2"}"#;
    for (expression, failed) in [
        ("status in [200, 204] && body.json.items.size() > 0 && phases.first_byte_ms < 20000.0", None),
        ("status == 503 || body.json.n == 3", None),
        ("headers['x-kind'] == 'a, b' && headers['X-KIND'].contains('b') && !('x-none' in headers)", None),
        ("body.text.startsWith('{') && body.size < 1000 && !body.truncated && version == 'HTTP/1.1'", None),
        ("!has(tls) && address.startsWith('127.0.0.1:') && redirects.size() == 0", None),
        ("body.json.items.all(i, i.state == 'up')", Some(r#", body.json.items[1].state = "down""#)),
        ("tls.days_left > 14", Some("`tls.days_left > 14` does not hold: tls.days_left: the answer came without TLS")),
        ("body.json.none == 1", Some("`body.json.none == 1` does not hold: body.json.none: ")),
        ("headers['set-cookie'] == 'x'", Some(r#"does not hold: headers["set-cookie"] = "[redacted]""#)),
        ("body.json.echo == 'x'", Some(r#"does not hold: body.json.echo = "[redacted]""#)),
    ] {
        let ran = answered(body, &format!(r#"{{"that": "{expression}"}}"#)).await;
        let report = ran.assertion(1);
        assert_eq!((report.expr.as_str(), report.passed), (expression, failed.is_none()), "{ran:?}");
        match failed {
            None => ran.assert_passed(),
            Some(told) => {
                ran.assert_ended(Outcome::Fail, "assertion_failed");
                assert!(ran.message().contains(told), "{}", ran.message());
            }
        }
        assert!(!format!("{ran:?}").contains(SECRET), "{ran:?}");
    }
}

#[tokio::test]
async fn json_paths_hold_or_say_what_is_there() {
    let body = r#"{"state": "up", "n": 3, "f": 3.0, "none": null, "list": [1, 2, 3], "echo": "hunter2-hunter2"}"#;
    for (expect, failed) in [
        (r#"{"$.state": "up", "$.n": 3, "$.f": 3, "$.none": null, "$.list[*]": 2, "$.list": {"present": true}}"#, None),
        (r#"{"$.state": {"matches": "^u"}, "$.list": {"matches": "^.1,2"}, "$.gone": {"present": false}}"#, None),
        (r#"{"$.state": "down"}"#, Some(r#"$.state in the body is "up", expected that it equals "down""#)),
        (r#"{"$.gone": "x"}"#, Some(r#"$.gone in the body is absent, expected that it equals "x""#)),
        (r#"{"$.gone": {"present": true}}"#, Some("$.gone in the body is absent, expected that it is present")),
        (r#"{"$.list[*]": 4}"#, Some("$.list[*] in the body is 1 and 2 more, expected that it equals 4")),
        (r#"{"$.echo": "x"}"#, Some(r#"$.echo in the body is "[redacted]""#)),
    ] {
        let ran = answered(body, &format!(r#"{{"json_path": {expect}}}"#)).await;
        match failed {
            None => ran.assert_passed(),
            Some(told) => {
                ran.assert_ended(Outcome::Fail, "assertion_failed");
                assert!(ran.message().contains(told), "{}", ran.message());
            }
        }
        assert!(!format!("{ran:?}").contains(SECRET), "{ran:?}");
    }
    for (body, told) in [
        ("<html>", "the body is not JSON (expected value at line 1 column 1)"),
        ("", "the body is not JSON"),
        (&"[".repeat(200), "the body is not JSON (recursion limit exceeded"),
        (&format!("[{}", "1,".repeat(100_000)), "the body goes on beyond what is read, and is no JSON so far"),
    ] {
        let ran = answered(body, r#"{"json_path": {"$.a": 1}}"#).await;
        ran.assert_ended(Outcome::Fail, "assertion_failed");
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}
