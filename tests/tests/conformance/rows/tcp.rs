//! Plain TCP.

use std::time::Duration;

use watchpost_tests::tcp_fixture::Behaviour;

use crate::expected::{absent, has, is, present};
use crate::row::{Row, row};
use crate::server::{Server, Step, say};

pub fn rows() -> Vec<Row> {
    let mut rows = connects();
    rows.extend(answers());
    rows.extend(no_answers());
    rows
}

fn tcp(name: &str, server: Server, more: &str) -> Row {
    let comma = if more.is_empty() { "" } else { ", " };
    row(format!("tcp-{name}")).server(server).check(format!("tcp: {{ address: '{{addr}}'{comma}{more} }}"))
}

fn connects() -> Vec<Row> {
    let silent = || Server::Tcp(Behaviour::Silent);
    vec![
        tcp("connects", silent(), "")
            .pass()
            .at("check_type", is("tcp"))
            .at("target.address", is("{addr}"))
            .at("phases_us.connect", present())
            .at("phases_us.first_byte", absent())
            .at("assertions", absent())
            .at("http", absent())
            .connections(1),
        tcp("connects-to-who-closes", Server::Script(vec![Step::Close]), "").pass(),
        tcp("refused", Server::Closed, "")
            .error("connect_refused")
            .says("^{addr} refused the connection after [0-9.]+ ms$")
            .at("target.address", is("{addr}"))
            .at("phases_us.connect", present()),
        tcp("full-queue", Server::Full, "")
            .timeout("connect_timeout")
            .says("^no connection to {addr} within [0-9.]+s$")
            .at("target.address", is("{addr}")),
        tcp("sends", silent(), "send: \"hello\\r\\n\"").pass().at("phases_us.send", present()),
        row("tcp-connects-by-ipv6")
            .server_on("::1", silent())
            .check("tcp: { address: '{addr}' }")
            .pass()
            .at("target.address", is("{addr}")),
        row("tcp-connects-by-name")
            .server(silent())
            .check("tcp: { address: '{host}:{port}' }")
            .pass()
            .at("target.address", is("{addr}"))
            .at("target.name", is("{host}:{port}"))
            .at("phases_us.dns", present()),
        row("tcp-refused-by-name")
            .server(Server::Closed)
            .check("tcp: { address: '{host}:{port}' }")
            .error("connect_refused")
            .says(r"^{addr} \({host}\) refused the connection after "),
        row("tcp-latency")
            .server(Server::Script(vec![Step::Wait(Duration::from_millis(60)), say("220 hi\r\n")]))
            .check("tcp: { address: '{addr}', expect: '^220' }\nexpect: { max_latency: 50ms }")
            .fail("assertion_failed")
            .says("^total is .*, expected less than 50ms$")
            .at("assertions.0.passed", is(true)),
    ]
}

fn answers() -> Vec<Row> {
    let says = |bytes: &[u8]| Server::Tcp(Behaviour::Says(bytes.to_vec()));
    let long = [vec![b'x'; 60_000], b"ready".to_vec()].concat();
    vec![
        tcp("banner", says(b"220 mail.example ESMTP\r\n"), "expect: '^220 '")
            .pass()
            .at("assertions.0.expr", is("answer matches /^220 /"))
            .at("assertions.0.actual", has("220 mail.example ESMTP"))
            .at("phases_us.first_byte", present())
            .at("phases_us.receive", present()),
        tcp("banner-with-words-behind-it", says(b"SSH-2.0-x\r\n\0\0\x01\xff"), "expect: '^SSH-2\\.0-'").pass(),
        tcp(
            "banner-byte-by-byte",
            Server::Tcp(Behaviour::Trickles(b"+OK ready\r\n".to_vec(), Duration::from_millis(1))),
            "expect: 'ready\\r'",
        )
        .pass(),
        tcp("banner-and-the-end", Server::Tcp(Behaviour::SaysAndCloses(b"+PONG\r\n".to_vec())), "expect: PONG").pass(),
        tcp("binary", says(&[0, 1, 2, 0xff, 0xfe]), "expect: '(?-u)^\\x00\\x01\\x02\\xff'").pass(),
        tcp("echo", Server::Tcp(Behaviour::Echoes), "send: \"PING\\r\\n\", expect: '^PING'")
            .pass()
            .at("phases_us.send", present()),
        tcp(
            "dialogue",
            Server::Script(vec![Step::HearSome, say("+PONG\r\n")]),
            "send: \"PING\\r\\n\", expect: '^\\+PONG'",
        )
        .pass(),
        tcp("match-at-the-end-of-much", Server::Tcp(Behaviour::Says(long)), "expect: 'ready$'").pass(),
        tcp("mismatch", Server::Tcp(Behaviour::SaysAndCloses(b"500 no".to_vec())), "expect: '^220'")
            .fail("assertion_failed")
            .says(r#"^the peer closed the connection before the answer matched /\^220/; it sent 6 bytes: "500 no"$"#)
            .at("assertions.0.passed", is(false)),
        tcp("mismatch-of-binary", Server::Tcp(Behaviour::SaysAndCloses(vec![0, 0xff, 0x1b])), "expect: ok")
            .fail("assertion_failed")
            .says("it sent 3 bytes: "),
        tcp("answer-too-large", Server::Tcp(Behaviour::SaysForEver(vec![b'x'; 1000])), "expect: y")
            .fail("assertion_failed")
            .says("^the peer sent 65536 bytes, the most that is read, before the answer matched /y/"),
    ]
}

fn no_answers() -> Vec<Row> {
    vec![
        tcp("closes-without-an-answer", Server::Script(vec![Step::Close]), "expect: x")
            .fail("assertion_failed")
            .says("it sent nothing$"),
        tcp("resets-without-an-answer", Server::Tcp(Behaviour::Resets), "send: x, expect: y")
            .error("connection_reset")
            .says("^{addr} reset the connection before the first byte of an answer"),
        tcp(
            "resets-in-an-answer",
            Server::Script(vec![Step::HearSome, say("mumble"), Step::Reset]),
            "send: x, expect: y",
        )
        .error("connection_reset")
        .says("^{addr} reset the connection in the middle of the answer, after 6 bytes$"),
        tcp("says-nothing", Server::Tcp(Behaviour::Silent), "expect: x")
            .timeout("first_byte_timeout")
            .says("^no first byte within [0-9.]+s: connected to {addr} in "),
        tcp("mumbles", Server::Tcp(Behaviour::Says(b"mumble".to_vec())), "expect: x")
            .timeout("receive_timeout")
            .says("6 bytes read$"),
        tcp("slow-loris", Server::Script(vec![Step::Drip(b"m".to_vec())]), "expect: x").timeout("receive_timeout"),
    ]
}
