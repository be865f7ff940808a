//! Heads of answers: their syntax, their size, what is in them.

use crate::expected::{absent, at_least, at_most, has, is, like};
use crate::row::{Row, row};
use crate::server::{Server, Step, answer, ok, say};

const URL: &str = "http://{addr}/";

pub fn rows() -> Vec<Row> {
    let mut rows = bad_syntax();
    rows.extend(odd_syntax());
    rows.extend(sizes());
    rows.extend(evidence());
    rows
}

fn answering(header: &[u8]) -> Server {
    answer([b"HTTP/1.1 200 OK\r\n", header, b"\r\nContent-Length: 0\r\n\r\n"].concat())
}

fn bad_syntax() -> Vec<Row> {
    let wrong = |name: &str, header: &[u8]| {
        row(name)
            .server(answering(header))
            .get(URL)
            .error("protocol_error")
            .says("^the answer of {addr} is not valid HTTP: ")
            .at("http", absent())
    };
    vec![
        wrong("header-without-a-colon", b"X-No-Colon"),
        wrong("header-without-a-name", b": value"),
        wrong("header-with-a-space-in-its-name", b"X Name: value"),
        wrong("header-with-a-space-before-its-colon", b"X-Name : value"),
        wrong("header-with-a-nul-in-its-name", b"X-\0-Name: value"),
        wrong("header-with-a-nul-in-its-value", b"X-Name: a\0b"),
        wrong("header-with-an-escape-in-its-value", b"X-Name: \x1b[31mred"),
        wrong("header-with-a-delete-in-its-value", b"X-Name: a\x7fb"),
        wrong("header-with-a-name-that-is-not-text", b"X-\xff: value"),
        wrong("header-with-a-bare-return", b"X-Name: a\rb"),
        wrong("header-folded", b"X-Name: a\r\n b"),
        wrong("header-folded-with-a-tab", b"X-Name: a\r\n\tb"),
        row("head-of-nuls").server(answer(vec![0; 1000])).get(URL).error("protocol_error").says("is not valid HTTP"),
        row("head-of-another-protocol")
            .server(answer("SSH-2.0-OpenSSH_9.2p1\r\n"))
            .get(URL)
            .error("protocol_error")
            .says("is not valid HTTP"),
        row("head-in-utf-16")
            .server(answer("HTTP/1.1 200 OK\r\n\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()))
            .get(URL)
            .error("protocol_error")
            .says("is not valid HTTP"),
    ]
}

fn odd_syntax() -> Vec<Row> {
    let right = |name: &str, header: &[u8], path: &str, value: &str| {
        row(name).server(answering(header)).get(URL).pass().at(&format!("http.headers.{path}"), is(value))
    };
    vec![
        right("header-without-a-value", b"X-Name:", "x-name", ""),
        right("header-without-a-space", b"X-Name:value", "x-name", "value"),
        right("header-with-much-space", b"X-Name:   \t value \t ", "x-name", "value"),
        right("header-with-capitals", b"X-NAME: Value", "x-name", "Value"),
        right("header-with-colons", b"X-Name: a:b:c", "x-name", "a:b:c"),
        right("header-that-is-not-text", b"X-Name: caf\xe9", "x-name", "caf\u{fffd}"),
        right("header-in-utf-8", "X-Name: café".as_bytes(), "x-name", "café"),
        right("header-twice", b"X-Name: a\r\nX-Name: b", "x-name", "a, b"),
        row("head-with-bare-line-feeds")
            .server(answer("HTTP/1.1 200 OK\nX-Name: a\nContent-Length: 2\n\nok"))
            .get_expecting(URL, "body_matches: '^ok$'")
            .pass()
            .at("http.headers.x-name", is("a")),
        row("head-without-headers")
            .server(answer("HTTP/1.1 200 OK\r\n\r\n"))
            .get(URL)
            .pass()
            .at("http.body_bytes", is(0)),
    ]
}

fn sizes() -> Vec<Row> {
    let large = |name: &str, bytes: usize| {
        row(name).server(answering(format!("X-Large: {}", "x".repeat(bytes)).as_bytes())).get(URL)
    };
    let many = |name: &str, number: usize| {
        let lines: Vec<String> = (0..number).map(|i| format!("X-{i}: 1")).collect();
        row(name).server(answer(format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", lines.join("\r\n")))).get(URL)
    };
    let bounded = |row: Row| row.at("http.headers", at_most(64.0)).at("http.headers", at_least(1.0));
    vec![
        bounded(large("header-of-4-kib", 4096).pass()).at("http.headers.x-large", like("^x{4096}$")),
        bounded(large("header-of-60-kib", 60_000).pass()).at("http.headers.x-large", like("^x{1,8192}$")),
        large("header-of-100-kib", 100_000).error("protocol_error").says("its head has .* more than 65536"),
        large("header-of-1-mib", 1024 * 1024).error("protocol_error").says("its head has more than 65536 bytes"),
        bounded(many("headers-100", 100).pass()),
        many("headers-101", 101).error("protocol_error").says("more than 100 headers$"),
        many("headers-50000", 50_000).error("protocol_error").says("is not valid HTTP"),
        row("headers-without-end")
            .server(Server::Script(vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\n"),
                Step::SayForEver(b"X-Name: value\r\n".repeat(100)),
            ]))
            .get(URL)
            .error("protocol_error")
            .says("is not valid HTTP"),
        row("header-without-end")
            .server(Server::Script(vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nX-Name: "),
                Step::SayForEver(vec![b'x'; 4096]),
            ]))
            .get(URL)
            .error("protocol_error")
            .says("is not valid HTTP"),
        row("header-name-of-100-kib")
            .server(answering(format!("{}: 1", "x".repeat(100_000)).as_bytes()))
            .get(URL)
            .error("protocol_error"),
    ]
}

fn evidence() -> Vec<Row> {
    vec![
        row("cookies-are-not-shown")
            .server(ok(&["Set-Cookie: sid=hunter2hunter2", "X-Auth-Token: hunter2hunter2"], "hush"))
            .get_expecting(URL, "status: 500")
            .fail("http_status")
            .at("http.headers.set-cookie", is("[redacted]"))
            .at("http.headers.x-auth-token", is("[redacted]"))
            .at("http.body_excerpt", is("hush")),
        row("challenges-are-shown")
            .server(answer("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"))
            .get(URL)
            .fail("http_status")
            .at("http.headers.www-authenticate", has("Basic realm")),
        row("secrets-that-come-back-are-not-shown")
            .server(Server::Paths)
            .check(
                "http: { url: 'http://{addr}/echo', headers: { Authorization: 'Bearer hunter2-hunter2' } }\n\
                 expect: { status: 500 }",
            )
            .fail("http_status")
            .at("http.body_excerpt", like(r#""authorization":"\[redacted\]""#)),
        row("an-excerpt-is-bounded")
            .server(answer(format!("HTTP/1.1 500 No\r\n\r\n{}", "ä".repeat(5000))))
            .get(URL)
            .fail("http_status")
            .at("http.body_excerpt", like("^ä{1024}$"))
            .at("http.body_bytes", is(10_000)),
        row("an-excerpt-of-what-is-not-text")
            .server(answer(b"HTTP/1.1 500 No\r\n\r\na\xff\xfeb\0c"))
            .get(URL)
            .fail("http_status")
            .at("http.body_excerpt", is("a\u{fffd}\u{fffd}b\0c"))
            .at("http.body_bytes", is(6)),
        row("no-excerpt-of-what-passed").server(ok(&[], "fine")).get(URL).pass().at("http.body_excerpt", absent()),
        row("phases-of-a-plain-request")
            .server(ok(&[], "ok"))
            .get(URL)
            .pass()
            .at("phases_us.connect", at_least(0.0))
            .at("phases_us.first_byte", at_least(1.0))
            .at("phases_us.receive", at_least(0.0))
            .at("phases_us.total", at_least(1.0))
            .at("phases_us.dns", absent())
            .at("phases_us.tls", absent())
            .at("tls", absent())
            .at("target.address", is("{addr}"))
            .at("target.name", is("http://{addr}/"))
            .at("check_type", is("http"))
            .connections(1),
    ]
}
