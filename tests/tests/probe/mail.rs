//! `smtp`, `imap` and `pop3` checks.

use std::net::SocketAddr;
use std::time::Duration;

use watchpost_model::{MailEvidence, Outcome, Side, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::mail_servers::{self, Dovecot, PASSWORD};
use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::{Authority, Certificate, PemFiles};

use crate::certificates::{Signer, config};
use crate::dialogue::Does::{self, Hears, Says};
use crate::dialogue::peer;
use crate::{Bench, Ran, loopback};

const HOST: &str = "svc.example";

fn check(check_type: &str, more: &str) -> String {
    format!(r#"{{"{check_type}": {{"address": "{HOST}:1"{more}}}}}"#)
}

fn auth(password: &str) -> String {
    format!(r#", "auth": {{"username": "alice", "password": "{password}"}}"#)
}

fn mail(ran: &Ran) -> &MailEvidence {
    let Some(TypeEvidence::Mail(mail)) = &ran.evidence.of_type else { panic!("no mail: {ran:?}") };
    mail
}

fn files() -> (PemFiles, Bench) {
    let authority = Authority::new().unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    (authority.files(Certificate::Valid, HOST).unwrap(), bench)
}

/// Whoever may see results must not see a password.
#[track_caller]
fn assert_hidden(ran: &Ran, password: &str) {
    let shown = format!("{ran:?}");
    assert!(!shown.contains(password), "{shown}");
}

#[tokio::test]
async fn a_real_smtp_server_is_visited_by_tls_and_in_plain_text() {
    let (files, bench) = files();
    let server = mail_servers::smtp(&files, &[]);
    let expect =
        r#"{"expect": {"cert_days": 30, "that": "encrypted && greeting_code == 220 && 'SMTPUTF8' in capabilities"}, "#;
    let required = check("smtp", r#", "starttls": "required""#).replacen('{', expect, 1);
    let ran = bench.run(&required, server.address()).await;
    ran.assert_passed();
    let seen = mail(&ran);
    assert!(seen.greeting.as_ref().unwrap().contains("aiosmtpd") && seen.encrypted && seen.login.is_none());
    // By TLS it is not offered again, and what was said before does not count.
    assert!(!seen.capabilities.iter().any(|one| one == "STARTTLS"), "{:?}", seen.capabilities);
    assert!(seen.transcript.is_empty());
    assert_eq!(ran.evidence.tls.as_ref().unwrap().verified, Some(true));
    let phases = ran.evidence.phases;
    assert!(phases.connect.is_some() && phases.tls.is_some() && phases.first_byte.is_some(), "{phases:?}");

    let ran = bench.run(&check("smtp", r#", "starttls": "never""#), server.address()).await;
    ran.assert_passed();
    assert!(!mail(&ran).encrypted && mail(&ran).capabilities.iter().any(|one| one == "STARTTLS"));
}

#[tokio::test]
async fn a_real_smtp_server_lets_in_who_knows_the_password() {
    let (files, bench) = files();
    for (left_out, mechanism) in [(&[][..], "PLAIN"), (&["PLAIN"], "LOGIN")] {
        let server = mail_servers::smtp(&files, left_out);
        let ran = bench.run(&check("smtp", &auth(PASSWORD)), server.address()).await;
        ran.assert_passed();
        assert_eq!(mail(&ran).login.as_deref(), Some(mechanism));
        assert_hidden(&ran, PASSWORD);

        let ran = bench.run(&check("smtp", &auth("wrong-horse-battery")), server.address()).await;
        ran.assert_ended(Outcome::Fail, "auth_failed");
        assert!(ran.message().starts_with("AUTH: ") && ran.message().contains("said \"535 "), "{}", ran.message());
        assert_hidden(&ran, "wrong-horse");
    }
    let server = mail_servers::smtp(&files, &["PLAIN", "LOGIN"]);
    let ran = bench.run(&check("smtp", &auth(PASSWORD)), server.address()).await;
    ran.assert_ended(Outcome::Fail, "auth_failed");
    assert!(ran.message().contains("offers no way to log in that is known here"), "{}", ran.message());

    let server = mail_servers::smtp_with_tls(&files);
    let implicit = format!(r#", "starttls": "implicit"{}"#, auth(PASSWORD));
    bench.run(&check("smtp", &implicit), server.address()).await.assert_passed();
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_the_visit() {
    let (files, _) = files();
    let server = mail_servers::smtp(&files, &[]);
    let ran = Bench::new().run(&check("smtp", ""), server.address()).await;
    ran.assert_ended(Outcome::Error, "tls_unknown_issuer");
    assert!(ran.message().starts_with("STARTTLS: the certificate of svc.example is signed by"), "{}", ran.message());
    let said = &mail(&ran).transcript;
    assert_eq!((said[0].by, said[0].at.as_deref()), (Side::Peer, Some("greeting")));
    let insecure = check("smtp", r#", "tls": {"insecure": true}"#);
    let ran = Bench::new().run(&insecure, server.address()).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.tls.unwrap().problem.unwrap().code.as_str(), "tls_unknown_issuer");
}

#[tokio::test]
async fn dovecot_is_visited_by_both_of_its_protocols() {
    let (files, bench) = files();
    let dovecot = Dovecot::start(&files);
    let plain: [(&str, SocketAddr, &str, &str); 2] =
        [("imap", dovecot.imap(), "IMAP4rev1", "PLAIN"), ("pop3", dovecot.pop3(), "UIDL", "USER")];
    for (check_type, address, capability, mechanism) in plain {
        let ran = bench.run(&check(check_type, r#", "starttls": "required""#), address).await;
        ran.assert_passed();
        let seen = mail(&ran);
        assert!(seen.capabilities.iter().any(|one| one == capability) && seen.encrypted, "{seen:?}");
        assert!(seen.greeting.as_ref().unwrap().contains("Dovecot"), "{seen:?}");

        let ran = bench.run(&check(check_type, &auth(PASSWORD)), address).await;
        ran.assert_passed();
        assert_eq!(mail(&ran).login.as_deref(), Some(mechanism));
        assert_hidden(&ran, PASSWORD);

        let ran = bench.run(&check(check_type, &auth("wrong-horse-battery")), address).await;
        ran.assert_ended(Outcome::Fail, "auth_failed");
        assert!(ran.message().contains("[AUTH"), "{}", ran.message());
        assert_hidden(&ran, "wrong-horse");

        let ran = bench.run(&check(check_type, r#", "starttls": "never""#), address).await;
        ran.assert_passed();
        assert!(!mail(&ran).encrypted);
    }
    for (check_type, address) in [("imap", dovecot.imaps()), ("pop3", dovecot.pop3s())] {
        let implicit = format!(r#", "starttls": "implicit"{}"#, auth(PASSWORD));
        bench.run(&check(check_type, &implicit), address).await.assert_passed();
        // One that waits for TLS says nothing to who does not begin it.
        let limit = Duration::from_millis(300);
        let ran = bench.run_until("first_byte_timeout", limit, &check(check_type, ""), address).await;
        ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
        assert!(ran.message().starts_with("greeting: no first byte within 300ms"), "{}", ran.message());
    }
    let ran = bench.run(&check("smtp", ""), dovecot.pop3()).await;
    ran.assert_ended(Outcome::Error, "protocol_error");
    assert!(ran.message().contains("which is not an answer of SMTP"), "{}", ran.message());
}

/// Runs the check against a peer that says what is scripted.
async fn against(check_type: &str, script: &'static [Does], more: &str) -> Ran {
    let server = peer(script, None).await;
    Bench::new().run(&check(check_type, more), server.address()).await
}

#[tokio::test]
async fn what_smtp_servers_refuse_is_told_with_where_it_was() {
    const EHLO: Does = Hears("EHLO me.example\r\n");
    let me = r#", "helo_name": "me.example""#;
    let required = r#", "helo_name": "me.example", "starttls": "required""#;
    let login = r#", "helo_name": "me.example", "auth": {"username": "alice", "password": "hunter2hunter2"}"#;
    let no_tls = &[Says("220 hi\r\n"), EHLO, Says("250-hi\r\n250 AUTH PLAIN\r\n"), Hears("QUIT\r\n")];
    let not_now =
        &[Says("220 hi\r\n"), EHLO, Says("250-hi\r\n250 STARTTLS\r\n"), Hears("STARTTLS\r\n"), Says("454 not now\r\n")];
    let who = &[Says("220 hi\r\n"), EHLO, Says("550 who?\r\n")];
    for (script, more, code, told) in [
        (&[Says("554 no\r\n")][..], me, "assertion_failed", r#"said "554 no", expected 220"#),
        (&[Says("421-busy\r\n421 later\r\n")], me, "not_ready", r#"said "421 busy later", expected 220"#),
        (who, me, "assertion_failed", r#"said "550 who?", expected 250"#),
        (no_tls, required, "tls_not_offered", "does not offer TLS, and the check requires it"),
        (no_tls, login, "tls_not_offered", "does not offer TLS, and a password goes over nothing else"),
        (not_now, me, "not_ready", "STARTTLS: "),
    ] {
        let ran = against("smtp", script, more).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        assert_hidden(&ran, "hunter2");
    }
}

#[tokio::test]
async fn what_servers_of_mailboxes_refuse_is_told_with_where_it_was() {
    let required = r#", "starttls": "required""#;
    let preauth =
        &[Says("* PREAUTH hi\r\n"), Hears("w1 CAPABILITY\r\n"), Says("* CAPABILITY IMAP4rev1 STARTTLS\r\nw1 OK\r\n")];
    let bad = &[Says("* OK hi\r\n"), Hears("w1 CAPABILITY\r\n"), Says("* x\r\nw1 BAD what?\r\n")];
    let no_tls = &[Says("+OK\r\n"), Hears("CAPA\r\n"), Says("+OK\r\nUSER\r\n.\r\n")];
    for (check_type, script, more, code, told) in [
        ("imap", &[Says("* BYE full\r\n")][..], "", "not_ready", r#"said "BYE full", expected OK or PREAUTH"#),
        ("imap", preauth, required, "tls_not_offered", "does not offer TLS"),
        ("imap", bad, "", "assertion_failed", r#"said "BAD what?", expected OK"#),
        ("pop3", &[Says("-ERR [SYS/TEMP]\r\n")], "", "not_ready", r#"said "-ERR [SYS/TEMP]", expected +OK"#),
        ("pop3", no_tls, required, "tls_not_offered", "does not offer TLS"),
    ] {
        let ran = against(check_type, script, more).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn what_keeps_to_no_protocol_is_an_error() {
    let other_tag = &[Says("* OK\r\n"), Hears("w1 CAPABILITY\r\n"), Says("w2 OK\r\n")];
    let cut = &[Says("+OK\r\n"), Hears("CAPA\r\n"), Says("+OK\r\nUSER\r\n")];
    for (check_type, script, code, told) in [
        ("smtp", &[Says("HTTP/1.1 400 Bad\r\n")][..], "protocol_error", r#"said "HTTP/1.1 400 Bad", which is not an"#),
        ("smtp", &[Says("220-a\r\n250 b\r\n")], "protocol_error", "not the rest of an answer with the code 220"),
        ("smtp", &[Says("+22 a\r\n")], "protocol_error", "not an answer of SMTP"),
        ("smtp", &[Says("2\u{20ac} a\r\n")], "protocol_error", "not an answer of SMTP"),
        ("smtp", &[Says("\r\n")], "protocol_error", "not an answer of SMTP"),
        ("smtp", &[Says("220 h")], "connection_closed", "greeting: "),
        ("imap", &[Says("+OK POP3\r\n")], "protocol_error", "not a greeting of IMAP"),
        ("imap", other_tag, "protocol_error", "CAPABILITY: "),
        ("pop3", &[Says("* OK\r\n")], "protocol_error", "not an answer of POP3"),
        ("pop3", cut, "connection_closed", "CAPA: "),
    ] {
        let ran = against(check_type, script, "").await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn what_a_server_says_without_end_is_bounded() {
    let (line, lines) = ("sent a line of more than 8192 bytes", "sent an answer of more than 256 lines");
    for (check_type, said, told) in [
        ("smtp", "x".repeat(1000), line),
        ("smtp", "220-more\r\n".to_owned(), lines),
        ("imap", "x".repeat(1000), line),
        ("imap", "* OK still here\r\n".to_owned(), lines),
        ("pop3", "+OK\r\n".to_owned(), lines),
    ] {
        let server = Behaviour::SaysForEver(said.into_bytes()).start(loopback(1)).await.unwrap();
        let ran = Bench::new().run(&check(check_type, ""), server.address()).await;
        ran.assert_ended(Outcome::Error, "protocol_error");
        assert!(ran.message().contains(told), "{}", ran.message());
        crate::eventually("the server is alone", || server.counts().open() == 0).await;
    }
}

/// Whoever sits between could answer the commands that are to come by TLS.
#[tokio::test]
async fn plain_text_after_the_answer_to_starttls_is_an_error() {
    let root = Signer::root("Root");
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([root.der()]));
    let smtp = &[
        Says("220 hi\r\n"),
        Hears("EHLO [127.0.0.1]\r\n"),
        Says("250-hi\r\n250 STARTTLS\r\n"),
        Hears("STARTTLS\r\n"),
        Says("220 go\r\n250 fooled\r\n"),
        Does::Tls,
    ];
    let imap = &[
        Says("* OK\r\n"),
        Hears("w1 CAPABILITY\r\n"),
        Says("* CAPABILITY STARTTLS\r\nw1 OK\r\n"),
        Hears("w2 STARTTLS\r\n"),
        Says("w2 OK\r\n* CAPABILITY AUTH=X\r\nw3 OK\r\n"),
        Does::Tls,
    ];
    let pop3 = &[
        Says("+OK\r\n"),
        Hears("CAPA\r\n"),
        Says("+OK\r\nSTLS\r\n.\r\n"),
        Hears("STLS\r\n"),
        Says("+OK\r\n+OK\r\n"),
        Does::Tls,
    ];
    for (check_type, script) in [("smtp", smtp), ("imap", imap), ("pop3", pop3)] {
        let server = peer(script, Some(config(&root.server(HOST, &[], |_| {})))).await;
        let ran = bench.run(&check(check_type, ""), server.address()).await;
        ran.assert_ended(Outcome::Error, "protocol_error");
        assert!(ran.message().contains("in plain text after it agreed to TLS"), "{}", ran.message());
    }
}

/// A server that says nothing to a farewell does not keep the check.
#[tokio::test]
async fn a_farewell_is_not_waited_for_long() {
    let script: &[Does] = &[Says("+OK\r\n"), Hears("CAPA\r\n"), Says("-ERR\r\n"), Hears("QUIT\r\n"), Hears("never")];
    let ran = against("pop3", script, "").await;
    ran.assert_passed();
    assert!(ran.took >= Duration::from_secs(1) && mail(&ran).capabilities.is_empty(), "{ran:?}");
}
