//! `http` checks over TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto, version};
use watchpost_model::Outcome;
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::{Authority, Certificate, TlsFixture};

use crate::{Bench, Ran, loopback};

const HOST: &str = "svc.example";

fn get(more: &str) -> String {
    format!(r#"{{"http": {{"url": "https://{HOST}/echo"}}{more}}}"#)
}

fn trusting(authority: &Authority) -> Bench {
    Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]))
}

async fn against(kind: Certificate) -> Ran {
    let authority = Authority::new().unwrap();
    let server = TlsFixture::start(loopback(2), "a", &authority, kind, HOST).await.unwrap();
    trusting(&authority).run(&get(""), server.address()).await
}

#[tokio::test]
async fn a_trusted_server_passes_with_what_its_certificate_says() {
    let authority = Authority::new().unwrap();
    let server = TlsFixture::start(loopback(2), "a", &authority, Certificate::Valid, HOST).await.unwrap();
    let expect = r#", "expect": {"body_contains": ["\"sni\":\"svc.example\"", "\"host\":\"svc.example\""]}"#;
    let ran = trusting(&authority).run(&get(expect), server.address()).await;
    ran.assert_passed();
    let phases = ran.evidence.phases;
    let parts = phases.connect.unwrap() + phases.tls.unwrap() + phases.first_byte.unwrap() + phases.receive.unwrap();
    assert!(parts <= phases.total.unwrap() && phases.tls.unwrap() > 0, "{phases:?}");
    let tls = ran.evidence.tls.unwrap();
    assert_eq!(tls.not_after.unwrap().to_string(), "2099-01-01T00:00:00Z");
    let suites = (tls.version.as_deref(), tls.cipher.as_deref());
    assert_eq!(suites, (Some("TLSv1.3"), Some("TLS_AES_256_GCM_SHA384")));
    assert_eq!((tls.sans, tls.chain), (vec![HOST.to_owned()], vec![format!("CN={HOST}")]));
    assert!(tls.issuer.unwrap().contains("Watchpost test authority"));
    assert!(ran.evidence.metrics["tls_days_left"] > 10_000.0);
}

#[tokio::test]
async fn every_check_makes_a_full_handshake() {
    let authority = Authority::new().unwrap();
    let server = TlsFixture::start(loopback(2), "a", &authority, Certificate::Valid, HOST).await.unwrap();
    let bench = trusting(&authority);
    let mut probe = bench.probe(watchpost_model::CheckType::Http);
    let task = crate::task(&get(""), Some(server.address()));
    for _ in 0..3 {
        let ran = crate::run_task(&mut *probe, &task, crate::AMPLE).await;
        ran.assert_passed();
        // A resumed session would show no certificate.
        assert!(ran.evidence.tls.is_some_and(|tls| tls.not_after.is_some()));
    }
}

