//! Proxies, by HTTP and SOCKS 5, as scripts.

use crate::expected::is;
use crate::row::{Row, row};
use crate::server::{Server, Step, say};

/// A target that only a proxy could know.
const TLS_TARGET: &str = "https://svc.example/";
const PLAIN_TARGET: &str = "http://svc.example/";

fn through(name: &str, scheme: &str, url: &str, script: Vec<Step>) -> Row {
    row(format!("proxy-{name}"))
        .server(Server::Script(script))
        .check(format!("http: {{ url: '{url}', proxy: '{scheme}://{{addr}}' }}"))
}

pub fn rows() -> Vec<Row> {
    let connect =
        |name: &str, answer: &str| through(name, "http", TLS_TARGET, vec![Step::Hear, say(answer), Step::Close]);
    let socks = |name: &str, says: &[&[u8]]| {
        let turns = says.iter().flat_map(|said| [Step::HearSome, Step::Say(said.to_vec())]);
        through(name, "socks5h", PLAIN_TARGET, turns.chain([Step::Close]).collect())
    };
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    vec![
        through("passes-on", "http", PLAIN_TARGET, vec![Step::Hear, say(answer), Step::Close])
            .pass()
            .at("http.status", is(200)),
        connect("refuses", "HTTP/1.1 403 Forbidden\r\n\r\n")
            .error("proxy_error")
            .says("^the proxy {addr} did not connect to svc.example:443: status 403 Forbidden$"),
        connect("does-not-reach", "HTTP/1.1 504 Gateway Timeout\r\n\r\n").error("proxy_error").says("status 504"),
        connect("wants-a-login", "HTTP/1.1 407 Who?\r\n\r\n")
            .error("proxy_error")
            .says("wants a user and a password, and the check has none"),
        connect("is-none", "220 mail.example ESMTP\r\n\r\n").error("proxy_error").says("does not speak HTTP$"),
        connect("closes", "").error("proxy_error").says("closed the connection when it was asked for svc.example:443$"),
        through("is-silent", "http", TLS_TARGET, vec![Step::Hear])
            .within("1s")
            .timeout("connect_timeout")
            .says("^the proxy {addr} did not connect to svc.example:443 within [0-9.]+s: "),
        row("proxy-is-not-there")
            .server(Server::Closed)
            .check(format!("http: {{ url: '{TLS_TARGET}', proxy: 'http://{{addr}}' }}"))
            .error("connect_refused")
            .says("^the proxy cannot be reached: {addr} refused the connection"),
        socks("socks-passes-on", &[b"\x05\x00", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", answer.as_bytes()])
            .pass()
            .at("http.body_bytes", is(2)),
        socks("socks-is-refused", &[b"\x05\x00", b"\x05\x05\x00\x01"])
            .error("connect_refused")
            .says("^the proxy {addr} did not connect to svc.example:80: it refused the connection"),
        socks("socks-has-no-route", &[b"\x05\x00", b"\x05\x04\x00\x01"]).error("connect_unreachable"),
        socks("socks-does-not-allow-it", &[b"\x05\x00", b"\x05\x02\x00\x01"])
            .error("proxy_error")
            .says("rules do not allow"),
        socks("socks-wants-a-login", &[b"\x05\xff"]).error("proxy_error").says("wants a user and a password"),
        socks("socks-is-none", &[b"HTTP/1.1 400 Bad Request\r\n\r\n"])
            .error("proxy_error")
            .says("does not speak SOCKS 5$"),
        row("proxy-of-an-unknown-kind")
            .check(format!("http: {{ url: '{TLS_TARGET}', proxy: 'https://a:1' }}"))
            .refused("has the scheme `https`: expected `http`, `socks5` or `socks5h`"),
        row("proxy-with-a-path")
            .check(format!("http: {{ url: '{TLS_TARGET}', proxy: 'http://u:hunter2@a:1/x' }}"))
            .refused("the proxy `http://a:1/x` goes on behind its port"),
    ]
}
