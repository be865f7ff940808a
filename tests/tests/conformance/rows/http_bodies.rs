//! Bodies: how long they say they are, and how long they are.

use crate::expected::{absent, is};
use crate::row::{Row, row};
use crate::server::{Server, Step, answer, answer_and_stay, ok, response, say};

const URL: &str = "http://{addr}/";
/// The most of a body that a check reads.
const CAP: usize = 128 * 1024;
const SHA256_OF_OK: &str = "2689367b205c16ce32ed4200942b8b8b1e262dfc70d9bc9fbc77c49699a4f1df";

pub fn rows() -> Vec<Row> {
    let mut rows = whole();
    rows.extend(cut());
    rows.extend(lengths());
    rows.extend(chunks());
    rows.extend(without_a_body());
    rows.extend(capped());
    rows
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunked(body: &str) -> Server {
    answer(format!("{CHUNKED}{body}"))
}

/// A row whose body is `ok`.
fn says_ok(name: &str, server: Server) -> Row {
    row(name)
        .server(server)
        .get_expecting(URL, "body_matches: '^ok$'")
        .pass()
        .at("http.body_bytes", is(2))
        .at("http.body_sha256", is(SHA256_OF_OK))
        .at("http.body_truncated", is(false))
        .at("http.body_excerpt", absent())
}

fn whole() -> Vec<Row> {
    vec![
        says_ok("body-with-length", ok(&[], "ok")),
        says_ok("body-with-length-on-an-open-connection", answer_and_stay(response("200 OK", &[], "ok"))),
        says_ok("body-until-the-end", answer("HTTP/1.1 200 OK\r\n\r\nok")),
        says_ok("body-until-the-end-by-http-1-0", answer("HTTP/1.0 200 OK\r\n\r\nok")),
        says_ok("body-in-one-chunk", chunked("2\r\nok\r\n0\r\n\r\n")),
        says_ok("body-in-many-chunks", chunked("1\r\no\r\n1\r\nk\r\n0\r\n\r\n")),
        says_ok("body-in-chunks-with-extensions", chunked("2;name=\"value\"\r\nok\r\n0;last\r\n\r\n")),
        says_ok("body-in-chunks-with-trailers", chunked("2\r\nok\r\n0\r\nX-Trailer: x\r\n\r\n")),
        says_ok("body-in-chunks-of-zero-padded-sizes", chunked("0000002\r\nok\r\n0\r\n\r\n")),
        says_ok("body-in-chunks-on-an-open-connection", answer_and_stay(format!("{CHUNKED}2\r\nok\r\n0\r\n\r\n"))),
        says_ok("body-with-more-behind-it", ok(&[], "ok").and_also("HTTP/1.1 500 Nobody asked\r\n\r\n")),
        says_ok(
            "body-in-pieces",
            Server::Script(vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nConte"),
                say("nt-Length: 2\r"),
                say("\n\r\no"),
                say("k"),
                Step::Close,
            ]),
        ),
    ]
}

impl Server {
    /// The same script with this said before its last step.
    fn and_also(mut self, more: &str) -> Self {
        if let Self::Script(steps) = &mut self {
            steps.insert(steps.len() - 1, say(more));
        }
        self
    }
}

fn cut() -> Vec<Row> {
    let cut = |name: &str, server: Server, read: usize| {
        row(name)
            .server(server)
            .get(URL)
            .error("connection_closed")
            .says(&format!("^{{addr}} closed the connection in the middle of the answer, after {read} bytes$"))
            .at("http.status", is(200))
            .at("http.body_bytes", is(read))
    };
    vec![
        cut("body-cut-before-its-length", answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"), 3)
            .at("http.body_excerpt", is("cut")),
        cut("body-cut-before-it-begins", answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), 0)
            .at("http.body_excerpt", absent()),
        cut("body-cut-one-byte-before-its-end", answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), 2),
        cut("body-cut-in-a-chunk", chunked("10\r\ncut"), 3),
        cut("body-cut-behind-a-chunk", chunked("3\r\ncut\r\n"), 3),
        cut("body-cut-before-the-first-chunk", chunked(""), 0),
        cut("body-cut-in-the-size-of-a-chunk", chunked("3\r\ncut\r\n1"), 3),
        row("body-cut-by-a-reset")
            .server(Server::Script(vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"),
                Step::Reset,
            ]))
            .get(URL)
            .error("connection_reset")
            .says("^{addr} reset the connection in the middle of the answer, after 3 bytes$")
            .at("http.body_excerpt", is("cut")),
        row("chunks-cut-by-a-reset")
            .server(Server::Script(vec![Step::Hear, say(format!("{CHUNKED}3\r\ncut\r\n")), Step::Reset]))
            .get(URL)
            .error("connection_reset")
            .says("after 3 bytes$"),
    ]
}

