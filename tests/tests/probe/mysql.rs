//! `mysql` checks, against a real MariaDB server and such as misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use watchpost_model::{Outcome, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::mariadb_server;
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::{Bench, Ran, eventually, loopback};

/// A check by which `user` logs in.
fn login(user: &str, more: &str) -> String {
    let settings = format!(r#""address": "svc.example:1", "user": "{user}", "password": "{user}-secret"{more}"#);
    format!(r#"{{"mysql": {{{settings}}}}}"#)
}

fn evidence(ran: &Ran) -> &watchpost_model::MysqlEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Mysql(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_real_server_without_tls() {
    let server = mariadb_server::start(None, &["--log-warnings=4"]);
    let at = server.address();
    let bench = Bench::new();
    let ran = bench.run(&login("ann", ""), at).await;
    ran.assert_passed();
    assert!(ran.evidence.metrics["ping_ms"] > 0.0);
    let told = evidence(&ran);
    assert_eq!(told.authentication.as_deref(), Some("mysql_native_password"));
    assert!(told.version.as_ref().is_some_and(|version| version.contains("MariaDB")), "{told:?}");
    bench.run(&login("open", "").replace(r#", "password": "open-secret""#, ""), at).await.assert_passed();

    let query =
        r#", "database": "shop", "query": "SELECT 42, 'x' UNION ALL SELECT 7, 'y'", "expect": {"equals": "42"}"#;
    let ran = bench.run(&login("ann", query), at).await;
    ran.assert_passed();
    assert_eq!((evidence(&ran).rows, ran.evidence.metrics["value"]), (Some(2), 42.0));
    let ran = bench.run(&login("ann", r#", "query": "SELECT 1", "expect": {"matches": "^2"}"#), at).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(ran.message(), "the query's first value is \"1\", expected that it matches /^2/");
    for query in ["SELECT NULL", "SELECT 1 FROM DUAL WHERE false", "SET @x = 1"] {
        let ran = bench.run(&login("ann", &format!(r#", "query": "{query}", "expect": {{"equals": ""}}"#)), at).await;
        ran.assert_ended(Outcome::Fail, "assertion_failed");
        assert_eq!(ran.assertion(0).actual, "no value", "{query}");
    }
    let that = r#", "query": "SELECT 3.5"}, "expect": {"that": "number > 3.0 && value == '3.5' && rows == 1""#;
    bench.run(&login("ann", that), at).await.assert_passed();
    // A text as long as takes more than a byte to say how long.
    let long = r#", "query": "SELECT REPEAT('x', 300)", "expect": {"matches": "^x{300}$"}"#;
    bench.run(&login("ann", long), at).await.assert_passed();

    for (check, code, told) in [
        (
            login("ann", r#", "query": "SELECT * FROM shop.nothing""#),
            "query_failed",
            "answered the query with an error",
        ),
        (login("ann", r#", "query": "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE shop.t""#), "query_failed", ""),
        (login("ann", "").replace("ann-secret", "wrong-wrong"), "auth_failed", "Access denied for user 'ann'"),
        (login("ann", "").replace(r#", "password": "ann-secret""#, ""), "auth_failed", "Access denied for user 'ann'"),
        (login("nobody", ""), "auth_failed", "does not let the check in: it said \"Access denied"),
        (login("ann", r#", "database": "mysql""#), "auth_failed", "does not let the check in"),
        (login("signing", ""), "auth_failed", "a proof of who the check is that it cannot give: client_ed25519"),
        (login("safe", ""), "auth_failed", "Access denied for user 'safe'"),
    ] {
        let ran = bench.run(&check, at).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        let all = format!("{ran:?}");
        assert!(!all.contains("wrong-wrong") && !all.contains("-secret"), "{all}");
    }
    let ran = bench.run(&login("ann", r#", "tls_mode": "require""#), at).await;
    ran.assert_ended(Outcome::Error, "tls_not_offered");
    assert_left_in_peace(&bench, at).await;
}

/// Nobody who was logged in may have gone without a farewell: the server counts those.
async fn assert_left_in_peace(bench: &Bench, at: SocketAddr) {
    let status = |name: &str| {
        let query =
            format!("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '{name}'");
        login("ann", &format!(r#", "query": "{query}"}}, "expect": {{"that": "number < 2.0""#))
    };
    let until = Instant::now() + Duration::from_secs(20);
    while bench.run(&status("THREADS_CONNECTED"), at).await.outcome != Outcome::Pass {
        assert!(Instant::now() < until, "the server is not alone");
    }
    let ran = bench.run(&status("ABORTED_CLIENTS").replace("number < 2.0", "number == 0.0"), at).await;
    ran.assert_passed();
}

#[tokio::test]
async fn a_real_server_with_tls() {
    let authority = Authority::new().unwrap();
    let files = authority.files(Certificate::Valid, "svc.example").unwrap();
    let server = mariadb_server::start(Some(&files), &["--require-secure-transport=ON"]);
    let at = server.address();
    let trusting = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let stranger = Bench::new();
    for user in ["ann", "safe"] {
        let more = r#", "tls_mode": "require", "query": "SELECT 1", "expect": {"equals": "1"}"#;
        let ran = trusting.run(&login(user, more), at).await;
        ran.assert_passed();
        assert!(ran.evidence.phases.tls.is_some() && ran.evidence.tls.is_some());
    }
    let ran = stranger.run(&login("safe", r#", "tls_mode": "require""#), at).await;
    ran.assert_ended(Outcome::Error, "tls_unknown_issuer");
    stranger.run(&login("safe", ""), at).await.assert_passed();
    for user in ["ann", "safe"] {
        let ran = stranger.run(&login(user, r#", "tls_mode": "disable""#), at).await;
        ran.assert_ended(Outcome::Fail, "auth_failed");
        assert!(ran.message().ends_with("without TLS, which the server offers and may insist on"), "{}", ran.message());
    }
    stranger.run(&login("ann", r#", "query": "oops""#), at).await.assert_ended(Outcome::Fail, "query_failed");
    assert_left_in_peace(&stranger, at).await;
}

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
    [&[low, middle, high, number], payload].concat()
}

/// How a server of MySQL 8 greets that does not speak TLS.
fn greeting() -> Vec<u8> {
    let mut payload = b"\x0a8.0.40\0\x01\0\0\0abcdefgh\0".to_vec();
    // It speaks the protocol of 4.1 and knows plugins.
    payload.extend_from_slice(b"\x00\x82\x2d\x02\x00\x08\x00\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0");
    payload.extend_from_slice(b"caching_sha2_password\0");
    packet(0, &payload)
}

fn error(number: u8, code: u16, text: &str) -> Vec<u8> {
    packet(number, &[&[0xff], &code.to_le_bytes()[..], b"#HY000", text.as_bytes()].concat())
}

/// A server that greets with the first of `answers` and gives the next one whenever it has heard something.
async fn answering(answers: Vec<Vec<u8>>) -> Server {
    let handle = move |mut stream: TcpStream| {
        let answers = answers.clone();
        async move {
            let mut answers = answers.into_iter();
            stream.write_all(&answers.next().unwrap()).await.ok();
            for answer in answers {
                let mut head = [0; 4];
                if stream.read_exact(&mut head).await.is_err() {
                    return;
                }
                let mut payload = vec![0; usize::from(head[0]) + usize::from(head[1]) * 256];
                if stream.read_exact(&mut payload).await.is_err() || stream.write_all(&answer).await.is_err() {
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
async fn the_password_of_mysql_8_is_proved_and_not_sent() {
    let ok = |number| packet(number, &[0, 0, 0, 2, 0, 0, 0]);
    let suffices = [packet(2, &[1, 3]), ok(3)].concat();
    let server = answering(vec![greeting(), suffices, ok(1)]).await;
    let ran = Bench::new().run(&login("ann", ""), server.address()).await;
    ran.assert_passed();
    let told = evidence(&ran);
    let seen = (told.authentication.as_deref(), told.version.as_deref());
    assert_eq!(seen, (Some("caching_sha2_password"), Some("8.0.40")));
    // A server that has not seen the user for long wants the password itself.
    let wanted = answering(vec![greeting(), packet(2, &[1, 4]), ok(4)]).await;
    let ran = Bench::new().run(&login("ann", ""), wanted.address()).await;
    ran.assert_ended(Outcome::Fail, "tls_required");
    assert!(ran.message().contains("asks for the password itself"), "{}", ran.message());
    let clear = answering(vec![greeting(), packet(2, b"\xfemysql_clear_password\0\0"), ok(4)]).await;
    let ran = Bench::new().run(&login("ann", ""), clear.address()).await;
    ran.assert_ended(Outcome::Fail, "tls_required");
}

/// A server that upgrades to TLS after its greeting, and then does the same; what it heard by TLS goes to `heard`.
async fn upgrading(authority: &Authority, answers: Vec<Vec<u8>>, heard: Arc<Mutex<Vec<Vec<u8>>>>) -> Server {
    let config = authority.server_config(Certificate::Valid, "svc.example").unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let handle = move |mut stream: TcpStream| {
        let (acceptor, answers, heard) = (acceptor.clone(), answers.clone(), Arc::clone(&heard));
        async move {
            let mut greeting = greeting();
            // The flag of TLS among the capabilities.
            let capabilities = greeting.windows(2).position(|pair| pair == b"\0\x82").unwrap();
            greeting[capabilities + 1] |= 0x08;
            stream.write_all(&greeting).await.ok();
            stream.read_exact(&mut [0; 36]).await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            for answer in answers {
                let mut head = [0; 4];
                if stream.read_exact(&mut head).await.is_err() {
                    return;
                }
                let mut payload = vec![0; usize::from(head[0])];
                stream.read_exact(&mut payload).await.unwrap();
                heard.lock().unwrap().push(payload);
                stream.write_all(&answer).await.ok();
            }
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
        }
    };
    Server::start(loopback(1), handle).await.unwrap()
}

#[tokio::test]
async fn the_password_itself_goes_only_by_tls_that_is_verified() {
    let authority = Authority::new().unwrap();
    let trusting = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let ok = |number| packet(number, &[0, 0, 0, 2, 0, 0, 0]);
    let by_caching_sha2 = packet(3, &[1, 4]);
    let by_clear_text = packet(3, b"\xfemysql_clear_password\0\0");
    for asks in [by_caching_sha2, by_clear_text] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let server = upgrading(&authority, vec![asks, ok(5), ok(1)], Arc::clone(&heard)).await;
        let ran = trusting.run(&login("ann", ""), server.address()).await;
        ran.assert_ended(Outcome::Fail, "tls_required");
        let told = |text: &[u8]| {
            heard.lock().unwrap().iter().any(|packet| packet.windows(text.len()).any(|part| part == text))
        };
        assert!(told(b"ann") && !told(b"secret"), "{heard:?}");
        heard.lock().unwrap().clear();
        let ran = trusting.run(&login("ann", r#", "tls_mode": "require""#), server.address()).await;
        ran.assert_passed();
        assert_eq!(heard.lock().unwrap()[1], b"ann-secret\0");
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
}

#[tokio::test]
async fn servers_that_refuse_say_why() {
    for (answers, code, told) in [
        (vec![error(0, 1040, "Too many connections")], "not_ready", "takes no more clients: it said \"Too many"),
        (vec![error(0, 1129, "Host is blocked")], "auth_failed", "lets nobody in from this machine"),
        (vec![greeting(), error(2, 1053, "Server shutdown")], "not_ready", "is not ready"),
        (vec![greeting(), error(2, 1049, "Unknown database")], "unknown_database", "does not have the database"),
        (
            vec![greeting(), error(2, 3159, "no")],
            "tls_required",
            "does not let the check in without TLS: it said \"no\"",
        ),
        (vec![greeting(), error(2, 1105, "ann-secret")], "query_failed", "it said \"[redacted]\" (1105)"),
    ] {
        let server = answering(answers).await;
        let ran = Bench::new().run(&login("ann", ""), server.address()).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        assert!(evidence(&ran).error_code.is_some());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
}

#[tokio::test]
async fn what_is_no_mysql_server_is_told_apart() {
    let ok = |number| packet(number, &[0, 0, 0, 2, 0, 0, 0]);
    let into = [greeting(), ok(2), ok(1)];
    let asked = |answer: Vec<u8>| into.iter().cloned().chain([answer]).collect::<Vec<_>>();
    let out_of_place = "does not speak the protocol of MySQL as it should: it sent a packet that is out of place";
    for (answers, outcome, code, told) in [
        (vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()], Outcome::Error, "protocol_error", "or sent a packet of"),
        (vec![b"\0\0\0\0".to_vec()], Outcome::Error, "protocol_error", "or sent a packet of 0 bytes"),
        (vec![packet(0, b"\x09old\0")], Outcome::Error, "protocol_error", "in version 10: it begins with 9"),
        (vec![packet(0, b"\x0a8.0\0abc")], Outcome::Error, "protocol_error", "cut short"),
        (vec![packet(0, &[0xff])], Outcome::Error, "protocol_error", "cut short"),
        (vec![greeting(), packet(2, &[7])], Outcome::Error, "protocol_error", out_of_place),
        (vec![greeting(), packet(2, &[1, 9])], Outcome::Error, "protocol_error", out_of_place),
        (vec![greeting(), packet(2, b"\xfedialog\0x")], Outcome::Fail, "auth_failed", "cannot give: dialog"),
        (vec![greeting(), ok(2), packet(1, &[9])], Outcome::Error, "protocol_error", out_of_place),
        (asked(packet(1, b"\xfb/etc/passwd")), Outcome::Fail, "query_failed", "asks for a file of this machine"),
        (asked(packet(1, &[0xfd, 255, 255, 255])), Outcome::Error, "protocol_error", out_of_place),
        (
            asked([packet(1, &[1]), packet(2, b"def"), packet(3, &[9])].concat()),
            Outcome::Error,
            "protocol_error",
            out_of_place,
        ),
        (
            asked([packet(1, &[1]), packet(2, b"def"), packet(3, &[0xfe, 0, 0, 0, 0]), packet(4, &[200, 1])].concat()),
            Outcome::Error,
            "protocol_error",
            "cut short",
        ),
        (vec![greeting()[..9].to_vec()], Outcome::Error, "connection_closed", "in the middle of the answer"),
        (vec![Vec::new()], Outcome::Error, "connection_closed", "before the first byte"),
    ] {
        let server = answering(answers).await;
        let ran = Bench::new().run(&login("ann", r#", "query": "SELECT 1""#), server.address()).await;
        assert_eq!((ran.outcome, ran.code()), (outcome, code), "{told}: {}", ran.message());
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    let silent = Behaviour::Silent.start(loopback(1)).await.unwrap();
    let ran = Bench::new()
        .run_until("first_byte_timeout", Duration::from_millis(150), &login("ann", ""), silent.address())
        .await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
    eventually("the server is alone", || silent.counts().open() == 0).await;
}
