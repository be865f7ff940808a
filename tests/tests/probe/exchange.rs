//! `http` checks against servers that answer in ways that no HTTP library would, or at odd times.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::ready;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio_rustls::TlsAcceptor;
use watchpost_model::{CheckType, Outcome};
use watchpost_probe::{Recorder, Resolver, TlsRoots};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::{AMPLE, Bench, Ran, eventually, loopback, run_task, task};

const HOST: &str = "svc.example";
const GET: &str = r#"{"http": {"url": "http://svc.example/"}}"#;

/// What a server does after its answer.
#[derive(Debug, Clone, Copy)]
enum Then {
    Close,
    Stay,
    Reset,
}

/// Reads the head of a request, and of what follows as little as comes with it.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) {
    let mut heard = Vec::new();
    while !heard.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// A server that answers each request with `bytes`.
async fn answering(bytes: impl Into<Vec<u8>>, then: Then) -> Server {
    let bytes: Arc<[u8]> = bytes.into().into();
    Server::start(loopback(6), move |mut stream: TcpStream| {
        let bytes = Arc::clone(&bytes);
        async move {
            hear(&mut stream).await;
            stream.write_all(&bytes).await.ok();
            match then {
                Then::Close => stream.shutdown().await.ok(),
                Then::Stay => tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop).ok(),
                Then::Reset => {
                    // The reset must not overtake what was sent before the check has read it.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    stream.set_zero_linger().ok()
                }
            };
        }
    })
    .await
    .unwrap()
}

async fn answered(json: &str, bytes: &str, then: Then) -> Ran {
    let server = answering(bytes, then).await;
    let ran = Bench::new().run(json, server.address()).await;
    eventually("the server is alone", || server.counts().open() == 0).await;
    ran
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_whatever_its_length_says() {
    let head = r#"{"http": {"url": "http://svc.example/", "method": "HEAD"}}"#;
    let ran = answered(head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Then::Stay).await;
    ran.assert_passed();
    assert_eq!((ran.http().body_bytes, ran.http().headers["content-length"].as_str()), (0, "5"));
}

#[tokio::test]
async fn hints_before_an_answer_and_trailers_behind_it_are_no_part_of_it() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nok\r\n0\r\nX-Trailer: x\r\n\r\n";
    let json = r#"{"http": {"url": "http://svc.example/"}, "expect": {"body_matches": "^ok$"}}"#;
    let ran = answered(json, answer, Then::Stay).await;
    ran.assert_passed();
    assert_eq!((ran.http().status, ran.http().headers.contains_key("link")), (200, false));
}

#[tokio::test]
async fn a_server_that_keeps_the_connection_open_is_not_waited_for() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
    let ran = answered(GET, answer, Then::Stay).await;
    ran.assert_passed();
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
}

#[tokio::test]
async fn an_answer_that_comes_before_a_large_request_was_read_counts() {
    let post =
        format!(r#"{{"http": {{"url": "http://svc.example/", "method": "POST", "body": "{}"}}}}"#, "x".repeat(65_536));
    let whole = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
    for then in [Then::Stay, Then::Reset] {
        let ran = answered(&post, whole, then).await;
        ran.assert_ended(Outcome::Fail, "http_status");
        assert_eq!((ran.http().status, ran.http().body_bytes), (413, 2));
    }
    let cut = "HTTP/1.1 413 Too Large\r\nContent-Length: 100\r\n\r\nno";
    answered(&post, cut, Then::Reset).await.assert_ended(Outcome::Error, "connection_reset");
}

/// `xinetd` and `nc -l` answer whoever connects, without having heard a request.
#[tokio::test]
async fn an_answer_that_is_there_before_the_request_counts() {
    let answer = b"HTTP/1.0 503 Busy\r\n\r\nbusy".to_vec();
    for behaviour in [
        Behaviour::SaysAndCloses(answer),
        Behaviour::Says(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy".to_vec()),
    ] {
        let server = behaviour.start(loopback(6)).await.unwrap();
        for _ in 0..50 {
            let ran = Bench::new().run(GET, server.address()).await;
            ran.assert_ended(Outcome::Fail, "http_status");
            assert_eq!(ran.http().body_bytes, 4);
        }
    }
}

#[tokio::test]
async fn a_head_that_is_cut_is_told_as_one() {
    for (head, then, code, told) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Le",
            Then::Close,
            "connection_closed",
            "closed the connection in the head of the answer",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Le",
            Then::Reset,
            "connection_reset",
            "reset the connection in the head of the answer",
        ),
        ("", Then::Close, "connection_closed", "closed the connection before the first byte"),
    ] {
        let ran = answered(GET, head, then).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        assert_eq!(ran.evidence.phases.receive.is_some(), !head.is_empty(), "{:?}", ran.evidence.phases);
    }
}

