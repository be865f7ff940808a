//! `grpc` checks, against gRPC's own server and such as misbehave.

use std::time::Duration;

use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::net::TcpStream;
use watchpost_model::{Outcome, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::python_server;
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::{Bench, Ran, eventually, loopback};

fn grpc(more: &str) -> String {
    format!(r#"{{"grpc": {{"address": "svc.example:1"{more}}}}}"#)
}

fn evidence(ran: &Ran) -> &watchpost_model::GrpcEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Grpc(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_health_of_a_real_server_and_of_its_services() {
    let server = python_server::grpc();
    let bench = Bench::new();
    let ran = bench.run(&grpc(""), server.address()).await;
    ran.assert_passed();
    assert_eq!(ran.assertion(0).expr, "the server is SERVING");
    assert_eq!((evidence(&ran).http_status, evidence(&ran).serving_status.as_deref()), (200, Some("SERVING")));
    let phases = ran.evidence.phases;
    assert!(phases.connect.is_some() && phases.first_byte.is_some() && phases.receive.is_some(), "{phases:?}");
    let that = r#"{"grpc": {"address": "svc.example:1", "service": "shop.v1.Orders"},
        "expect": {"that": "serving_status == 'SERVING' && grpc_status == 0 && grpc_message == ''"}}"#;
    bench.run(that, server.address()).await.assert_passed();
    let token = r#", "service": "shop.v1.Secret", "metadata": {"Authorization": "Bearer hunter2hunter2"}"#;
    bench.run(&grpc(token), server.address()).await.assert_passed();
    for (service, code, told) in [
        ("shop.v1.Stock", "not_serving", "says that the service `shop.v1.Stock` is NOT_SERVING"),
        ("shop.v1.Lost", "service_unknown", "does not know the health of the service `shop.v1.Lost`: it says SERVICE_"),
        (
            "shop.v1.None",
            "service_unknown",
            "does not know the service `shop.v1.None`: it answered the call with NOT_F",
        ),
        ("shop.v1.Secret", "auth_failed", "answered the call with UNAUTHENTICATED (\"no token, or a wrong one\")"),
    ] {
        let ran = bench.run(&grpc(&format!(r#", "service": "{service}""#)), server.address()).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn a_server_without_health_says_that_it_does_not_implement_it() {
    let server = python_server::grpc_without_health();
    let ran = Bench::new().run(&grpc(""), server.address()).await;
    ran.assert_ended(Outcome::Fail, "not_implemented");
    assert!(ran.message().contains("does not offer grpc.health.v1"), "{}", ran.message());
    assert_eq!(evidence(&ran).grpc_status, Some(12));
}

#[tokio::test]
async fn tls_is_spoken_where_the_check_asks_for_it() {
    let authority = Authority::new().unwrap();
    let server = python_server::grpc_with_tls(&authority.files(Certificate::Valid, "svc.example").unwrap());
    let trusting = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let ran = trusting.run(&grpc(r#", "tls": {}, "service": "shop.v1.Orders""#), server.address()).await;
    ran.assert_passed();
    assert!(ran.evidence.phases.tls.is_some() && ran.evidence.tls.is_some());
    Bench::new()
        .run(&grpc(r#", "tls": {}"#), server.address())
        .await
        .assert_ended(Outcome::Error, "tls_unknown_issuer");
    // It hangs up on whoever does not speak TLS.
    let ran = trusting.run(&grpc(""), server.address()).await;
    assert!(matches!(ran.code(), "connection_closed" | "connection_reset"), "{ran:?}");
}

/// A server that gives each call to `answer`.
async fn answering(answer: fn(SendResponse<bytes::Bytes>)) -> Server {
    Server::start(loopback(1), move |stream: TcpStream| async move {
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((_, respond))) = connection.accept().await {
            answer(respond);
        }
    })
    .await
    .unwrap()
}

/// An answer that is over with its head.
fn head(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap()
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// A call that is answered with `message` and `trailers`.
fn whole(mut respond: SendResponse<bytes::Bytes>, message: &'static [u8], trailers: &[(&'static str, &str)]) {
    let mut body = respond.send_response(head(200, &[GRPC]), false).unwrap();
    body.send_data(bytes::Bytes::from_static(message), trailers.is_empty()).unwrap();
    if !trailers.is_empty() {
        let trailers =
            trailers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        body.send_trailers(HeaderMap::from_iter(trailers)).unwrap();
    }
}

#[tokio::test]
async fn statuses_of_calls_are_told_apart() {
    type Answer = fn(SendResponse<bytes::Bytes>);
    let cases: [(Answer, &str, &str); 6] = [
        (
            |mut r| {
                _ = r
                    .send_response(head(200, &[GRPC, ("grpc-status", "14"), ("grpc-message", "no%20db")]), true)
                    .unwrap()
            },
            "not_ready",
            "answered the call with UNAVAILABLE (\"no db\")",
        ),
        (
            |mut r| _ = r.send_response(head(200, &[GRPC, ("grpc-status", "7")]), true).unwrap(),
            "auth_failed",
            "answered the call with PERMISSION_DENIED",
        ),
        (
            |mut r| _ = r.send_response(head(200, &[GRPC, ("grpc-status", "13")]), true).unwrap(),
            "grpc_status",
            "answered the call with INTERNAL",
        ),
        (
            |mut r| _ = r.send_response(head(200, &[GRPC, ("grpc-status", "99")]), true).unwrap(),
            "grpc_status",
            "answered the call with the unknown status 99",
        ),
        (|r| whole(r, b"", &[("grpc-status", "2")]), "grpc_status", "answered the call with UNKNOWN"),
        (|r| whole(r, &[0, 0, 0, 0, 0], &[("grpc-status", "0")]), "service_unknown", "it says UNKNOWN"),
    ];
    for (answer, code, told) in cases {
        let server = answering(answer).await;
        let ran = Bench::new().run(&grpc(""), server.address()).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    type Answer = fn(SendResponse<bytes::Bytes>);
    let cases: [(Answer, &str, &str); 9] = [
        (
            |mut r| _ = r.send_response(head(404, &[("content-type", "text/html")]), true).unwrap(),
            "protocol_error",
            "is no gRPC server: it answered with the HTTP status 404 and the content type `text/html`",
        ),
        (|r| whole(r, &[0, 0, 0, 0, 2, 8, 1], &[]), "protocol_error", "ended the call without telling its status"),
        (|r| whole(r, &[0, 0, 0, 0, 2, 8, 1], &[("grpc-status", "x")]), "protocol_error", "told the status `x`"),
        (|r| whole(r, &[0, 0, 0, 0, 2], &[("grpc-status", "0")]), "protocol_error", "a health that is not as long"),
        (|r| whole(r, b"", &[("grpc-status", "0")]), "protocol_error", "a health that is cut short"),
        (|r| whole(r, &[1, 0, 0, 0, 0], &[("grpc-status", "0")]), "protocol_error", "a health that is compressed"),
        (|r| whole(r, &[0; 5000], &[("grpc-status", "0")]), "protocol_error", "a message of more than 4096 bytes"),
        (|mut r| r.send_reset(h2::Reason::REFUSED_STREAM), "connection_reset", "reset the call: "),
        (
            |mut r| {
                let mut body = r.send_response(head(200, &[GRPC]), false).unwrap();
                body.send_reset(h2::Reason::INTERNAL_ERROR);
            },
            "connection_reset",
            "reset the call: ",
        ),
    ];
    for (answer, code, told) in cases {
        let server = answering(answer).await;
        let ran = Bench::new().run(&grpc(""), server.address()).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
}

#[tokio::test]
async fn connections_that_come_to_nothing() {
    let leaving = Server::start(loopback(1), |stream: TcpStream| async move {
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        let _call = connection.accept().await;
        connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
        while connection.accept().await.is_some() {}
    })
    .await
    .unwrap();
    let ran = Bench::new().run(&grpc(""), leaving.address()).await;
    ran.assert_ended(Outcome::Error, "connection_closed");
    assert!(ran.message().contains("ended the HTTP/2 session: "), "{}", ran.message());

    // A frame of settings, and then settings without end.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    for (behaviour, code, told) in [
        (Behaviour::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), "protocol_error", "does not speak HTTP/2"),
        (Behaviour::SaysForEver(settings.to_vec()), "protocol_error", "more than 262144 bytes"),
        (Behaviour::Resets, "connection_reset", "reset the connection"),
    ] {
        let server = behaviour.start(loopback(1)).await.unwrap();
        let ran = Bench::new().run(&grpc(""), server.address()).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    let limit = Duration::from_millis(150);
    for (behaviour, code) in
        [(Behaviour::Silent, "first_byte_timeout"), (Behaviour::Says(settings.to_vec()), "first_byte_timeout")]
    {
        let server = behaviour.start(loopback(1)).await.unwrap();
        let ran = Bench::new().run_until(code, limit, &grpc(""), server.address()).await;
        ran.assert_ended(Outcome::Timeout, code);
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
}
