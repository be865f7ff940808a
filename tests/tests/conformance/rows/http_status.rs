//! Status lines and status codes.

use crate::expected::{absent, has, is};
use crate::row::{Row, row};
use crate::server::{Server, Step, answer, answer_and_stay, response, say};

const URL: &str = "http://{addr}/";

pub fn rows() -> Vec<Row> {
    let mut rows = classes();
    rows.extend(expected_ones());
    rows.extend(before_the_answer());
    rows.extend(status_lines());
    rows
}

/// One of each class and of those that are special.
fn classes() -> Vec<Row> {
    [
        (200, true),
        (201, true),
        (202, true),
        (204, true),
        (206, true),
        (299, true),
        (300, true),
        (301, true),
        (304, true),
        (307, true),
        (399, true),
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (418, false),
        (429, false),
        (451, false),
        (499, false),
        (500, false),
        (502, false),
        (503, false),
        (599, false),
        (600, false),
        (999, false),
    ]
    .into_iter()
    .map(|(status, passes)| {
        let row = row(format!("status-{status}"))
            .server(answer(format!("HTTP/1.1 {status} Some Words\r\nContent-Length: 0\r\n\r\n")))
            .get(URL)
            .at("http.status", is(status))
            .at("assertions.0.actual", is(status.to_string()))
            .at("assertions.0.passed", is(passes));
        match passes {
            true => row.pass(),
            false => row.fail("http_status").says(&format!("^status is {status}, expected a status below 400$")),
        }
    })
    .collect()
}

fn expected_ones() -> Vec<Row> {
    [
        ("one", 503, "503", true),
        ("one-not", 200, "503", false),
        ("range", 204, "200-299", true),
        ("range-below", 200, "201-299", false),
        ("range-above", 300, "200-299", false),
        ("class", 404, "4xx", true),
        ("class-not", 500, "4xx", false),
        ("list", 404, "[200, 404]", true),
        ("list-not", 405, "[200, '4xx', '500-502']", true),
        ("list-of-all-not", 503, "[200, '4xx', '500-502']", false),
    ]
    .into_iter()
    .map(|(name, status, expect, passes)| {
        let row = row(format!("status-expected-{name}"))
            .server(answer(response(&format!("{status} X"), &[], "")))
            .get_expecting(URL, &format!("status: {expect}"))
            .at("http.status", is(status));
        match passes {
            true => row.pass(),
            false => row.fail("http_status").says(&format!("^status is {status}, expected ")),
        }
    })
    .collect()
}

fn before_the_answer() -> Vec<Row> {
    vec![
        row("hints-before-the-answer")
            .server(answer(
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            ))
            .get(URL)
            .pass()
            .at("http.status", is(200))
            .at("http.headers.link", absent()),
        row("continue-that-was-not-asked-for")
            .server(answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            .get(URL)
            .pass()
            .at("http.status", is(200)),
        row("many-hints-before-the-answer")
            .server(answer(
                "HTTP/1.1 102 Processing\r\n\r\n".repeat(50) + "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            ))
            .get(URL)
            .fail("http_status")
            .at("http.status", is(404)),
        row("hints-without-end")
            .server(Server::Script(vec![Step::Hear, Step::Drip(b"HTTP/1.1 102 Processing\r\n\r\n".to_vec())]))
            .get(URL)
            .timeout("receive_timeout")
            .says("^the head of the answer was not complete within "),
        row("hints-and-then-the-end")
            .server(answer("HTTP/1.1 103 Early Hints\r\n\r\n"))
            .get(URL)
            .error("connection_closed")
            .says("^{addr} closed the connection in the head of the answer"),
        row("switching-protocols-that-nobody-asked-for")
            .server(answer_and_stay("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
            .get(URL)
            .error("protocol_error")
            .says("{addr}.*101"),
    ]
}

fn status_lines() -> Vec<Row> {
    let wrong = |name: &str, line: &str| {
        row(format!("status-line-{name}"))
            .server(answer(format!("{line}\r\nContent-Length: 0\r\n\r\n")))
            .get(URL)
            .error("protocol_error")
            .says("^the answer of {addr} is not valid HTTP: ")
            .at("http", absent())
    };
    let right = |name: &str, line: &str, version: &str| {
        row(format!("status-line-{name}"))
            .server(answer(format!("{line}\r\nContent-Length: 2\r\n\r\nok")))
            .get_expecting(URL, "body_matches: '^ok$'")
            .pass()
            .at("http.version", is(version))
    };
    vec![
        right("of-http-1-0", "HTTP/1.0 200 OK", "HTTP/1.0"),
        right("without-words", "HTTP/1.1 200", "HTTP/1.1"),
        right("without-words-but-a-space", "HTTP/1.1 200 ", "HTTP/1.1"),
        wrong("missing", "Server: x"),
        wrong("of-http-2", "HTTP/2.0 200 OK"),
        wrong("of-no-version", "HTTP 200 OK"),
        wrong("of-another-protocol", "ICY 200 OK"),
        wrong("in-lower-case", "http/1.1 200 OK"),
        wrong("of-two-digits", "HTTP/1.1 20 OK"),
        wrong("of-four-digits", "HTTP/1.1 2000 OK"),
        wrong("of-letters", "HTTP/1.1 abc OK"),
        wrong("negative", "HTTP/1.1 -200 OK"),
        wrong("of-0", "HTTP/1.1 000 OK"),
        wrong("of-99", "HTTP/1.1 099 OK"),
        row("status-line-words-that-are-not-text")
            .server(answer(b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 0\r\n\r\n"))
            .get(URL)
            .pass(),
        row("status-line-without-end")
            .server(Server::Script(vec![Step::Hear, say("HTTP/1.1 200 "), Step::SayForEver(vec![b'x'; 4096])]))
            .get(URL)
            .error("protocol_error")
            .says("{addr}"),
        row("http-0-9")
            .server(answer("<html>it works</html>\n"))
            .get(URL)
            .error("protocol_error")
            .says("^the answer of {addr} is not valid HTTP: ")
            .at("http", absent()),
        row("empty-lines-before-the-status-line")
            .server(answer("\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            .get(URL)
            .pass(),
        row("status-line-reason-is-evidence-of-nothing")
            .server(answer(response("200 Internal Server Error", &[], "fine")))
            .get(URL)
            .pass()
            .at("http.headers.content-length", has("4")),
    ]
}