#[tokio::test]
async fn a_head_that_drips_has_had_its_first_byte() {
    let server = Behaviour::Trickles(b"HTTP/1.1 200 OK\r\n".repeat(20), Duration::from_millis(20))
        .start(loopback(6))
        .await
        .unwrap();
    let ran = Bench::new().run_within(Duration::from_millis(200), GET, server.address()).await;
    ran.assert_ended(Outcome::Timeout, "receive_timeout");
    assert!(ran.message().starts_with("the head of the answer was not complete within 200ms: "), "{}", ran.message());
    assert!(ran.message().contains("first byte after "), "{}", ran.message());
    let phases = ran.evidence.phases;
    assert!(phases.receive.unwrap() > phases.first_byte.unwrap(), "{phases:?}");
}

/// An end of the connection that the peer did not announce within TLS may be anybody's doing.
#[tokio::test]
async fn an_end_without_the_word_of_tls_completes_only_what_has_a_length() {
    let authority = Authority::new().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(authority.server_config(Certificate::Valid, HOST).unwrap()));
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let json = r#"{"http": {"url": "https://svc.example/"}}"#;
    for (answer, code) in
        [("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""), ("HTTP/1.1 200 OK\r\n\r\nok", "connection_closed")]
    {
        let acceptor = acceptor.clone();
        let server = Server::start(loopback(6), move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                hear(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                stream.get_mut().0.shutdown().await.ok();
            }
        })
        .await
        .unwrap();
        let ran = bench.run(json, server.address()).await;
        assert_eq!(ran.code(), code, "{ran:?}");
    }
}

#[tokio::test]
async fn what_unpacks_to_nothing_is_not_read_for_ever() {
    let member = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let open_name = [0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255];
    let open_block = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for (start, endless) in [
        (&member[..], &b"\0junk"[..]),
        (&[], &member[..]),
        (&open_name, b"name"),
        (&open_block, &[0, 0, 0, 0xff, 0xff]),
    ] {
        let mut begin = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
        begin.extend_from_slice(start);
        let (begin, block) = (Arc::<[u8]>::from(begin), Arc::<[u8]>::from(endless.repeat(2_000)));
        let sent = Arc::new(AtomicUsize::new(0));
        let sending = Arc::clone(&sent);
        let server = Server::start(loopback(6), move |mut stream| {
            let (begin, block, sending) = (Arc::clone(&begin), Arc::clone(&block), Arc::clone(&sending));
            async move {
                hear(&mut stream).await;
                stream.write_all(&begin).await.ok();
                while stream.write_all(&block).await.is_ok() {
                    sending.fetch_add(block.len(), SeqCst);
                }
            }
        })
        .await
        .unwrap();
        let ran = Bench::new().run_within(Duration::from_secs(5), GET, server.address()).await;
        ran.assert_passed();
        assert_eq!((ran.http().body_bytes, ran.http().body_truncated), (0, true));
        eventually("the server is alone", || server.counts().open() == 0).await;
        // A quarter of a megabyte is read; the rest is what the sockets hold.
        assert!(sent.load(SeqCst) < 8_000_000, "{}", sent.load(SeqCst));
    }
}

/// tokio lets a task do only so much before others have their turn: what would be ready then says that it is not.
#[tokio::test]
async fn a_probe_in_a_busy_task_misses_no_answer() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    for path in ["/ok", "/large?bytes=100000"] {
        let task = task(&format!(r#"{{"http": {{"url": "http://svc.example{path}"}}}}"#), Some(server.address()));
        for used in 100..128 {
            let (mut probe, recorder) = (bench.probe(CheckType::Http), Recorder::new());
            let mut running = probe.run(&task, &recorder);
            let in_a_busy_task = std::future::poll_fn(|cx| {
                for _ in 0..used {
                    ready!(pin!(consume_budget()).poll(cx));
                }
                running.as_mut().poll(cx)
            });
            let ended = tokio::time::timeout(Duration::from_secs(5), in_a_busy_task).await;
            assert!(ended.is_ok_and(|verdict| verdict.outcome == Outcome::Pass), "{path} after {used}");
        }
    }
}

#[tokio::test]
async fn many_probes_in_one_task_all_end() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    let task = task(r#"{"http": {"url": "http://svc.example/ok"}}"#, Some(server.address()));
    for _ in 0..5 {
        let checks = (0..100).map(|_| async {
            let mut probe = bench.probe(CheckType::Http);
            run_task(&mut *probe, &task, AMPLE).await
        });
        for ran in join_all(checks).await {
            ran.assert_passed();
        }
    }
}
