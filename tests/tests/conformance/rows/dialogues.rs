//! Dialogues of several steps, by TCP.

use watchpost_tests::tls_fixture::Certificate;

use crate::expected::{absent, at_least, is, present};
use crate::row::{Row, row};
use crate::server::{Server, Step, Tls, say};

pub fn rows() -> Vec<Row> {
    let mut rows = steps();
    rows.extend(refused());
    rows
}

fn dialogue(name: &str, script: Vec<Step>, steps: &str) -> Row {
    row(format!("dialogue-{name}"))
        .server(Server::Script(script))
        .check(format!("tcp:\n  address: '{{addr}}'\n  steps:\n{steps}"))
}

fn steps() -> Vec<Row> {
    let greets =
        || vec![say("220 mx ESMTP\r\n"), Step::HearSome, say("250-mx\r\n250 OK\r\n"), Step::HearSome, Step::Close];
    vec![
        dialogue(
            "of-steps",
            greets(),
            r#"    - expect: '^220 (?P<WHO>\S+) '
    - { send: "EHLO ${WHO}\r\n", expect: '^250 ' }
    - { send: { hex: "51 0d 0a" } }"#,
        )
        .pass()
        .at("evidence.dialogue.steps_done", is(3))
        .at("evidence.dialogue.captures.WHO", is("mx"))
        .at("evidence.dialogue.transcript", absent())
        .at("assertions.1.expr", is("step 2: answer matches /^250 /")),
        dialogue("not-as-expected", greets(), "    - expect: '^220 '\n    - { send: x, expect: '^354 ' }\n    - { send: z }")
            .timeout("receive_timeout")
            .says("^step 2: the answer was not complete within .*the peer said last \"250-mx")
            .at("evidence.dialogue.steps_done", is(1)),
        dialogue("cut", vec![say("220 "), Step::Close], "    - expect: '^220 .*\\n'")
            .fail("assertion_failed")
            .says("^step 1: the peer closed the connection before the answer matched .* it sent 4 bytes: \"220 \"$")
            .at("evidence.dialogue.transcript.0.excerpt", is("220 ")),
        dialogue("reset", vec![say("220 \r\n"), Step::HearSome, Step::Reset], "    - expect: '^220'\n    - { send: x, expect: y }")
            .error("connection_reset")
            .says("^step 2: {addr} reset the connection"),
        dialogue("too-much", vec![Step::SayForEver(vec![b'x'; 100])], "    - { expect: y, max_bytes: 500 }")
            .fail("assertion_failed")
            .says("^step 1: the peer sent 500 bytes, the most that is read,")
            .at("evidence.dialogue.received_bytes", is(500)),
        dialogue(
            "with-a-secret",
            vec![say("+OK\r\n"), Step::HearSome, say("-ERR hunter2hunter2 is wrong\r\n"), Step::Close],
            "    - expect: '^\\+OK'\n    - { send: \"PASS hunter2hunter2\\r\\n\", expect: '^\\+OK', secret: true }",
        )
        .fail("assertion_failed")
        .says("^step 2: .* it sent [0-9]+ bytes: \\[redacted\\]$")
        .at("evidence.dialogue.transcript.1.excerpt", is("[redacted]"))
        .at("evidence.dialogue.transcript.2.excerpt", is("[redacted]")),
        dialogue(
            "injected-before-tls",
            vec![Step::HearSome, say("220 go\r\n250 fooled\r\n"), Step::HearSome],
            "    - { send: \"STARTTLS\\r\\n\", expect: '^220 ', starttls: { insecure: true } }",
        )
        .error("protocol_error")
        .says("^step 1: {addr} sent 12 bytes in plain text after it agreed to TLS"),
        dialogue(
            "no-tls-after-all",
            vec![Step::HearSome, say("220 go\r\n"), Step::HearSome, say("what?\r\n"), Step::Close],
            "    - { send: \"STARTTLS\\r\\n\", expect: '^220 ', starttls: { insecure: true } }",
        )
        .error("tls_error")
        .says("^step 1: {addr} does not speak TLS"),
        row("dialogue-by-tls")
            .server(Server::TlsScript(Tls::Shows(Certificate::Valid), vec![say("220 hi\r\n"), Step::HearSome]))
            .check("tcp: { address: '{host}:{port}', tls: {}, expect: '^220' }\nexpect: { cert_days: 30, that: \"received.startsWith('220')\" }")
            .pass()
            .at("tls.verified", is(true))
            .at("phases_us.tls", at_least(1.0)),
        row("dialogue-by-tls-not-trusted")
            .server(Server::TlsScript(Tls::Untrusted, vec![say("220 hi\r\n")]))
            .check("tcp: { address: '{host}:{port}', tls: {}, expect: '^220' }")
            .error("tls_unknown_issuer")
            .at("tls.subject", present()),
        row("dialogue-days-without-tls")
            .server(Server::Script(vec![]))
            .check("tcp: { address: '{addr}' }\nexpect: { cert_days: 3 }")
            .fail("assertion_failed")
            .says("^there was no TLS, so no certificate could be valid for 3 days$"),
    ]
}

fn refused() -> Vec<Row> {
    let bad = |name: &str, settings: &str, says: &str| {
        row(format!("dialogue-refused-{name}")).check(format!("tcp: {{ address: 'a:1', {settings} }}")).refused(says)
    };
    vec![
        bad("empty", "steps: [{}]", "step 1 of `tcp.steps` does nothing"),
        bad(
            "unknown-capture",
            "steps: [{send: '${NOBODY}'}]",
            "sends `\\$\\{NOBODY\\}`, which no earlier step captures",
        ),
        bad("both", "send: x, steps: [{send: z}]", "expected these within the steps"),
        bad("tls-twice", "tls: {}, steps: [{starttls: {}}]", "begins TLS, which there is already"),
        bad("bytes", "steps: [{expect: x, max_bytes: 70000}]", "expected 1 to 65536"),
        bad("hex", "steps: [{send: {hex: 'xyz'}}]", "are not bytes in hexadecimal"),
        row("dialogue-refused-socket").check("unix: { path: a.sock }").refused("is not the whole path of a socket"),
        row("dialogue-refused-socket-tls").check("unix: { path: /a.sock, tls: {} }").refused("expected `server_name`"),
        row("dialogue-no-socket")
            .check("unix: { path: '{dir}/nothing.sock' }")
            .error("connect_error")
            .says("^there is no socket .*nothing.sock$"),
    ]
}
