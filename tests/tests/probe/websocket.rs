//! `websocket` checks, against a server of another make and such as misbehave.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::{Outcome, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::python_server;
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::{Bench, Ran, eventually, loopback};

fn ws(path: &str, more: &str) -> String {
    format!(r#"{{"websocket": {{"url": "ws://svc.example{path}"{more}}}}}"#)
}

fn evidence(ran: &Ran) -> &watchpost_model::WebsocketEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Websocket(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_are_exchanged_with_a_real_server() {
    let server = python_server::websocket();
    let bench = Bench::new();
    let ran = bench.run(&ws("/", ""), server.address()).await;
    ran.assert_passed();
    assert_eq!((evidence(&ran).status, evidence(&ran).messages), (101, 0));
    assert!(ran.evidence.phases.first_byte.is_some());

    let ran = bench.run(&ws("/", r#", "send": "marco", "expect": "^marco$", "ping": true"#), server.address()).await;
    ran.assert_passed();
    assert!(ran.evidence.metrics["ping_ms"] > 0.0 && ran.evidence.phases.send.is_some());
    assert_eq!(
        (ran.assertion(0).expr.as_str(), ran.assertion(0).actual.as_str()),
        ("a message matches /^marco$/", "\"marco\"")
    );
    bench
        .run(&ws("/", r#", "send": {"base64": "bWFyY28="}, "expect": "marco""#), server.address())
        .await
        .assert_passed();
    let ran = bench.run(&ws("/greeting", r#", "expect": "^ready""#), server.address()).await;
    ran.assert_passed();
    assert_eq!(evidence(&ran).messages, 2);
    bench.run(&ws("/", r#", "ping": true"#), server.address()).await.assert_passed();

    let offer = r#", "subprotocols": ["v1", "v2"]"#;
    let ran = bench.run(&ws("/versions", offer), server.address()).await;
    ran.assert_passed();
    assert_eq!(evidence(&ran).subprotocol.as_deref(), Some("v2"));
    let ran = bench.run(&ws("/", offer), server.address()).await;
    ran.assert_ended(Outcome::Fail, "upgrade_refused");
    assert!(ran.message().ends_with("chose none of the subprotocols that the check offers"), "{}", ran.message());

    let that = r#"{"websocket": {"url": "ws://svc.example/", "send": "marco", "expect": "."},
        "expect": {"that": "status == 101 && message == 'marco' && messages == 1"}}"#;
    bench.run(that, server.address()).await.assert_passed();
}

#[tokio::test]
async fn passwords_are_accepted_and_refused_and_never_shown() {
    let server = python_server::websocket();
    let bench = Bench::new();
    bench
        .run(
            &ws("/secret", r#", "auth": {"basic": {"username": "ann", "password": "hunter2hunter2"}}"#),
            server.address(),
        )
        .await
        .assert_passed();
    let header = r#", "headers": {"Authorization": "Basic YW5uOmh1bnRlcjJodW50ZXIy"}"#;
    bench.run(&ws("/secret", header), server.address()).await.assert_passed();
    for more in ["", r#", "auth": {"basic": {"username": "ann", "password": "wrong-wrong"}}"#] {
        let ran = bench.run(&ws("/secret", more), server.address()).await;
        ran.assert_ended(Outcome::Fail, "auth_failed");
        assert!(
            ran.message().ends_with("does not let the check in: it answered with the status 401"),
            "{}",
            ran.message()
        );
        assert_eq!(evidence(&ran).status, 401);
        assert!(!format!("{ran:?}").contains("wrong-wrong"));
    }
}

#[tokio::test]
async fn tls_is_spoken_where_the_url_asks_for_it() {
    let authority = Authority::new().unwrap();
    let server = python_server::websocket_with_tls(&authority.files(Certificate::Valid, "svc.example").unwrap());
    let trusting = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let wss = ws("/", r#", "send": "marco", "expect": "marco""#).replacen("ws://", "wss://", 1);
    let ran = trusting.run(&wss, server.address()).await;
    ran.assert_passed();
    assert!(ran.evidence.phases.tls.is_some() && ran.evidence.tls.is_some());
    Bench::new().run(&wss, server.address()).await.assert_ended(Outcome::Error, "tls_unknown_issuer");
}

/// A server that answers the handshake with `answer`, in which `{accept}` is what the key asks for, and `{a thousand
/// messages}` are those.
async fn answering(answer: &'static str) -> Server {
    let handle = move |mut stream: TcpStream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let answer = answer.replace("{accept}", &accept(key));
        let answer = answer.replace("{a thousand messages}", &"\u{81}\u{1}x".repeat(1_000));
        // Its text stands for bytes.
        let bytes: Vec<u8> = answer.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        stream.write_all(&bytes).await.ok();
        stream.shutdown().await.ok();
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
    };
    Server::start(loopback(1), handle).await.unwrap()
}

fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    data_encoding::BASE64.encode(digest.as_ref())
}

macro_rules! opened {
    ($($more:literal)*) => {
        concat!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n",
            "Sec-WebSocket-Accept: {accept}\r\n", $($more)*
        )
    };
}

#[tokio::test]
async fn handshakes_that_are_refused_say_how() {
    for (answer, outcome, code, told) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", Outcome::Fail, "upgrade_refused", "with the status 404, expected 101"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Outcome::Fail, "upgrade_refused", "with the status 200"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: https://u:hunter2@b.example/ws\r\n\r\n",
            Outcome::Fail,
            "upgrade_refused",
            "redirects the check with the status 301 to https://b.example/ws: WebSockets are not redirected",
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Outcome::Fail, "auth_failed", "with the status 403"),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            Outcome::Error,
            "protocol_error",
            "answered 101 without `Sec-WebSocket-Accept`",
        ),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            Outcome::Error,
            "protocol_error",
            "that is not for the check's key",
        ),
        (
            "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            Outcome::Error,
            "protocol_error",
            "answered 101 without `upgrade: websocket`, and so not with a WebSocket: there is `h2c`",
        ),
        (opened!("Sec-WebSocket-Protocol: x\r\n\r\n"), Outcome::Error, "protocol_error", "chose the subprotocol `x`"),
        (
            opened!("Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            Outcome::Error,
            "protocol_error",
            "uses the extension `permessage-deflate`",
        ),
        ("HTTP/1.1 101 X\r\nno colon\r\n\r\n", Outcome::Error, "protocol_error", "`no colon`, which has no colon"),
        ("SSH-2.0-OpenSSH_9.2\r\n", Outcome::Error, "protocol_error", "it said \"SSH-2.0-OpenSSH_9.2\""),
        ("HTTP/1.1 101 X\r\nUpgra", Outcome::Error, "connection_closed", "in the middle of the answer"),
        ("", Outcome::Error, "connection_closed", "before the first byte"),
    ] {
        let server = answering(answer).await;
        let ran = Bench::new().run(&ws("/", ""), server.address()).await;
        ran.assert_ended(outcome, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        assert!(!format!("{ran:?}").contains("hunter2"));
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    let forever = Behaviour::SaysForEver(b"HTTP/1.1 101 X\r\n".to_vec()).start(loopback(1)).await.unwrap();
    let ran = Bench::new().run(&ws("/", ""), forever.address()).await;
    ran.assert_ended(Outcome::Error, "protocol_error");
}

#[tokio::test]
async fn what_comes_instead_of_the_message_is_told() {
    let server = python_server::websocket();
    let ran = Bench::new().run(&ws("/leaving", r#", "expect": "ready""#), server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    let told =
        "the server closed the WebSocket with 1011 (\"no database\") before a message matched /ready/: no message";
    assert_eq!(ran.message(), told);
    assert_eq!(evidence(&ran).close_code, Some(1011));
    let leaving = answering(opened!("\r\n\u{88}\u{2}\u{3}\u{f3}")).await;
    let ran = Bench::new().run(&ws("/", r#", "ping": true"#), leaving.address()).await;
    ran.assert_ended(Outcome::Error, "connection_closed");
    assert!(ran.message().ends_with("closed the WebSocket with 1011 before it answered the ping"), "{}", ran.message());

    // However much else comes, it is no answer to the ping.
    let talking = answering(opened!("\r\n{a thousand messages}")).await;
    let ran = Bench::new().run(&ws("/", r#", "ping": true"#), talking.address()).await;
    ran.assert_ended(Outcome::Error, "connection_closed");
    assert_eq!(evidence(&ran).messages, 1_000);

    let expect = r#", "expect": "ready""#;
    for (answer, code, told) in [
        (opened!("\r\n\u{81}\u{2}hi"), "connection_closed", "closed the connection"),
        (opened!("\r\n\u{82}\u{7f}\0\0\0\0\u{1}\0\0\0"), "protocol_error", "a message of more than 65536 bytes"),
        (opened!("\r\n\u{82}\u{7f}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}"), "protocol_error", "a message of"),
        (opened!("\r\n\u{83}\0"), "protocol_error", "does not follow the WebSocket protocol: "),
        (opened!("\r\n\u{81}\u{82}abcdhi"), "protocol_error", "does not follow the WebSocket protocol: "),
        (opened!("\r\n\u{81}\u{2}\u{ff}\u{ff}"), "protocol_error", "does not follow the WebSocket protocol: "),
        (opened!("\r\n\u{9}\0"), "protocol_error", "does not follow the WebSocket protocol: "),
    ] {
        let server = answering(answer).await;
        let ran = Bench::new().run(&ws("/", expect), server.address()).await;
        assert_eq!((ran.outcome, ran.code()), (Outcome::Error, code), "{answer:?}: {}", ran.message());
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    let limit = Duration::from_millis(150);
    let silent = Behaviour::Silent.start(loopback(1)).await.unwrap();
    let ran = Bench::new().run_until("first_byte_timeout", limit, &ws("/", ""), silent.address()).await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
    eventually("the server is alone", || silent.counts().open() == 0).await;
    let quiet = python_server::websocket();
    let ran = Bench::new()
        .run_until("first_byte_timeout", Duration::from_millis(800), &ws("/", expect), quiet.address())
        .await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
}
