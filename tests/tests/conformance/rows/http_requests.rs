//! What a check sends.

use crate::expected::{absent, is};
use crate::row::{Row, row};
use crate::server::Server;

pub fn rows() -> Vec<Row> {
    let echoed = |name: &str, http: &str, contains: &[&str]| {
        let contains: Vec<String> = contains.iter().map(|text| format!("'{text}'")).collect();
        row(name)
            .server(Server::Paths)
            .check(format!("http: {{ {http} }}\nexpect: {{ body_contains: [{}] }}", contains.join(", ")))
            .pass()
            .connections(1)
    };
    let mut rows: Vec<Row> = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
        .iter()
        .map(|method| {
            let http = format!("url: 'http://{{addr}}/echo', method: {method}, body: 'a b'");
            let name = format!("method-{}", method.to_ascii_lowercase());
            echoed(&name, &http, &[&format!(r#""method":"{method}""#), r#""body":"a b""#])
        })
        .collect();
    rows.extend([
        echoed(
            "method-get-without-more",
            "url: 'http://{addr}/echo'",
            &[
                r#""method":"GET""#,
                r#""host":"{addr}""#,
                r#""connection":"close""#,
                r#""user-agent":"watchpost/"#,
                r#""accept":"*/*""#,
                r#""body":"""#,
            ],
        ),
        echoed(
            "headers-that-are-sent",
            "url: 'http://{addr}/echo', headers: { X-One: a, x-two: 'b c', Accept: t/x }",
            &[r#""x-one":"a""#, r#""x-two":"b c""#, r#""accept":"t/x""#],
        ),
        echoed(
            "host-of-ones-own",
            "url: 'http://{addr}/echo', headers: { Host: other.example }",
            &[r#""host":"other.example""#],
        ),
        echoed(
            "body-of-a-post-has-a-length",
            "url: 'http://{addr}/echo', method: POST, body: 'häh'",
            &[r#""content-length":"4""#, r#""body":"häh""#],
        ),
        echoed("post-without-a-body-says-so", "url: 'http://{addr}/echo', method: POST", &[r#""content-length":"0""#]),
        echoed("path-and-query", "url: 'http://{addr}/echo?a=b&c=%20#part'", &[r#""path":"/echo""#]),
        echoed("host-by-name", "url: 'http://{host}:{port}/echo'", &[r#""host":"{host}:{port}""#])
            .at("target.address", is("{addr}")),
        row("path-that-is-not-ascii")
            .server(Server::Paths)
            .get("http://{addr}/ä")
            .fail("http_status")
            .at("http.status", is(404)),
        row("url-without-a-path")
            .server(Server::Paths)
            .get("http://{addr}")
            .fail("http_status")
            .at("http.status", is(404)),
        row("upgrade-that-was-asked-for")
            .server(crate::server::answer_and_stay("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n"))
            .check("http: { url: 'http://{addr}/', headers: { Upgrade: websocket } }\nexpect: { status: 101 }")
            .pass()
            .at("http.status", is(101))
            .at("http.body_sha256", absent()),
    ]);
    rows
}
