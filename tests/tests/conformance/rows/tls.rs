//! TLS: certificates good and bad, handshakes that fail.

use std::sync::Arc;

use tokio_rustls::rustls::{ServerConfig, crypto, version};
use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::Certificate;

use crate::expected::{absent, at_least, at_most, has, is, present};
use crate::names::Dns;
use crate::row::{Row, ip, row};
use crate::server::{Server, Step, Tls, response, say};

const URL: &str = "https://{host}:{port}/ok";

pub fn rows() -> Vec<Row> {
    let mut rows = good();
    rows.extend(bad_certificates());
    rows.extend(handshakes());
    rows.extend(not_tls());
    rows.extend(endings());
    rows
}

fn shows(name: &str, kind: Certificate) -> Row {
    row(name).server(Server::TlsPaths(Tls::Shows(kind))).get(URL)
}

/// The same certificate, only by TLS 1.2.
fn only_tls_1_2(config: ServerConfig) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&config.cert_resolver))
}

/// The same for something that is not HTTP.
fn speaks_something_else(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"something/else".to_vec()];
    config
}

fn good() -> Vec<Row> {
    vec![
        shows("tls-valid", Certificate::Valid)
            .pass()
            .at("tls.version", is("TLSv1.3"))
            .at("tls.cipher", has("TLS_"))
            .at("tls.not_after", is("2099-01-01T00:00:00Z"))
            .at("tls.subject", is("CN={host}"))
            .at("tls.issuer", has("Watchpost test authority"))
            .at("tls.sans", is(vec!["{host}"]))
            .at("tls.chain", is(vec!["CN={host}"]))
            .at("metrics.tls_days_left", at_least(10_000.0))
            .at("phases_us.tls", at_least(1.0)),
        shows("tls-by-an-intermediate", Certificate::ViaIntermediate)
            .pass()
            .at("tls.chain.1", has("Watchpost test intermediate")),
        row("tls-1-2")
            .server(Server::TlsPaths(Tls::With(only_tls_1_2)))
            .get(URL)
            .pass()
            .at("tls.version", is("TLSv1.2"))
            .at("tls.cipher", has("TLS_ECDHE_")),
        row("tls-of-an-address")
            .server(Server::TlsPaths(Tls::For("127.0.0.1")))
            .get("https://{addr}/ok")
            .pass()
            .at("tls.sans", is(vec!["127.0.0.1"])),
        row("tls-of-an-ipv6-address")
            .server_on("::1", Server::TlsPaths(Tls::For("::1")))
            .get("https://{addr}/ok")
            .pass()
            .at("target.address", is("{addr}")),
        row("tls-of-a-wildcard")
            .server(Server::TlsPaths(Tls::For("*.tls-of-a-wildcard.test")))
            .name("any", Dns::Is(vec![ip("127.0.0.1")]))
            .get("https://{any.host}:{port}/ok")
            .pass(),
        row("tls-body-until-the-end")
            .server(Server::TlsScript(
                Tls::Shows(Certificate::Valid),
                vec![Step::Hear, say("HTTP/1.1 200 OK\r\n\r\nok"), Step::Close],
            ))
            .get_expecting(URL, "body_matches: '^ok$'")
            .pass(),
        row("tls-server-name")
            .server(Server::TlsPaths(Tls::Shows(Certificate::Valid)))
            .get_expecting("https://{host}:{port}/echo", "body_contains: '\"sni\":\"{host}\"'")
            .pass(),
    ]
}