fn lengths() -> Vec<Row> {
    let wrong = |name: &str, headers: &str| {
        row(name)
            .server(answer(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nok")))
            .get(URL)
            .error("protocol_error")
            .says("^the answer of {addr} is not valid HTTP: ")
    };
    vec![
        wrong("length-negative", "Content-Length: -2"),
        wrong("length-with-a-sign", "Content-Length: +2"),
        wrong("length-of-letters", "Content-Length: two"),
        wrong("length-empty", "Content-Length:"),
        wrong("length-hexadecimal", "Content-Length: 0x2"),
        wrong("length-beyond-64-bits", "Content-Length: 99999999999999999999999"),
        wrong("lengths-in-conflict", "Content-Length: 2\r\nContent-Length: 3"),
        wrong("lengths-in-conflict-in-one-line", "Content-Length: 2, 3"),
        wrong("chunks-by-http-1-0", "x: y")
            .replacing_server(answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")),
        says_ok("length-twice-the-same", answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok")),
        says_ok(
            "length-and-chunks",
            answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ),
        row("length-of-many-exabytes")
            .server(answer("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nok"))
            .get(URL)
            .error("connection_closed")
            .says("after 2 bytes$"),
    ]
}

fn chunks() -> Vec<Row> {
    let wrong = |name: &str, body: &str| {
        row(name)
            .server(chunked(body))
            .get(URL)
            .error("protocol_error")
            .says("^the answer of {addr} ")
            .at("http.status", is(200))
    };
    vec![
        wrong("chunk-size-of-letters", "xyz\r\nok\r\n0\r\n\r\n"),
        wrong("chunk-size-negative", "-2\r\nok\r\n0\r\n\r\n"),
        wrong("chunk-size-empty", "\r\nok\r\n0\r\n\r\n"),
        wrong("chunk-size-beyond-64-bits", "11111111111111111\r\nok"),
        wrong("chunk-without-its-end", "2\r\nokay\r\n0\r\n\r\n"),
        wrong("chunk-with-an-endless-extension", &format!("2;{}", "x".repeat(100_000))),
        wrong("chunks-with-endless-trailers", &format!("0\r\n{}", "X-Trailer: x\r\n".repeat(20_000))),
        row("chunk-size-of-almost-64-bits")
            .server(chunked("fffffffffffffff\r\nok"))
            .get(URL)
            .error("connection_closed")
            .says("after 2 bytes$"),
    ]
}

fn without_a_body() -> Vec<Row> {
    let head = "http: { url: 'http://{addr}/', method: HEAD }";
    let empty = |name: &str, status: &str, headers: &str, body: &str| {
        row(name)
            .server(answer_and_stay(format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}")))
            .get(URL)
            .pass()
            .at("http.body_bytes", is(0))
            .at("http.body_sha256", absent())
    };
    vec![
        empty("no-content", "204 No Content", "", ""),
        empty("no-content-with-a-body", "204 No Content", "Content-Length: 4\r\n", "oops"),
        empty("not-modified-with-a-length", "304 Not Modified", "Content-Length: 4\r\n", ""),
        empty("not-modified-with-a-body", "304 Not Modified", "Content-Length: 4\r\n", "oops"),
        empty("body-of-no-length", "200 OK", "Content-Length: 0\r\n", ""),
        empty("body-of-no-chunks", "200 OK", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        empty("head-with-a-length", "200 OK", "Content-Length: 1000\r\n", "").check(head),
        empty("head-with-chunks", "200 OK", "Transfer-Encoding: chunked\r\n", "").check(head),
        empty("head-with-a-body", "200 OK", "Content-Length: 4\r\n", "oops").check(head),
        empty("head-until-the-end", "200 OK", "", "").check(head),
        empty("head-of-something-packed", "200 OK", "Content-Encoding: gzip\r\nContent-Length: 9\r\n", "").check(head),
        row("head-that-fails")
            .server(answer_and_stay("HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"))
            .check(head)
            .fail("http_status")
            .at("http.body_excerpt", absent()),
    ]
}

fn capped() -> Vec<Row> {
    let capped = |name: &str, server: Server, read: usize, truncated: bool| {
        row(name)
            .server(server)
            .get(URL)
            .pass()
            .at("http.body_bytes", is(read))
            .at("http.body_truncated", is(truncated))
    };
    let long = |bytes: usize| ok(&[], vec![b'a'; bytes]);
    vec![
        capped("body-one-below-the-cap", long(CAP - 1), CAP - 1, false),
        capped("body-as-long-as-the-cap", long(CAP), CAP, false),
        capped("body-one-beyond-the-cap", long(CAP + 1), CAP, true),
        capped("body-far-beyond-the-cap", long(5_000_000), CAP, true),
        capped(
            "body-without-end",
            Server::Script(vec![Step::Hear, say("HTTP/1.1 200 OK\r\n\r\n"), Step::SayForEver(vec![b'a'; 8192])]),
            CAP,
            true,
        ),
        capped(
            "chunks-without-end",
            Server::Script(vec![Step::Hear, say(CHUNKED), Step::SayForEver(b"5\r\nchunk\r\n".repeat(500))]),
            CAP,
            true,
        ),
        capped(
            "body-that-fills-the-cap-and-stops",
            answer_and_stay(format!("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n{}", "a".repeat(CAP))),
            CAP,
            true,
        ),
    ]
}
