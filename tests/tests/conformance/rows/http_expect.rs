//! The short forms of assertions, holding and not.

use crate::expected::{has, is, like};
use crate::row::{Row, row};
use crate::server::{Server, Step, answer, ok, say};

const URL: &str = "http://{addr}/";

pub fn rows() -> Vec<Row> {
    let mut rows = bodies();
    rows.extend(headers());
    rows.extend(latencies());
    rows.extend(several());
    rows
}

/// A row with one assertion beside that on the status.
fn holds(name: &str, server: Server, expect: &str) -> Row {
    row(format!("expect-{name}"))
        .server(server)
        .get_expecting(URL, expect)
        .pass()
        .at("assertions.1.passed", is(true))
        .at("http.status", is(200))
}

fn fails(name: &str, server: Server, expect: &str, says: &str) -> Row {
    row(format!("expect-{name}"))
        .server(server)
        .get_expecting(URL, expect)
        .fail("assertion_failed")
        .says(says)
        .at("assertions.0.passed", is(true))
        .at("assertions.1.passed", is(false))
}

fn bodies() -> Vec<Row> {
    let body = || ok(&[], "all is well");
    vec![
        holds("body-contains", body(), "body_contains: is").at("assertions.1.actual", is("\"is\" at byte 4")),
        fails(
            "body-contains-not",
            body(),
            "body_contains: 'amiss'",
            r#"^the body does not contain "amiss": not in a body of 11 bytes: "all is well"$"#,
        )
        .at("http.body_excerpt", is("all is well")),
        holds("body-contains-all", body(), "body_contains: [all, well]").at("assertions.2.passed", is(true)),
        fails("body-contains-in-other-case", body(), "body_contains: 'ALL'", "does not contain \"ALL\""),
        fails("body-contains-in-nothing", ok(&[], ""), "body_contains: x", "an empty body$"),
        holds("body-contains-not-ascii", ok(&[], "äöü"), "body_contains: ö"),
        holds("body-contains-beside-what-is-not-text", ok(&[], b"\xff\xfe ok \xff"), "body_contains: ok"),
        holds("body-contains-behind-a-nul", ok(&[], b"a\0ok"), "body_contains: ok"),
        fails(
            "body-contains-beyond-what-is-read",
            ok(&[], [vec![b'a'; 200_000], b"ok".to_vec()].concat()),
            "body_contains: ok",
            "not in the first 131072 bytes, and the body goes on beyond them$",
        )
        .at("http.body_truncated", is(true)),
        holds(
            "body-contains-across-chunks",
            answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwe\r\n2\r\nll\r\n0\r\n\r\n"),
            "body_contains: well",
        ),
        holds("body-matches", body(), "body_matches: '^all .* well$'"),
        fails("body-matches-not", body(), "body_matches: '^well'", "^the body does not match /\\^well/: "),
        holds("body-matches-all", body(), "body_matches: ['all', 'w.ll']").at("assertions.2.passed", is(true)),
        holds("body-matches-without-case", body(), "body_matches: '(?i)ALL'"),
        holds("body-matches-lines", ok(&[], "a\nb\n"), "body_matches: '(?m)^b$'"),
        holds("body-matches-bytes", ok(&[], b"a\xffb"), "body_matches: '(?-u)a\\xffb'"),
        fails("body-matches-in-nothing", ok(&[], ""), "body_matches: 'x'", "an empty body$"),
        holds("body-matches-nothing", ok(&[], ""), "body_matches: '^$'"),
        holds("body-matches-in-linear-time", ok(&[], "a".repeat(100_000)), "body_matches: '(a*)*b|^a'"),
    ]
}

fn headers() -> Vec<Row> {
    let server = || ok(&["Server: nginx", "Vary: a", "Vary: b", "X-Empty:", "Set-Cookie: sid=hunter2"], "");
    let holds = |name: &str, expect: &str| holds(name, server(), &format!("header: {{ {expect} }}"));
    let fails = |name: &str, expect: &str, says: &str| fails(name, server(), &format!("header: {{ {expect} }}"), says);
    vec![
        holds("header-present", "Server: { present: true }"),
        fails(
            "header-present-not",
            "X-None: { present: true }",
            "^header x-none is absent, expected that it is present$",
        ),
        holds("header-absent", "X-None: { present: false }"),
        fails(
            "header-absent-not",
            "Server: { present: false }",
            r#"^header server is "nginx", expected that it is absent$"#,
        ),
        holds("header-present-and-empty", "X-Empty: { present: true }"),
        holds("header-equals", "sErVeR: { equals: nginx }"),
        fails("header-equals-not", "Server: { equals: Nginx }", r#"expected that it equals "Nginx"$"#),
        holds("header-equals-the-second", "Vary: { equals: b }"),
        fails("header-equals-both", "Vary: { equals: 'a, b' }", "^header vary is \"a, b\""),
        fails("header-equals-where-there-is-none", "X-None: { equals: a }", "^header x-none is absent"),
        holds("header-matches", "Server: { matches: '^ngi' }"),
        fails("header-matches-not", "Server: { matches: '^caddy' }", "expected that it matches /\\^caddy/$"),
        holds("header-matches-the-second", "Vary: { matches: '^b$' }"),
        holds("header-of-a-cookie-matches", "Set-Cookie: { matches: '^sid=' }")
            .at("assertions.1.actual", is("[redacted]")),
        fails(
            "header-of-a-cookie-equals-not",
            "Set-Cookie: { equals: sid=1 }",
            "^header set-cookie is \\[redacted\\], ",
        )
        .at("assertions.1.expr", has("[redacted]")),
    ]
}

fn latencies() -> Vec<Row> {
    let late = Server::Script(vec![
        Step::Hear,
        Step::Wait(std::time::Duration::from_millis(60)),
        say("HTTP/1.1 200 OK\r\n\r\n"),
        Step::Close,
    ]);
    vec![
        holds("latency", ok(&[], ""), "max_latency: 30s").at("assertions.1.expr", is("total < 30s")),
        fails("latency-not", late, "max_latency: 50ms", "^total is [0-9.]+ m?s, expected less than 50ms$"),
    ]
}

fn several() -> Vec<Row> {
    vec![
        row("expect-several-that-fail")
            .server(answer("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"))
            .get_expecting(URL, "status: 200, body_contains: [ok, busy], header: { X-A: { present: true } }")
            .fail("http_status")
            .says(r"^status is 503, expected 200 \(and 2 more\)$")
            .at("assertions", like(r#""passed":false.*"passed":false.*"passed":true.*"passed":false"#)),
        row("expect-a-failure-and-its-words")
            .server(answer("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"))
            .get_expecting(URL, "status: 503, body_contains: busy")
            .pass(),
        row("expect-the-status-first")
            .server(answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"))
            .get_expecting(URL, "body_contains: ok")
            .fail("http_status")
            .says(r"\(and 1 more\)$"),
    ]
}