fn bad_certificates() -> Vec<Row> {
    let bad = |row: Row, code: &str, says: &str| {
        row.error(code)
            .says(says)
            .at("tls.subject", present())
            .at("tls.not_after", present())
            .at("tls.version", absent())
            .at("phases_us.tls", present())
            .at("phases_us.first_byte", absent())
            .at("http", absent())
    };
    vec![
        bad(
            shows("tls-expired", Certificate::Expired),
            "tls_expired",
            r"^the certificate of {host} expired 2021-01-01T00:00:00Z \([0-9]+ days ago\)$",
        )
        .at("metrics.tls_days_left", at_most(-1.0)),
        bad(
            shows("tls-not-yet-valid", Certificate::NotYetValid),
            "tls_not_yet_valid",
            r"^the certificate of {host} is valid from 2098-01-01T00:00:00Z only \(in [0-9]+ days\)$",
        ),
        bad(
            shows("tls-wrong-host", Certificate::WrongHost),
            "tls_wrong_host",
            "^the certificate is for another.example, and not for {host}$",
        ),
        bad(
            row("tls-of-another-address").server(Server::TlsPaths(Tls::For("127.0.0.9"))).get("https://{addr}/ok"),
            "tls_wrong_host",
            r"^the certificate is for 127\.0\.0\.9, and not for {ip}$",
        ),
        bad(
            row("tls-of-a-name-for-an-address")
                .server(Server::TlsPaths(Tls::Shows(Certificate::Valid)))
                .get("https://{addr}/ok"),
            "tls_wrong_host",
            "^the certificate is for {host}, and not for {ip}$",
        ),
        bad(
            row("tls-of-a-wildcard-one-level-up")
                .server(Server::TlsPaths(Tls::For("*.test")))
                .name("any", Dns::Is(vec![ip("127.0.0.1")]))
                .get("https://{any.host}:{port}/ok"),
            "tls_wrong_host",
            r"^the certificate is for \*\.test, and not for {any.host}$",
        ),
        bad(
            shows("tls-without-names", Certificate::NoNames),
            "tls_wrong_host",
            r"^the certificate is for no name at all \(it has no subject alternative names, .*, and not for {host}$",
        ),
        bad(
            shows("tls-self-signed", Certificate::SelfSigned),
            "tls_unknown_issuer",
            "^the certificate of {host} is signed by itself, and not trusted here$",
        ),
        bad(
            row("tls-of-a-namesake-of-the-authority").server(Server::TlsPaths(Tls::Untrusted)).get(URL),
            "tls_unknown_issuer",
            "^the certificate of {host} names .*Watchpost test authority.* but not with the key that is trusted here$",
        ),
        bad(
            shows("tls-for-clients-only", Certificate::ForClients),
            "tls_error",
            "^the certificate of {host} is not meant for servers: its extended key usage does not allow server authentication$",
        ),
        bad(
            shows("tls-with-an-incomplete-chain", Certificate::ChainIncomplete),
            "tls_unknown_issuer",
            "^the certificate of {host} is signed by CN=Watchpost test intermediate, who is not trusted here. If that is no authority ",
        ),
        bad(
            shows("tls-with-an-expired-intermediate", Certificate::IntermediateExpired),
            "tls_expired",
            "^the certificate of CN=Watchpost test intermediate, on which that of {host} depends, expired 2021-01-01T00:00:00Z ",
        ),
    ]
}

/// A record of TLS, of what looks like TLS 1.0 on the outside.
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1, 0, u8::try_from(payload.len()).unwrap()], payload].concat()
}

fn alert(description: u8) -> Vec<u8> {
    record(21, &[2, description])
}

/// What a server says that knows TLS 1.0 (minor version 1) or 1.1 (2) and no more, and does not care for what the
/// client offers.
fn old_server_hello(minor_version: u8) -> Vec<u8> {
    // Version, 32 bytes of chance, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let hello = [&[3, minor_version][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    record(22, &[&[2, 0, 0, u8::try_from(hello.len()).unwrap()], &hello[..]].concat())
}

