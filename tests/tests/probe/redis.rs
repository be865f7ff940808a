//! `redis` checks, against real servers and such as misbehave.

use std::time::Duration;

use watchpost_model::{Outcome, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::redis_server;
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::{Bench, Ran, eventually, loopback};

fn redis(more: &str) -> String {
    format!(r#"{{"redis": {{"address": "svc.example:1"{more}}}}}"#)
}

async fn server(behaviour: Behaviour) -> Server {
    behaviour.start(loopback(1)).await.unwrap()
}

fn evidence(ran: &Ran) -> &watchpost_model::RedisEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Redis(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_real_server_is_pinged_and_asked() {
    let server = redis_server::start(&[]);
    let bench = Bench::new();
    let ran = bench.run(&redis(""), server.address()).await;
    ran.assert_passed();
    assert!(ran.evidence.metrics["ping_ms"] > 0.0);
    let phases = ran.evidence.phases;
    assert!(phases.connect.is_some() && phases.first_byte.is_some() && phases.receive.is_some(), "{phases:?}");

    let set = r#", "database": 3, "command": ["SET", "backlog", "42"], "expect": {"equals": "OK"}"#;
    bench.run(&redis(set), server.address()).await.assert_passed();
    let get = |expect: &str| redis(&format!(r#", "database": 3, "command": ["GET", "backlog"], "expect": {expect}"#));
    let ran = bench.run(&get(r#"{"matches": "^4"}"#), server.address()).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.metrics["value"], 42.0);
    let ran = bench.run(&get(r#"{"equals": "0"}"#), server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(ran.message(), r#"the reply to GET is "42", expected that it equals "0""#);
    // It lies in another database.
    let elsewhere = redis(r#", "command": ["GET", "backlog"], "expect": {"equals": "42"}"#);
    let ran = bench.run(&elsewhere, server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(ran.assertion(0).actual, "no value");

    let ran = bench.run(&redis(r#", "resp": 3, "command": ["CONFIG", "GET", "save"]"#), server.address()).await;
    ran.assert_passed();
    let told = evidence(&ran);
    assert_eq!((told.server.as_deref(), told.mode.as_deref()), (Some("redis"), Some("standalone")));
    assert!(told.role.as_deref() == Some("master") && told.version.is_some(), "{told:?}");

    for (more, code, told) in [
        (r#", "command": ["NOSUCH"]"#, "query_failed", "answered NOSUCH with an error: \"ERR unknown command"),
        (r#", "database": 99"#, "unknown_database", "answered SELECT 99 with an error: \"ERR DB index is out of range"),
        (r#", "password": "hunter2""#, "auth_failed", "does not let the check log in: it said \"ERR AUTH <password>"),
    ] {
        let ran = bench.run(&redis(more), server.address()).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn passwords_are_accepted_and_refused_and_never_shown() {
    let server = redis_server::start(&["requirepass hunter2hunter2", "user ann on >correct-horse +ping ~*"]);
    let bench = Bench::new();
    for (more, code, told) in [
        ("", "auth_failed", "wants a password"),
        (r#", "password": "wrong-wrong""#, "auth_failed", "does not accept the user or password"),
        (r#", "resp": 3"#, "auth_failed", "wants a password"),
        (r#", "resp": 3, "password": "wrong-wrong""#, "auth_failed", "does not accept the user or password"),
        (r#", "user": "bob", "password": "correct-horse""#, "auth_failed", "does not accept"),
        (r#", "user": "ann", "password": "correct-horse", "command": ["GET", "a"]"#, "query_failed", "NOPERM"),
    ] {
        let ran = bench.run(&redis(more), server.address()).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        let all = format!("{ran:?}");
        assert!(!all.contains("wrong-wrong") && !all.contains("correct-horse"), "{all}");
    }
    for more in [
        r#", "password": "hunter2hunter2""#,
        r#", "resp": 3, "password": "hunter2hunter2""#,
        r#", "user": "ann", "password": "correct-horse""#,
        r#", "user": "ann", "password": "correct-horse", "resp": 3"#,
    ] {
        bench.run(&redis(more), server.address()).await.assert_passed();
    }
}

#[tokio::test]
async fn tls_is_spoken_where_the_check_asks_for_it() {
    let authority = Authority::new().unwrap();
    let files = authority.files(Certificate::Valid, "svc.example").unwrap();
    let server = redis_server::start_with_tls(&files);
    let trusting = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let ran = trusting.run(&redis(r#", "tls": {}"#), server.address()).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.tls.as_ref().unwrap().sans, ["svc.example"]);
    assert!(ran.evidence.phases.tls.is_some());
    Bench::new()
        .run(&redis(r#", "tls": {}"#), server.address())
        .await
        .assert_ended(Outcome::Error, "tls_unknown_issuer");
    let renamed = redis(r#", "tls": {"server_name": "other.example"}"#);
    trusting.run(&renamed, server.address()).await.assert_ended(Outcome::Error, "tls_wrong_host");
    // It hangs up on whoever does not speak TLS.
    let ran = trusting.run(&redis(""), server.address()).await;
    assert!(matches!(ran.code(), "connection_closed" | "connection_reset"), "{ran:?}");
}

#[tokio::test]
async fn servers_that_are_not_ready_say_why() {
    for (says, code, told) in [
        ("-LOADING Redis is loading the dataset in memory\r\n", "not_ready", "is not ready: it said \"LOADING"),
        ("-MASTERDOWN Link with MASTER is down\r\n", "not_ready", "is not ready"),
        ("-ERR max number of clients reached\r\n", "not_ready", "takes no more clients"),
        ("-DENIED Redis is running in protected mode\r\n", "auth_failed", "serves no other machine"),
        ("-ERR unknown command 'PING'\r\n", "query_failed", "answered PING with an error"),
    ] {
        // Some say so to whoever connects, and hang up before they are asked.
        for behaviour in [Behaviour::Says, Behaviour::SaysAndCloses] {
            let server = server(behaviour(says.into())).await;
            let ran = Bench::new().run(&redis(""), server.address()).await;
            ran.assert_ended(Outcome::Fail, code);
            assert!(ran.message().contains(told), "{}", ran.message());
            eventually("the server is alone", || server.counts().open() == 0).await;
        }
    }
}

#[tokio::test]
async fn what_is_no_redis_server_is_told_apart() {
    let aside = format!(">1\r\n+{}\r\n", "x".repeat(4000)).into_bytes();
    for (behaviour, code, told) in [
        (Behaviour::Says(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "protocol_error", "it said \"SSH-2.0-OpenSSH_9.2\""),
        (Behaviour::Says(b"+OK\r\n".to_vec()), "protocol_error", "answered PING with \"OK\", and not with PONG"),
        (Behaviour::SaysForEver(vec![b'x'; 1000]), "protocol_error", "a line of more than 4096 bytes"),
        (Behaviour::SaysForEver(aside), "protocol_error", "more than 262144 bytes"),
        (Behaviour::SaysForEver(b">1\r\n+aside\r\n".to_vec()), "protocol_error", "more than 4096 elements"),
        (Behaviour::Says(b"$99999999999\r\n".to_vec()), "protocol_error", "a text of more than 65536 bytes"),
        (Behaviour::AnswersAndCloses(b"+PON".to_vec()), "connection_closed", "in the middle of the answer"),
        (Behaviour::AnswersAndCloses(Vec::new()), "connection_closed", "before the first byte"),
        (Behaviour::Resets, "connection_reset", "before the first byte"),
    ] {
        let server = server(behaviour).await;
        let ran = Bench::new().run(&redis(""), server.address()).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    let slow = server(Behaviour::Trickles(b"+PONG\r\n".to_vec(), Duration::from_millis(2))).await;
    Bench::new().run(&redis(""), slow.address()).await.assert_passed();
    let limit = Duration::from_millis(150);
    let silent = server(Behaviour::Silent).await;
    let ran = Bench::new().run_until("first_byte_timeout", limit, &redis(""), silent.address()).await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
    eventually("the server is alone", || silent.counts().open() == 0).await;
    let mumbling = server(Behaviour::Says(b"+PON".to_vec())).await;
    let ran = Bench::new().run_until("receive_timeout", limit, &redis(""), mumbling.address()).await;
    ran.assert_ended(Outcome::Timeout, "receive_timeout");
}

#[tokio::test]
async fn a_server_that_says_the_password_back_is_not_quoted() {
    let server = server(Behaviour::Says(b"-WRONGPASS no hunter2hunter2 here\r\n".to_vec())).await;
    let ran = Bench::new().run(&redis(r#", "password": "hunter2hunter2""#), server.address()).await;
    ran.assert_ended(Outcome::Fail, "auth_failed");
    assert!(ran.message().ends_with("it said \"WRONGPASS no [redacted] here\""), "{}", ran.message());
}