#[tokio::test]
async fn an_older_protocol_version_is_reported_as_such() {
    let authority = Authority::new().unwrap();
    let modern = authority.server_config(Certificate::Valid, HOST).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let old = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&modern.cert_resolver));
    let server = TlsFixture::start_with(loopback(2), "a", old).await.unwrap();
    let ran = trusting(&authority).run(&get(""), server.address()).await;
    ran.assert_passed();
    let tls = ran.evidence.tls.unwrap();
    let suites = (tls.version.as_deref(), tls.cipher.as_deref());
    assert_eq!(suites, (Some("TLSv1.2"), Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")));
}

#[tokio::test]
async fn a_bad_certificate_is_an_error_that_still_shows_it() {
    for (kind, code, told) in [
        (Certificate::Expired, "tls_expired", "the certificate of svc.example expired 2021-01-01T00:00:00Z ("),
        (Certificate::NotYetValid, "tls_not_yet_valid", "is valid from 2098-01-01T00:00:00Z only (in "),
        (Certificate::WrongHost, "tls_wrong_host", "the certificate is for another.example, and not for svc.example"),
        (Certificate::SelfSigned, "tls_unknown_issuer", "is signed by itself"),
    ] {
        let ran = against(kind).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        let tls = ran.evidence.tls.unwrap();
        assert!(tls.not_after.is_some() && tls.subject.is_some() && tls.version.is_none(), "{tls:?}");
        assert_eq!(ran.evidence.metrics["tls_days_left"] < 0.0, kind == Certificate::Expired);
        assert!(ran.evidence.phases.tls.is_some() && ran.evidence.phases.first_byte.is_none());
    }
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_named() {
    let authority = Authority::new().unwrap();
    let server = TlsFixture::start(loopback(2), "a", &authority, Certificate::Valid, HOST).await.unwrap();
    let namesake = Authority::new().unwrap();
    for (bench, told) in [(Bench::new(), "who is not trusted here"), (trusting(&namesake), "not with the key that")] {
        let ran = bench.run(&get(""), server.address()).await;
        ran.assert_ended(Outcome::Error, "tls_unknown_issuer");
        assert!(ran.message().contains("Watchpost test authority"), "{}", ran.message());
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn an_address_in_the_url_is_verified_as_an_address() {
    let authority = Authority::new().unwrap();
    let server = TlsFixture::start(loopback(2), "a", &authority, Certificate::Valid, "127.0.0.2").await.unwrap();
    let json = format!(r#"{{"http": {{"url": "https://{}/ok"}}}}"#, server.address());
    trusting(&authority).run(&json, None).await.assert_passed();
}

/// There is no name server here: the host is refused before it would be resolved.
#[tokio::test]
async fn a_host_that_no_certificate_can_be_for_is_no_target() {
    let server = Behaviour::Silent.start(loopback(2)).await.unwrap();
    for endpoint in [None, Some(server.address())] {
        let ran = Bench::new().run(r#"{"http": {"url": "https://a..b/"}}"#, endpoint).await;
        ran.assert_ended(Outcome::Error, "invalid_target");
        assert_eq!(ran.message(), "no certificate can be for `a..b`, the host that the check names");
    }
    assert_eq!(server.counts().accepted(), 0);
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_an_error_of_tls() {
    for (behaviour, code, told) in [
        (Behaviour::Says(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "tls_error", "does not speak TLS"),
        (Behaviour::SaysAndCloses(Vec::new()), "connection_closed", "during the TLS handshake"),
        (Behaviour::Resets, "connection_reset", "during the TLS handshake"),
    ] {
        let server = behaviour.start(loopback(2)).await.unwrap();
        let ran = Bench::new().run(&get(""), server.address()).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
        assert!(ran.evidence.phases.tls.is_some() && ran.evidence.tls.is_none());
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_is_timed_out_as_one() {
    let server = Behaviour::Silent.start(loopback(2)).await.unwrap();
    let ran = Bench::new().run_within(Duration::from_millis(200), &get(""), server.address()).await;
    ran.assert_ended(Outcome::Timeout, "tls_timeout");
    assert!(ran.message().starts_with("no complete TLS handshake within 200ms: connected to "), "{}", ran.message());
}

/// A machine without certificate authorities says nothing about the target, and does not even connect.
#[tokio::test]
async fn without_any_authority_the_check_is_cancelled() {
    let server = Behaviour::Silent.start(loopback(2)).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([]));
    let ran = bench.run(&get(""), server.address()).await;
    ran.assert_ended(Outcome::Cancelled, "no_trust_roots");
    assert!(ran.message().starts_with("this machine has no certificate authorities"), "{}", ran.message());
    assert_eq!(server.counts().accepted(), 0);
}

/// By TLS 1.3 a server refuses a client when that believes to be through, and may do so while it sends.
#[tokio::test]
async fn a_server_that_misses_a_certificate_says_so_however_much_is_sent() {
    let authority = Authority::new().unwrap();
    let config = authority.server_config(Certificate::Valid, HOST).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().into()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    for protocols in [&[][..], &[b"h2".to_vec()]] {
        let mut demanding = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::clone(&config.cert_resolver));
        demanding.alpn_protocols = protocols.to_vec();
        let server = TlsFixture::start_with(loopback(2), "a", demanding).await.unwrap();
        for bytes in [0, 65_536] {
            let json = format!(
                r#"{{"http": {{"url": "https://{HOST}/echo", "method": "POST", "body": "{}"}}}}"#,
                "x".repeat(bytes)
            );
            for _ in 0..20 {
                let ran = trusting(&authority).run(&json, server.address()).await;
                ran.assert_ended(Outcome::Error, "tls_error");
                assert!(ran.message().contains("wants a client certificate"), "{bytes}: {}", ran.message());
            }
        }
    }
}
