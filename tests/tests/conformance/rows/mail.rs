//! Mail servers: SMTP, IMAP, POP3.

use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::Certificate;

use crate::expected::{absent, has, is, present};
use crate::row::{Row, row};
use crate::server::{Server, Step, Tls, say};

pub fn rows() -> Vec<Row> {
    let mut rows = smtp();
    rows.extend(mailboxes());
    rows.extend(refused());
    rows
}

/// What the server says, each time before it hears something.
fn says(texts: &[&str]) -> Vec<Step> {
    texts.iter().flat_map(|text| [say(*text), Step::HearSome]).chain([Step::Close]).collect()
}

fn visit(check_type: &str, name: &str, script: Vec<Step>, more: &str) -> Row {
    row(format!("{check_type}-{name}"))
        .server(Server::Script(script))
        .check(format!("{check_type}: {{ address: '{{addr}}'{more} }}"))
}

const LOGIN: &str = ", auth: { username: alice, password: hunter2hunter2 }";

fn smtp() -> Vec<Row> {
    let smtp = |name: &str, texts: &[&str], more: &str| visit("smtp", name, says(texts), more);
    vec![
        smtp("plain", &["220-mx\r\n220 hello\r\n", "250-mx\r\n250-SIZE 1000\r\n250 8BITMIME\r\n", "221 bye\r\n"], "")
            .pass()
            .at("check_type", is("smtp"))
            .at("evidence.mail.greeting", is("220 mx hello"))
            .at("evidence.mail.capabilities", is(vec!["SIZE 1000", "8BITMIME"]))
            .at("evidence.mail.encrypted", is(false))
            .at("evidence.mail.transcript", absent())
            .at("tls", absent()),
        smtp("no-service", &["554 go away\r\n"], "")
            .fail("assertion_failed")
            .says("^greeting: {addr} said \"554 go away\", expected 220$")
            .at("evidence.mail.transcript.0.at", is("greeting")),
        smtp("busy", &["421 later\r\n"], "").fail("not_ready"),
        smtp("helo-refused", &["220 hi\r\n", "550 who are you?\r\n"], ", helo_name: probe.example")
            .fail("assertion_failed")
            .says("^EHLO: {addr} said \"550 who are you\\?\", expected 250$")
            .at("evidence.mail.transcript.1.excerpt", is("EHLO probe.example\r\n")),
        smtp("no-tls", &["220 hi\r\n", "250 hi\r\n"], ", starttls: required").fail("tls_not_offered"),
        smtp("no-tls-for-a-password", &["220 hi\r\n", "250-hi\r\n250 AUTH PLAIN\r\n"], LOGIN)
            .fail("tls_not_offered")
            .says("does not offer TLS, and a password goes over nothing else$"),
        smtp("injected", &["220 hi\r\n", "250-hi\r\n250 STARTTLS\r\n", "220 go\r\n250 fooled\r\n"], "")
            .error("protocol_error")
            .says("^STARTTLS: {addr} sent 12 bytes in plain text after it agreed to TLS"),
        smtp("not-smtp", &["SSH-2.0-OpenSSH_9.2\r\n"], "").error("protocol_error").says("is not an answer of SMTP$"),
        visit("smtp", "cut", vec![say("220 h"), Step::Close], "").error("connection_closed").says("^greeting: "),
        visit("smtp", "silent", vec![], "").timeout("first_byte_timeout").says("^greeting: no first byte within "),
        visit("smtp", "endless", vec![Step::SayForEver(b"220-a\r\n".to_vec())], "")
            .error("protocol_error")
            .says("sent an answer of more than 256 lines$"),
        row("smtp-implicit")
            .server(Server::TlsScript(
                Tls::Shows(Certificate::Valid),
                says(&["220 hi\r\n", "250-hi\r\n250 AUTH PLAIN\r\n", "235 ok\r\n", "221 bye\r\n"]),
            ))
            .check(format!("smtp: {{ address: '{{host}}:{{port}}', starttls: implicit{LOGIN} }}\nexpect: {{ cert_days: 9, that: authenticated }}"))
            .pass()
            .at("evidence.mail.login", is("PLAIN"))
            .at("tls.verified", is(true)),
        row("smtp-login-refused")
            .server(Server::TlsScript(
                Tls::Shows(Certificate::Valid),
                says(&["220 hi\r\n", "250-hi\r\n250 AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n", "535 no\r\n"]),
            ))
            .check(format!("smtp: {{ address: '{{host}}:{{port}}', starttls: implicit{LOGIN} }}"))
            .fail("auth_failed")
            .says("^AUTH: .* said \"535 no\", expected 235$"),
        row("smtp-implicit-not-trusted")
            .server(Server::TlsScript(Tls::Untrusted, vec![]))
            .check("smtp: { address: '{host}:{port}', starttls: implicit }")
            .error("tls_unknown_issuer"),
    ]
}