fn handshakes() -> Vec<Row> {
    let after_hello = |name: &str, says: Vec<u8>| {
        row(name).server(Server::Script(vec![Step::HearSome, Step::Say(says), Step::Close])).get(URL)
    };
    let refused = |name: &str, description: u8, says: &str| {
        after_hello(name, alert(description))
            .error("tls_error")
            .says(&format!(r"^{{addr}} \({{host}}\) {says}"))
            .at("tls", absent())
    };
    let weak = |name: &str, minor_version: u8| {
        after_hello(name, old_server_hello(minor_version))
            .error("tls_error")
            .says(r"^{addr} \({host}\) speaks a version of TLS that is too weak: expected TLS 1.2 or 1.3$")
            .at("tls", absent())
    };
    vec![
        weak("tls-weak-protocol-1-0", 1),
        weak("tls-weak-protocol-1-1", 2),
        refused("tls-alert-weak-protocol", 70, r"speaks a version of TLS that is too weak: .* \(alert ProtocolVersion, "),
        refused("tls-alert-handshake-failure", 40, r"agrees to none of the cipher suites .* \(alert HandshakeFailure, "),
        refused("tls-alert-unrecognised-name", 112, r"knows no server by the name {host} \(alert UnrecognisedName, "),
        refused("tls-alert-internal-error", 80, "ended the TLS session during .* with the alert InternalError$"),
        row("tls-alert-no-protocol-in-common")
            .server(Server::TlsPaths(Tls::With(speaks_something_else)))
            .get(URL)
            .error("tls_error")
            .says("NoApplicationProtocol"),
        row("tls-client-certificate-wanted")
            .server(Server::TlsPaths(Tls::AsksWho(&version::TLS13)))
            .get(URL)
            .error("tls_error")
            .says(r"^{addr} \({host}\) wants a client certificate, and the check has none \(alert CertificateRequired, before ")
            .at("tls.version", is("TLSv1.3")),
        row("tls-client-certificate-wanted-by-1-2")
            .server(Server::TlsPaths(Tls::AsksWho(&version::TLS12)))
            .get(URL)
            .error("tls_error")
            .says(r"client certificate.*\(alert (HandshakeFailure|CertificateRequired), during the TLS handshake, "),
        row("tls-closes-without-a-word")
            .server(Server::Script(vec![Step::HearSome, Step::Close]))
            .get(URL)
            .error("connection_closed")
            .says(r"^{addr} \({host}\) closed the connection during the TLS handshake"),
        row("tls-resets")
            .server(Server::Script(vec![Step::HearSome, Step::Reset]))
            .get(URL)
            .error("connection_reset")
            .says(r"^{addr} \({host}\) reset the connection during the TLS handshake"),
        row("tls-says-nothing")
            .server(Server::Tcp(Behaviour::Silent))
            .get(URL)
            .timeout("tls_timeout")
            .says("^no complete TLS handshake within [0-9.]+s: .*connected to {addr} in "),
        row("tls-slow-loris")
            .server(Server::Script(vec![
                Step::HearSome,
                // A record of 16 KiB, of which there is never enough.
                Step::Say(vec![22, 3, 3, 0x40, 0]),
                Step::Drip(vec![2]),
            ]))
            .get(URL)
            .timeout("tls_timeout"),
        after_hello("tls-cut-in-its-hello", old_server_hello(3)[..20].to_vec())
            .error("connection_closed")
            .says("during the TLS handshake"),
        after_hello("tls-record-too-large", [&[22, 3, 3, 0xff, 0xff][..], &[0; 1000]].concat()).error("tls_error"),
    ]
}

fn not_tls() -> Vec<Row> {
    let plain = |name: &str, says: &str| {
        row(name)
            .server(Server::Script(vec![Step::HearSome, say(says), Step::Close]))
            .get(URL)
            .error("tls_error")
            .says(r"^{addr} \({host}\) does not speak TLS")
            .at("tls", absent())
            .at("http", absent())
    };
    vec![
        plain("https-on-a-port-of-http", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
        plain("https-on-a-port-of-ssh", "SSH-2.0-OpenSSH_9.2p1\r\n"),
        plain("https-on-a-port-of-smtp", "220 mail.example ESMTP\r\n"),
        row("http-on-a-port-of-https")
            .server(Server::TlsPaths(Tls::Shows(Certificate::Valid)))
            .get("http://{host}:{port}/ok")
            .error("protocol_error")
            .says(r"^the answer of {addr} \({host}\) is not valid HTTP: .*TLS"),
    ]
}

fn endings() -> Vec<Row> {
    let ends = |name: &str, steps: Vec<Step>| {
        row(name).server(Server::TlsScript(Tls::Shows(Certificate::Valid), steps)).get(URL)
    };
    vec![
        ends("tls-cut-after-a-body-with-a-length", vec![Step::Hear, say(response("200 OK", &[], "ok")), Step::Cut])
            .pass(),
        ends("tls-cut-after-a-body-without-a-length", vec![Step::Hear, say("HTTP/1.1 200 OK\r\n\r\nok"), Step::Cut])
            .error("connection_closed")
            .says("after 2 bytes$"),
        ends("tls-cut-before-an-answer", vec![Step::Hear, Step::Cut])
            .error("connection_closed")
            .says("before the first byte of an answer"),
        ends("tls-reset-before-an-answer", vec![Step::Hear, Step::Reset]).error("connection_reset"),
        ends("tls-silence-after-the-handshake", vec![])
            .timeout("first_byte_timeout")
            .says("TLS in ")
            .at("tls.version", is("TLSv1.3")),
    ]
}
