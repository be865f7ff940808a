//! `http` checks by HTTP/2.

use std::time::Duration;

use tokio_rustls::rustls::ServerConfig;
use watchpost_model::{CheckType, Outcome};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::http2_fixture::{Http2Fixture, Script, frame};
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate, TlsFixture};

use crate::{Bench, Ran, eventually, loopback};

const HOST: &str = "svc.example";
/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, from HPACK's table of common headers.
const STATUS_200: &[u8] = &[0x88];

/// A check that speaks HTTP/2 to a server without TLS.
fn known(path: &str, more: &str) -> String {
    format!(r#"{{"http": {{"url": "http://{HOST}{path}", "version": 2}}{more}}}"#)
}

fn over_tls(path: &str, settings: &str, more: &str) -> String {
    format!(r#"{{"http": {{"url": "https://{HOST}{path}"{settings}}}{more}}}"#)
}

fn trusting(authority: &Authority) -> Bench {
    Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]))
}

fn config(authority: &Authority) -> ServerConfig {
    authority.server_config(Certificate::Valid, HOST).unwrap()
}

async fn against(script: Script) -> (Ran, Server) {
    let server = script.start(loopback(7)).await.unwrap();
    let ran = Bench::new().run_within(Duration::from_secs(10), &known("/", ""), server.address()).await;
    (ran, server)
}

