//! The type `tls`: the handshake and the certificate by themselves.

use tokio_rustls::rustls::{ServerConfig, version};
use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::Certificate;

use crate::expected::{absent, at_least, is, present};
use crate::row::{Row, row};
use crate::server::{Server, Step, Tls, say};

pub fn rows() -> Vec<Row> {
    let mut rows = good();
    rows.extend(bad());
    rows.extend(insecure());
    rows.extend(peers());
    rows
}

fn check(name: &str, server: Server, more: &str) -> Row {
    row(format!("tls-type-{name}")).server(server).check(format!("tls: {{ address: '{{host}}:{{port}}'{more} }}"))
}

fn shows(name: &str, kind: Certificate, more: &str) -> Row {
    check(name, Server::TlsPaths(Tls::Shows(kind)), more)
}

fn speaks_h2(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

fn expecting(row: Row, expect: &str) -> Row {
    let check = format!("{}\nexpect: {{ {expect} }}", row.check);
    row.check(check)
}

fn good() -> Vec<Row> {
    let h2 = || Server::TlsPaths(Tls::With(speaks_h2));
    vec![
        shows("valid", Certificate::Valid, "")
            .pass()
            .at("check_type", is("tls"))
            .at("tls.version", is("TLSv1.3"))
            .at("tls.verified", is(true))
            .at("tls.not_before", is("2020-01-01T00:00:00Z"))
            .at("tls.not_after", is("2099-01-01T00:00:00Z"))
            .at("tls.key_type", is("EC P-256"))
            .at("tls.key_bits", is(256))
            .at("tls.serial", present())
            .at("tls.sha256", present())
            .at("tls.problem", absent())
            .at("metrics.tls_days_left", at_least(10_000.0))
            .at("phases_us.first_byte", absent()),
        shows("via-an-intermediate", Certificate::ViaIntermediate, "")
            .pass()
            .at("tls.intermediates.0.subject", is("CN=Watchpost test intermediate")),
        shows("by-another-name", Certificate::WrongHost, ", tls: { server_name: another.example }").pass(),
        check("by-a-file", Server::TlsPaths(Tls::Shows(Certificate::Valid)), ", tls: { ca_file: '{ca}' }").pass(),
        check("alpn", h2(), ", alpn: [http/1.1, h2]").pass().at("tls.alpn", is("h2")),
        shows("alpn-unheard", Certificate::Valid, ", alpn: [h2]")
            .fail("assertion_failed")
            .says("^the server agrees to no protocol by ALPN, expected h2$"),
        check("alpn-refused", h2(), ", alpn: [smtp]").error("tls_error").says("agrees to none of the protocols"),
        expecting(shows("days", Certificate::Valid, ""), "cert_days: 9000").pass(),
        expecting(shows("too-few-days", Certificate::Expired, ", tls: { insecure: true }"), "cert_days: 1")
            .fail("assertion_failed")
            .says("^the certificate is valid for -[0-9.]+ days more, until 2021-01-01T00:00:00Z, expected 1 days$"),
        expecting(
            shows("asked", Certificate::Valid, ""),
            "that: 'tls.verified && tls.key_bits == 256 && !has(tls.alpn)'",
        )
        .pass(),
        check("client-certificate", Server::TlsPaths(Tls::AsksWho(&version::TLS13)), "")
            .error("tls_error")
            .says("wants a client certificate, and the check has none")
            .at("tls.client_certificate_asked", is(true)),
        check(
            "client-certificate-shown",
            Server::TlsPaths(Tls::AsksWho(&version::TLS13)),
            ", tls: { client: { certificate_file: '{client_certificate}', key_file: '{client_key}' } }",
        )
        .pass()
        .at("tls.client_certificate_asked", is(true)),
        row("tls-type-days-are-a-number")
            .check("tls: { address: 'a:1' }\nexpect: { cert_days: 0 }")
            .refused("0 days are out of range: expected 1 to 10000"),
    ]
}

fn bad() -> Vec<Row> {
    let bad = |name: &str, kind: Certificate, code: &str, says: &str| {
        shows(name, kind, "").error(code).says(says).at("tls.verified", is(false)).at("tls.sha256", present())
    };
    vec![
        bad("expired", Certificate::Expired, "tls_expired", "^the certificate of {host} expired 2021-01-01T00:00:00Z "),
        bad("not-yet-valid", Certificate::NotYetValid, "tls_not_yet_valid", "is valid from 2098-01-01T00:00:00Z only"),
        bad("wrong-host", Certificate::WrongHost, "tls_wrong_host", "is for another.example, and not for {host}$"),
        bad("self-signed", Certificate::SelfSigned, "tls_unknown_issuer", "is signed by itself, and not trusted here$")
            .at("tls.self_signed", is(true)),
        bad(
            "incomplete",
            Certificate::ChainIncomplete,
            "tls_unknown_issuer",
            "should send its certificate and does not$",
        ),
        bad("for-clients", Certificate::ForClients, "tls_error", "is not meant for servers"),
    ]
}

fn insecure() -> Vec<Row> {
    let insecure = |name: &str, kind: Certificate, code: &'static str| {
        shows(&format!("insecure-{name}"), kind, ", tls: { insecure: true }")
            .pass()
            .at("tls.verified", is(false))
            .at("tls.problem.code", is(code))
            .at("tls.problem.message", present())
    };
    vec![
        insecure("expired", Certificate::Expired, "tls_expired"),
        insecure("wrong-host", Certificate::WrongHost, "tls_wrong_host"),
        insecure("self-signed", Certificate::SelfSigned, "tls_unknown_issuer"),
    ]
}

fn peers() -> Vec<Row> {
    vec![
        check("plain-text", Server::Script(vec![Step::HearSome, say("220 mail ESMTP\r\n"), Step::Close]), "")
            .error("tls_error")
            .says("does not speak TLS"),
        check("silence", Server::Tcp(Behaviour::Silent), "").timeout("tls_timeout"),
        check("refused", Server::Closed, "").error("connect_refused"),
        check("closes", Server::Script(vec![Step::HearSome, Step::Close]), "").error("connection_closed"),
    ]
}