fn mailboxes() -> Vec<Row> {
    let imap = |name: &str, texts: &[&str], more: &str| visit("imap", name, says(texts), more);
    let pop3 = |name: &str, texts: &[&str], more: &str| visit("pop3", name, says(texts), more);
    let capability = "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nw1 OK done\r\n";
    vec![
        imap("plain", &["* OK hi\r\n", capability, "* BYE\r\nw2 OK\r\n"], "")
            .pass()
            .at("evidence.mail.greeting", is("OK hi"))
            .at("evidence.mail.capabilities", is(vec!["IMAP4rev1", "LOGINDISABLED"])),
        imap("preauth", &["* PREAUTH hi\r\n", capability, "w2 OK\r\n"], "").pass(),
        imap("bye", &["* BYE overloaded\r\n"], "")
            .fail("not_ready")
            .says("said \"BYE overloaded\", expected OK or PREAUTH$"),
        imap("bad", &["* OK\r\n", "w1 BAD what?\r\n"], "").fail("assertion_failed").says("^CAPABILITY: "),
        imap("no-tls", &["* OK\r\n", capability], ", starttls: required").fail("tls_not_offered"),
        imap("not-imap", &["+OK POP3\r\n"], "").error("protocol_error").says("is not a greeting of IMAP$"),
        visit("imap", "endless", vec![Step::SayForEver(vec![b'x'; 100])], "")
            .error("protocol_error")
            .says("sent a line of more than 8192 bytes$"),
        row("imap-login-disabled")
            .server(Server::TlsScript(Tls::Shows(Certificate::Valid), says(&["* OK hi\r\n", capability])))
            .check(format!("imap: {{ address: '{{host}}:{{port}}', starttls: implicit{LOGIN} }}"))
            .fail("auth_failed")
            .says("offers no way to log in that is known here"),
        row("imap-login")
            .server(Server::TlsScript(
                Tls::Shows(Certificate::Valid),
                says(&["* OK\r\n", "* CAPABILITY IMAP4rev1\r\nw1 OK\r\n", "w2 OK\r\n", "w3 OK\r\n"]),
            ))
            .check(format!("imap: {{ address: '{{host}}:{{port}}', starttls: implicit{LOGIN} }}"))
            .pass()
            .at("evidence.mail.login", is("LOGIN")),
        pop3("plain", &["+OK hi\r\n", "+OK\r\nUIDL\r\nUSER\r\n.\r\n", "+OK\r\n"], "")
            .pass()
            .at("evidence.mail.capabilities", is(vec!["UIDL", "USER"])),
        pop3("old", &["+OK hi\r\n", "-ERR unknown command\r\n", "+OK\r\n"], "").pass(),
        pop3("err", &["-ERR [SYS/TEMP] later\r\n"], "").fail("not_ready").at("evidence.mail.greeting", has("later")),
        pop3("no-tls", &["+OK\r\n", "-ERR\r\n"], ", starttls: required").fail("tls_not_offered"),
        pop3("not-pop3", &["* OK IMAP\r\n"], "").error("protocol_error").says("is not an answer of POP3$"),
        row("pop3-login-refused")
            .server(Server::TlsScript(
                Tls::Shows(Certificate::Valid),
                says(&["+OK\r\n", "+OK\r\nUSER\r\n.\r\n", "+OK\r\n", "-ERR [AUTH] hunter2hunter2 is wrong\r\n"]),
            ))
            .check(format!("pop3: {{ address: '{{host}}:{{port}}', starttls: implicit{LOGIN} }}"))
            .fail("auth_failed")
            .says(r"^PASS: .* said .-ERR \[AUTH\] \[redacted\] is wrong., expected \+OK$")
            .at("tls.verified", present()),
        row("pop3-silent")
            .server(Server::Tcp(Behaviour::Silent))
            .check("pop3: { address: '{addr}' }")
            .timeout("first_byte_timeout"),
    ]
}

fn refused() -> Vec<Row> {
    vec![
        row("smtp-password-in-plain-text")
            .check(format!("smtp: {{ address: 'a:25', starttls: never{LOGIN} }}"))
            .refused("a password goes over TLS only"),
        row("imap-starttls-unknown")
            .check("imap: { address: 'a:143', starttls: always }")
            .refused("unknown variant `always`"),
        row("smtp-helo").check("smtp: { address: 'a:25', helo_name: 'a b' }").refused("is no name for HELO"),
    ]
}
