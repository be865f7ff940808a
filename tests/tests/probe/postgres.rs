//! `postgres` checks, against a real server and such as misbehave.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::{Outcome, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::postgres_server;
use watchpost_tests::server_process::ServerProcess;
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::{Bench, Ran, eventually, loopback};

fn postgres(more: &str) -> String {
    format!(r#"{{"postgres": {{"address": "svc.example:1"{more}}}}}"#)
}

/// A check by which `user` logs in to the database `postgres`.
fn login(user: &str, more: &str) -> String {
    postgres(&format!(r#", "user": "{user}", "password": "{user}-secret", "database": "postgres"{more}"#))
}

fn evidence(ran: &Ran) -> &watchpost_model::PostgresEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Postgres(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_real_server_without_tls() {
    let server = postgres_server::start(None);
    let at = server.address();
    let bench = Bench::new();
    // It asks whom it does not know who that is, or says that nobody lets that in.
    bench.run(&postgres(""), at).await.assert_passed();

    let ran = bench.run(&login("ann", ""), at).await;
    ran.assert_passed();
    assert!(ran.evidence.metrics["ping_ms"] > 0.0);
    let told = evidence(&ran);
    assert_eq!((told.authentication.as_deref(), told.standby), (Some("scram-sha-256"), Some(false)));
    assert!(told.version.is_some() && told.rows.is_none(), "{told:?}");
    for (user, way) in [("old", "md5"), ("trusted", "trust")] {
        let ran = bench.run(&login(user, ""), at).await;
        ran.assert_passed();
        assert_eq!(evidence(&ran).authentication.as_deref(), Some(way));
    }

    let query = r#", "query": "SELECT 42 AS answer, 'x' UNION ALL SELECT 7, 'y'", "expect": {"equals": "42"}"#;
    let ran = bench.run(&login("ann", query), at).await;
    ran.assert_passed();
    assert_eq!((evidence(&ran).rows, ran.evidence.metrics["value"]), (Some(2), 42.0));
    let ran = bench.run(&login("ann", r#", "query": "SELECT 1", "expect": {"matches": "^2"}"#), at).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(ran.message(), "the query's first value is \"1\", expected that it matches /^2/");
    for query in ["SELECT NULL", "SELECT 1 WHERE false", "SET x.y = 'z'"] {
        let ran = bench.run(&login("ann", &format!(r#", "query": "{query}", "expect": {{"equals": ""}}"#)), at).await;
        ran.assert_ended(Outcome::Fail, "assertion_failed");
        assert_eq!(ran.assertion(0).actual, "no value", "{query}");
    }
    let that =
        r#", "query": "SELECT 3.5"}, "expect": {"that": "number > 3.0 && value == '3.5' && rows == 1 && !standby""#;
    bench.run(&login("ann", that), at).await.assert_passed();

    for (check, code, told) in [
        (login("ann", r#", "query": "SELECT * FROM nowhere""#), "query_failed", "relation \"nowhere\" does not exist"),
        (login("ann", r#", "query": "COPY t FROM STDIN""#), "query_failed", "answered the query with an error"),
        (login("ann", "").replace("ann-secret", "wrong-wrong"), "auth_failed", "password authentication failed"),
        (login("old", "").replace("old-secret", "wrong-wrong"), "auth_failed", "password authentication failed"),
        (login("ann", "").replace(r#""password": "ann-secret", "#, ""), "auth_failed", "the check has none"),
        (login("nobody", ""), "tls_required", "does not let the check in without TLS: it said \"no pg_hba.conf entry"),
        (
            login("ann", "").replace(r#""database": "postgres""#, r#""database": "shop""#),
            "unknown_database",
            "\"shop\"",
        ),
        (login("plain", ""), "tls_required", "asks for the password in clear text"),
        (login("safe", ""), "tls_required", "does not let the check in without TLS"),
    ] {
        let ran = bench.run(&check, at).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        let all = format!("{ran:?}");
        assert!(!all.contains("wrong-wrong") && !all.contains("-secret"), "{all}");
    }
    let ran = bench.run(&login("ann", r#", "tls_mode": "require""#), at).await;
    ran.assert_ended(Outcome::Error, "tls_not_offered");
    assert_left_in_peace(server);
}

/// Nothing in a server's log may say that a check broke off, or spoke out of turn.
fn assert_left_in_peace(server: ServerProcess) {
    let log = server.into_log();
    assert!(log.contains("database system is shut down"), "{log}");
    for noise in
        ["could not receive data", "unexpected EOF", "connection to client lost", "got message type", "SSL error"]
    {
        assert!(!log.contains(noise), "{log}");
    }
}

#[tokio::test]
async fn a_real_server_with_tls() {
    let authority = Authority::new().unwrap();
    let server = postgres_server::start(Some(&authority.files(Certificate::Valid, "svc.example").unwrap()));
    let at = server.address();
    let trusting = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let stranger = Bench::new();
    for user in ["ann", "safe", "plain"] {
        let ran = trusting.run(&login(user, r#", "tls_mode": "require""#), at).await;
        ran.assert_passed();
        assert!(ran.evidence.phases.tls.is_some() && ran.evidence.tls.is_some());
    }
    let ran = stranger.run(&login("safe", r#", "tls_mode": "require""#), at).await;
    ran.assert_ended(Outcome::Error, "tls_unknown_issuer");
    let ran = stranger.run(&login("safe", r#", "tls_mode": "require", "tls": {"insecure": true}"#), at).await;
    ran.assert_passed();
    // Any certificate will do where none is needed, but then the password is not sent as it is.
    let ran = stranger.run(&login("safe", ""), at).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.tls.as_ref().unwrap().sans, ["svc.example"]);
    stranger.run(&login("plain", ""), at).await.assert_ended(Outcome::Fail, "tls_required");
    stranger.run(&login("safe", r#", "tls_mode": "disable""#), at).await.assert_ended(Outcome::Fail, "tls_required");
    for check in
        [postgres(""), login("ann", r#", "query": "SELECT * FROM nowhere""#), login("ann", r#", "query": "oops""#)]
    {
        stranger.run(&check, at).await;
    }
    assert_left_in_peace(server);
}

/// A message of the server.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag], &length[..], body].concat()
}

fn error(sqlstate: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0C{sqlstate}\0M{text}\0\0").as_bytes())
}

/// A server that offers no TLS, and answers the next message with `answer`.
async fn answering(answer: Vec<u8>) -> Server {
    let handle = move |mut stream: TcpStream| {
        let answer = answer.clone();
        async move {
            let mut heard = [0; 4096];
            for answer in [b"N", answer.as_slice()] {
                if !matches!(stream.read(&mut heard).await, Ok(1..)) || stream.write_all(answer).await.is_err() {
                    return;
                }
            }
            stream.shutdown().await.ok();
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
        }
    };
    Server::start(loopback(1), handle).await.unwrap()
}

#[tokio::test]
async fn servers_that_are_not_ready_say_why() {
    for (sqlstate, text, code, told) in [
        (
            "57P03",
            "the database system is starting up",
            "not_ready",
            "is not ready: it said \"the database system is st",
        ),
        ("57P03", "the database system is in recovery mode", "not_ready", "in recovery mode\" (57P03)"),
        ("53300", "sorry, too many clients already", "not_ready", "takes no more clients"),
        ("0A000", "unsupported frontend protocol", "query_failed", "does not open a session: it said \"unsupported"),
    ] {
        let server = answering(error(sqlstate, text)).await;
        for check in [postgres(""), login("ann", "")] {
            let ran = Bench::new().run(&check, server.address()).await;
            ran.assert_ended(Outcome::Fail, code);
            assert!(ran.message().contains(told), "{}", ran.message());
            assert_eq!(evidence(&ran).sqlstate.as_deref(), Some(sqlstate));
        }
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    // Whoever is not let in has at least been answered.
    for sqlstate in ["28000", "28P01", "3D000"] {
        let server = answering(error(sqlstate, "no")).await;
        Bench::new().run(&postgres(""), server.address()).await.assert_passed();
    }
    let repeating = answering(error("28P01", "ann-secret is wrong")).await;
    let ran = Bench::new().run(&login("ann", ""), repeating.address()).await;
    assert!(ran.message().contains("it said \"[redacted] is wrong\""), "{}", ran.message());
}

#[tokio::test]
async fn what_is_no_postgres_server_is_told_apart() {
    let ok = message(b'R', &[0, 0, 0, 0]);
    let scram = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    for (answer, outcome, code, told) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Outcome::Error, "protocol_error", "does not speak the protocol"),
        (message(b'?', b""), Outcome::Error, "protocol_error", "unknown message tag"),
        (vec![b'R', 0, 0, 0, 0, 0], Outcome::Error, "protocol_error", "invalid message length"),
        (message(b'R', &[0, 0, 0, 99]), Outcome::Error, "protocol_error", "unknown authentication tag"),
        (message(b'R', &[0, 0, 0, 7]), Outcome::Fail, "auth_failed", "Kerberos, GSSAPI or SSPI"),
        (message(b'R', b"\0\0\0\x0aPLAIN\0\0"), Outcome::Fail, "auth_failed", "it cannot give: PLAIN"),
        (message(b'E', b"SFATAL"), Outcome::Error, "protocol_error", "does not speak the protocol"),
        (message(b'Z', b"I"), Outcome::Error, "protocol_error", "out of place"),
        ([scram.clone(), ok.clone()].concat(), Outcome::Error, "protocol_error", "without proving that it knows"),
        (
            [scram.clone(), message(b'R', b"\0\0\0\x0br=evil,s=AAAA,i=4096")].concat(),
            Outcome::Error,
            "protocol_error",
            "invalid nonce",
        ),
        ([scram, message(b'R', b"\0\0\0\x0cv=AAAA")].concat(), Outcome::Error, "protocol_error", "does not prove that"),
        ([ok, message(b'S', b"server_version")].concat(), Outcome::Error, "protocol_error", "does not speak the"),
        (b"R\0\0".to_vec(), Outcome::Error, "connection_closed", "in the middle of the answer"),
        (Vec::new(), Outcome::Error, "connection_closed", "before the first byte"),
    ] {
        let server = answering(answer).await;
        let ran = Bench::new().run(&login("ann", ""), server.address()).await;
        ran.assert_ended(outcome, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    for (behaviour, told) in [
        (Behaviour::Says(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "said more than whether it speaks TLS"),
        (Behaviour::Says(b"?".to_vec()), "did not answer whether it speaks TLS"),
        (Behaviour::Says(b"Sx".to_vec()), "said more than whether it speaks TLS"),
    ] {
        let server = behaviour.start(loopback(1)).await.unwrap();
        let ran = Bench::new().run(&login("ann", ""), server.address()).await;
        ran.assert_ended(Outcome::Error, "protocol_error");
        assert!(ran.message().contains(told), "{}", ran.message());
    }
    let silent = Behaviour::Silent.start(loopback(1)).await.unwrap();
    let ran =
        Bench::new().run_until("first_byte_timeout", Duration::from_millis(150), &postgres(""), silent.address()).await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
    eventually("the server is alone", || silent.counts().open() == 0).await;
}
