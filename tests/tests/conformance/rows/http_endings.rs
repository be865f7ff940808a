//! Connections that end early, and answers that come late or never.

use crate::expected::{absent, is, present};
use crate::row::{Row, row};
use crate::server::{Server, Step, answer_and_stay, say};

const URL: &str = "http://{addr}/";
const POST: &str = "http: { url: 'http://{addr}/', method: POST, body: 'something' }";

pub fn rows() -> Vec<Row> {
    let mut rows = ended();
    rows.extend(stuck());
    rows.extend(early());
    rows
}

fn script(name: &str, steps: Vec<Step>) -> Row {
    row(name).server(Server::Script(steps)).get(URL)
}

fn ended() -> Vec<Row> {
    vec![
        script("closes-without-an-answer", vec![Step::Hear, Step::Close])
            .error("connection_closed")
            .says("^{addr} closed the connection before the first byte of an answer, after ")
            .at("http", absent())
            .at("phases_us.receive", absent()),
        script("closes-before-the-request", vec![Step::Close])
            .error("connection_closed")
            .says("^{addr} closed the connection before the first byte"),
        script("closes-in-the-status-line", vec![Step::Hear, say("HTTP/1.1 2"), Step::Close])
            .error("connection_closed")
            .says("^{addr} closed the connection in the head of the answer")
            .at("phases_us.receive", present()),
        script("closes-in-the-head", vec![Step::Hear, say("HTTP/1.1 200 OK\r\nServer: x\r\n"), Step::Close])
            .error("connection_closed")
            .says("in the head of the answer"),
        script("resets-before-an-answer", vec![Step::Hear, Step::Reset])
            .error("connection_reset")
            .says("^{addr} reset the connection before the first byte of an answer, after ")
            .at("http", absent()),
        script("resets-in-the-head", vec![Step::Hear, say("HTTP/1.1 200 OK\r\nSer"), Step::Reset])
            .error("connection_reset")
            .says("in the head of the answer"),
        script(
            "resets-after-a-whole-answer",
            vec![Step::Hear, say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Reset],
        )
        .pass(),
        script(
            "resets-a-body-that-only-its-end-completes",
            vec![Step::Hear, say("HTTP/1.1 200 OK\r\n\r\nok"), Step::Reset],
        )
        .error("connection_reset")
        .says("after 2 bytes$"),
        script("closes-without-an-answer-to-a-post", vec![Step::Hear, Step::Close])
            .check(POST)
            .error("connection_closed")
            // What was asked may have been done: it is not asked again.
            .connections(1),
    ]
}

fn stuck() -> Vec<Row> {
    vec![
        row("accepts-and-says-nothing")
            .server(Server::Script(Vec::new()))
            .get(URL)
            .timeout("first_byte_timeout")
            .says("^no first byte within [0-9.]+s: connected to {addr} in ")
            .at("http", absent())
            .at("phases_us.connect", present()),
        script("slow-loris-in-the-status-line", vec![Step::Hear, say("HTTP/1.1 200 "), Step::Drip(b"x".to_vec())])
            .timeout("receive_timeout")
            .says("^the head of the answer was not complete within [0-9.]+s: .*first byte after "),
        script(
            "slow-loris-in-the-headers",
            vec![Step::Hear, say("HTTP/1.1 200 OK\r\n"), Step::Drip(b"X-Drip: x\r\n".to_vec())],
        )
        .timeout("receive_timeout")
        .says("^the head of the answer was not complete"),
        script(
            "slow-loris-in-one-header",
            vec![Step::Hear, say("HTTP/1.1 200 OK\r\nX-Drip: "), Step::Drip(b"x".to_vec())],
        )
        .timeout("receive_timeout"),
        script(
            "slow-loris-in-the-body",
            vec![Step::Hear, say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), Step::Drip(b"x".to_vec())],
        )
        .timeout("receive_timeout")
        .says("^the answer was not complete within [0-9.]+s: .* bytes read$")
        .at("http.status", is(200)),
        script(
            "slow-loris-in-the-chunks",
            vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                Step::Drip(b"1\r\nx\r\n".to_vec()),
            ],
        )
        .timeout("receive_timeout")
        .says("bytes read$"),
        script(
            "slow-loris-in-an-extension",
            vec![Step::Hear, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"), Step::Drip(b"x".to_vec())],
        )
        .timeout("receive_timeout")
        .says("0 bytes read$"),
        script(
            "slow-loris-in-the-trailers",
            vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: "),
                Step::Drip(b"y".to_vec()),
            ],
        )
        .timeout("receive_timeout")
        .says("2 bytes read$"),
        row("stops-in-the-head")
            .server(answer_and_stay("HTTP/1.1 200 OK\r\nServer: x\r\n"))
            .get(URL)
            .timeout("receive_timeout")
            .says("^the head of the answer"),
        row("stops-in-the-body")
            .server(answer_and_stay("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"))
            .get(URL)
            .timeout("receive_timeout")
            .says("5 bytes read$")
            .at("http.body_bytes", is(5)),
        row("stops-before-the-last-chunk")
            .server(answer_and_stay("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"))
            .get(URL)
            .timeout("receive_timeout")
            .says("5 bytes read$"),
        row("never-closes-a-body-that-only-its-end-completes")
            .server(answer_and_stay("HTTP/1.1 200 OK\r\n\r\nbegun"))
            .get(URL)
            .timeout("receive_timeout")
            .says("5 bytes read$"),
        row("stops-with-a-status-that-fails")
            .server(answer_and_stay("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nbegun"))
            .get(URL)
            .timeout("receive_timeout")
            .at("http.status", is(500)),
    ]
}

/// Answers that do not wait for the request, or for all of it.
fn early() -> Vec<Row> {
    let large = format!("http: {{ url: 'http://{{addr}}/', method: POST, body: '{}' }}", "x".repeat(60_000));
    vec![
        script("answers-whoever-connects", vec![say("HTTP/1.0 503 Busy\r\n\r\nbusy"), Step::Close])
            .fail("http_status")
            .at("http.body_excerpt", is("busy")),
        script(
            "answers-before-a-large-request-is-read",
            vec![Step::HearSome, say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"), Step::Close],
        )
        .check(large)
        .fail("http_status")
        .at("http.status", is(413)),
        script(
            "answers-in-single-bytes",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".bytes().fold(vec![Step::Hear], |mut steps, byte| {
                steps.push(say(vec![byte]));
                steps
            }),
        )
        .pass()
        .at("http.body_bytes", is(2)),
    ]
}