#[tokio::test]
async fn over_tls_both_versions_are_offered_and_the_server_decides() {
    let authority = Authority::new().unwrap();
    let bench = trusting(&authority);
    let newer = Http2Fixture::start(loopback(7), Some(config(&authority))).await.unwrap();
    let older = TlsFixture::start(loopback(7), "a", &authority, Certificate::Valid, HOST).await.unwrap();
    for (address, version) in [(newer.address(), "HTTP/2"), (older.address(), "HTTP/1.1")] {
        let ran = bench.run(&over_tls("/ok", "", r#", "expect": {"body_matches": "^ok$"}"#), address).await;
        ran.assert_passed();
        assert_eq!((ran.http().version.as_str(), ran.http().body_bytes), (version, 2));
        let phases = ran.evidence.phases;
        assert!(phases.tls.is_some() && phases.send.is_some() && phases.first_byte.is_some(), "{phases:?}");
    }
    eventually("both servers are alone", || newer.counts().open() + older.counts().open() == 0).await;
}

#[tokio::test]
async fn a_check_can_insist_on_a_version() {
    let authority = Authority::new().unwrap();
    let bench = trusting(&authority);
    let both = |protocols: &[&[u8]]| {
        let mut config = config(&authority);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    };
    let newer = Http2Fixture::start(loopback(7), Some(config(&authority))).await.unwrap();
    let older = TlsFixture::start_with(loopback(7), "a", both(&[b"http/1.1"])).await.unwrap();
    let silent = TlsFixture::start_with(loopback(7), "a", both(&[])).await.unwrap();
    for (version, address, code, told) in [
        (r#""2""#, newer.address(), "", ""),
        ("1.1", older.address(), "", ""),
        ("1.1", silent.address(), "", ""),
        ("1.1", newer.address(), "tls_error", "agrees to none of the protocols that are offered by ALPN"),
        ("2", older.address(), "tls_error", "agrees to none of the protocols that are offered by ALPN"),
        ("2", silent.address(), "protocol_error", "did not agree to speak HTTP/2, on which the check insists"),
    ] {
        let ran = bench.run(&over_tls("/ok", &format!(r#", "version": {version}"#), ""), address).await;
        assert_eq!(ran.code(), code, "{version}: {ran:?}");
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn a_server_that_is_known_to_speak_it_needs_no_tls() {
    let server = Http2Fixture::start(loopback(7), None).await.unwrap();
    let ran = Bench::new().run(&known("/ok", r#", "expect": {"body_matches": "^ok$"}"#), server.address()).await;
    ran.assert_passed();
    assert_eq!((ran.http().version.as_str(), ran.http().status), ("HTTP/2", 200));
    let hop = &ran.evidence.hops[0];
    let phases: Vec<_> = hop.spans.iter().map(|span| span.phase.as_str()).collect();
    assert_eq!(phases, ["connect", "send", "first_byte", "receive"]);
    let missing = Bench::new().run(&known("/status/503", ""), server.address()).await;
    missing.assert_ended(Outcome::Fail, "http_status");
    assert_eq!(missing.http().body_excerpt.as_deref(), Some("status"));
}

#[tokio::test]
async fn the_request_arrives_as_it_is_meant() {
    let server = Http2Fixture::start(loopback(7), None).await.unwrap();
    let json = r#"{"http": {"url": "http://svc.example:81/echo?a=b", "method": "PUT", "body": "häh?", "version": 2,
        "headers": {"X-Key": "v", "TE": "gzip", "Keep-Alive": "1", "Upgrade": "x", "Proxy-Connection": "x"}},
        "expect": {"body_contains": ["\"method\":\"PUT\"", "\"body\":\"häh?\"", "\"path\":\"/echo?a=b\"",
        "\"scheme\":\"http\"", "\"authority\":\"svc.example:81\"", "\"x-key\":\"v\"", "\"content-length\":\"5\"",
        "\"accept-encoding\":", "\"user-agent\":\"watchpost/"]}}"#;
    let ran = Bench::new().run(json, server.address()).await;
    ran.assert_passed();
    let own = r#"{"http": {"url": "http://svc.example/echo", "headers": {"Host": "other.example"}, "version": 2},
        "expect": {"status": 500, "body_contains": "\"authority\":\"other.example\""}}"#;
    let ran = Bench::new().run(own, server.address()).await;
    assert!(ran.assertion(1).passed, "{ran:?}");
    let body = ran.http().body_excerpt.as_deref().unwrap();
    for absent in ["\"host\"", "\"connection\"", "content-length"] {
        assert!(!body.contains(absent), "{body}");
    }
    let odd = r#"{"http": {"url": "http://svc.example/echo", "headers": {"Host": "a b"}, "version": 2}}"#;
    Bench::new().run(odd, server.address()).await.assert_ended(Outcome::Error, "invalid_target");
}

#[tokio::test]
async fn bodies_larger_than_any_window_go_out_and_come_in() {
    let server = Http2Fixture::start(loopback(7), None).await.unwrap();
    let body = "x".repeat(65_536);
    for (path, expected) in [("/early", "^counted 65536$"), ("/echo", "\"body\":\"x{500}")] {
        let json = format!(
            r#"{{"http": {{"url": "http://{HOST}{path}", "method": "POST", "body": "{body}", "version": 2}},
                "expect": {{"body_matches": {}}}}}"#,
            serde_json::to_string(expected).unwrap()
        );
        let ran = Bench::new().run(&json, server.address()).await;
        ran.assert_passed();
        assert!(ran.evidence.hops[0].spans.len() <= 4, "{:?}", ran.evidence.hops);
    }
    const CAP: u64 = 128 * 1024;
    for (bytes, truncated) in [(CAP, false), (CAP + 1, true), (20_000_000, true)] {
        let ran = Bench::new().run(&known(&format!("/large/{bytes}"), ""), server.address()).await;
        ran.assert_passed();
        let http = ran.http();
        // Without a length in the head, it may go on where the cap is reached.
        assert_eq!(http.body_bytes, CAP);
        assert!(http.body_truncated || !truncated, "{bytes}");
    }
    eventually("the server is alone", || server.counts().open() == 0).await;
}

#[tokio::test]
async fn a_redirect_is_followed_by_the_same_version() {
    let server = Http2Fixture::start(loopback(7), None).await.unwrap();
    let json = r#"{"http": {"url": "http://svc.example/redirect", "max_redirects": 1, "version": 2}}"#;
    let ran = Bench::new().run(json, server.address()).await;
    ran.assert_passed();
    assert_eq!((ran.evidence.hops.len(), ran.http().version.as_str()), (2, "HTTP/2"));
    for hop in &ran.evidence.hops {
        assert!(hop.spans.len() >= 3, "{hop:?}");
    }
}

#[tokio::test]
async fn what_ends_an_exchange_is_told() {
    let server = Http2Fixture::start(loopback(7), None).await.unwrap();
    for (path, outcome, code, told) in [
        ("/reset", Outcome::Error, "connection_reset", "reset the stream (RST_STREAM with INTERNAL_ERROR)"),
        ("/reset-body", Outcome::Error, "connection_reset", "in the middle of the answer, after 5 bytes"),
        ("/hang", Outcome::Timeout, "first_byte_timeout", "no first byte within 300ms"),
        ("/hang-body", Outcome::Timeout, "receive_timeout", "5 bytes read"),
    ] {
        let ran = Bench::new().run_within(Duration::from_millis(300), &known(path, ""), server.address()).await;
        ran.assert_ended(outcome, code);
        assert!(ran.message().contains(told), "{path}: {}", ran.message());
    }
    eventually("the server is alone", || server.counts().open() == 0).await;
}

fn go_away(reason: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, reason])
}

#[tokio::test]
async fn a_server_that_breaks_http2_is_an_error_with_a_code_and_a_sentence() {
    let head = || frame(HEADERS, END_HEADERS, 1, STATUS_200);
    let with_length = [STATUS_200, &[0x0f, 0x0d, 1, b'9']].concat();
    // A literal of 70 000 bytes: its length is written in HPACK's way, the rest follows in further frames.
    let mut huge = vec![0x88, 0, 1, b'x', 0x7f, 0xf1, 0xa1, 0x04];
    huge.resize(16_000, b'a');
    let (more, last) =
        (frame(CONTINUATION, 0, 1, &[b'a'; 16_000]), frame(CONTINUATION, END_HEADERS, 1, &[b'a'; 6_008]));
    let rows: Vec<(&str, Vec<Vec<u8>>, &str, &str)> = vec![
        ("goaway", vec![go_away(0)], "connection_closed", "closed the connection to further requests (GOAWAY)"),
        ("calm", vec![go_away(11)], "connection_reset", "(GOAWAY with ENHANCE_YOUR_CALM)"),
        ("refused", vec![frame(RST_STREAM, 0, 1, &[0, 0, 0, 7])], "connection_reset", "RST_STREAM with REFUSED_STREAM"),
        (
            "older",
            vec![frame(RST_STREAM, 0, 1, &[0, 0, 0, 13])],
            "protocol_error",
            "asks for HTTP/1.1 in place of HTTP/2",
        ),
        ("unknown", vec![frame(RST_STREAM, 0, 1, &[0, 0, 1, 0])], "connection_reset", "RST_STREAM with "),
        ("data first", vec![frame(DATA, END_STREAM, 1, b"x")], "protocol_error", "is not valid HTTP/2"),
        ("bad hpack", vec![frame(HEADERS, END_HEADERS, 1, &[0xff; 9])], "protocol_error", "is not valid HTTP/2"),
        ("no status", vec![frame(HEADERS, END_HEADERS, 1, &[])], "protocol_error", "is not valid HTTP/2"),
        ("another stream", vec![frame(HEADERS, END_HEADERS, 2, STATUS_200)], "protocol_error", "is not valid HTTP/2"),
        (
            "push",
            vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x88])],
            "protocol_error",
            "is not valid HTTP/2",
        ),
        ("no window", vec![frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0])], "protocol_error", "is not valid HTTP/2"),
        (
            "too much window",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])],
            "protocol_error",
            "FLOW_CONTROL_ERROR",
        ),
        ("huge frame", vec![vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]], "protocol_error", "FRAME_SIZE_ERROR"),
        ("odd settings", vec![frame(SETTINGS, 0, 0, &[1, 2, 3])], "protocol_error", "is not valid HTTP/2"),
        (
            "short",
            vec![frame(HEADERS, END_HEADERS, 1, &with_length), frame(DATA, END_STREAM, 1, b"no")],
            "protocol_error",
            "is not valid HTTP/2",
        ),
        ("broken off", vec![head(), frame(DATA, 0, 1, b"begun")], "connection_closed", "after 5 bytes"),
        ("cut frame", vec![head(), vec![0, 0, 9, DATA, 0]], "connection_closed", "closed the connection"),
        ("nothing", vec![], "connection_closed", "closed the connection before the first byte"),
        (
            "huge head",
            vec![frame(HEADERS, 0, 1, &huge), more.clone(), more.clone(), more.clone(), last],
            "protocol_error",
            "or its head takes more than 64 KiB",
        ),
    ];
    for (name, frames, code, told) in rows {
        let (ran, server) = against(Script { closes: true, ..Script::new(&frames) }).await;
        assert_eq!((ran.outcome, ran.code()), (Outcome::Error, code), "{name}: {ran:?}");
        assert!(ran.message().contains(told), "{name}: {}", ran.message());
        let whom = format!("{} ({HOST})", server.address());
        assert!(ran.message().contains(&whom), "{name}: {}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
}

/// What never ends is cut short long before the deadline, and kept nowhere.
#[tokio::test]
async fn floods_end_by_themselves() {
    let endless_head = frame(HEADERS, 0, 1, STATUS_200);
    let head = frame(HEADERS, END_HEADERS, 1, STATUS_200);
    let hint = frame(HEADERS, END_HEADERS, 1, &[0x08, 3, b'1', b'0', b'3']);
    for (name, begins, repeats) in [
        ("settings", vec![], frame(SETTINGS, 0, 0, &[])),
        ("pings", vec![], frame(PING, 0, 0, &[0; 8])),
        ("windows", vec![], frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("unknown frames", vec![], frame(0xee, 0, 0, &[0; 100])),
        ("empty continuations", vec![endless_head.clone()], frame(CONTINUATION, 0, 1, &[])),
        ("continuations", vec![endless_head], frame(CONTINUATION, 0, 1, &[0x82; 1_000])),
        ("empty data", vec![head.clone()], frame(DATA, 0, 1, &[])),
        ("padding", vec![head], frame(DATA, 8, 1, &[99; 100])),
        ("hints", vec![], hint),
    ] {
        let repeats = repeats.repeat(64);
        let (ran, server) = against(Script { repeats, ..Script::new(&begins) }).await;
        ran.assert_ended(Outcome::Error, "protocol_error");
        assert!(ran.message().contains("the answer of "), "{name}: {}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
}

#[tokio::test]
async fn a_server_of_http1_is_told_apart() {
    let older = HttpFixture::start_on(loopback(7), "a").await.unwrap();
    let says = b"HTTP/1.0 400 Bad Request\r\n\r\n".to_vec();
    let rude = Behaviour::SaysAndCloses(says).start(loopback(7)).await.unwrap();
    for (address, told) in
        [(older.address(), "it is one of HTTP/1, and the check speaks HTTP/2"), (rude.address(), "HTTP/1, and the")]
    {
        let ran = Bench::new().run(&known("/ok", ""), address).await;
        ran.assert_ended(Outcome::Error, "protocol_error");
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

/// Dropping a check that is under way leaves neither a connection nor a task.
#[tokio::test]
async fn a_cancelled_check_closes_its_connection_at_once() {
    let authority = Authority::new().unwrap();
    let bench = trusting(&authority);
    let server = Http2Fixture::start(loopback(7), Some(config(&authority))).await.unwrap();
    for path in ["/hang", "/hang-body"] {
        let task = crate::task(&over_tls(path, "", ""), Some(server.address()));
        let mut probe = bench.probe(CheckType::Http);
        let recorder = watchpost_probe::Recorder::new();
        {
            let mut running = probe.run(&task, &recorder);
            let connected = eventually("the check is connected", || server.counts().open() == 1);
            tokio::select! {
                verdict = &mut running => panic!("{path} ended by itself: {verdict:?}"),
                () = connected => {}
            }
        }
        eventually("the connection is closed", || server.counts().open() == 0).await;
    }
}
