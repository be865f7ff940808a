//! `tls` checks.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use watchpost_model::{Outcome, TlsEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::openssl_server::{Folder, OpensslServer, Shown, self_signed};
use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::TlsFixture;

use crate::certificates::{Signer, config, for_clients, only_for};
use crate::{Bench, Ran, loopback};

const HOST: &str = "svc.example";

fn tls(more: &str) -> String {
    format!(r#"{{"tls": {{"address": "{HOST}:1"{more}}}}}"#)
}

fn trusting(signers: &[&Signer]) -> Bench {
    trusting_der(signers.iter().map(|signer| signer.der()).collect())
}

fn trusting_der(roots: Vec<Vec<u8>>) -> Bench {
    Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only(roots))
}

fn plain(_: &mut CertificateParams) {}

/// Runs the check against a server that shows `shown`.
async fn against(bench: &Bench, shown: &Shown, json: &str) -> Ran {
    let server = TlsFixture::start_with(loopback(2), "a", config(shown)).await.unwrap();
    bench.run(json, server.address()).await
}

/// What was seen of a server that shows `shown`, which passes where any certificate will do.
async fn seen_insecurely(bench: &Bench, shown: &Shown) -> TlsEvidence {
    let ran = against(bench, shown, &tls(r#", "tls": {"insecure": true}"#)).await;
    ran.assert_passed();
    ran.evidence.tls.unwrap()
}

#[tokio::test]
async fn a_good_server_passes_and_shows_everything() {
    let root = Signer::root("Root");
    let between = root.signs("Between", plain);
    let shown = between.server(HOST, &[&between], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2099, 1, 1);
        params.serial_number = Some(vec![0x0a, 0xbc].into());
    });
    let ran = against(&trusting(&[&root]), &shown, &tls("")).await;
    ran.assert_passed();
    let phases = ran.evidence.phases;
    assert!(phases.connect.is_some() && phases.tls.is_some() && phases.first_byte.is_none(), "{phases:?}");
    let spans: Vec<_> = ran.evidence.hops[0].spans.iter().map(|span| span.phase.as_str()).collect();
    assert_eq!(spans, ["connect", "tls"]);
    let seen = ran.evidence.tls.unwrap();
    assert_eq!((seen.version.as_deref(), seen.verified, seen.self_signed), (Some("TLSv1.3"), Some(true), false));
    assert_eq!(seen.not_before.unwrap().to_string(), "2020-01-01T00:00:00Z");
    assert_eq!(seen.not_after.unwrap().to_string(), "2099-01-01T00:00:00Z");
    assert_eq!(seen.serial.as_deref(), Some("0abc"));
    assert_eq!((seen.key_type.as_deref(), seen.key_bits), (Some("EC P-256"), Some(256)));
    assert_eq!(seen.signature_algorithm.as_deref(), Some("ecdsa-with-SHA256"));
    assert_eq!(seen.sha256, Some(fingerprint(&shown)));
    assert_eq!(seen.chain, [format!("CN={HOST}"), "CN=Between".to_owned()]);
    let [sent] = seen.intermediates.as_slice() else { panic!("{:?}", seen.intermediates) };
    assert_eq!((sent.subject.as_str(), sent.issuer.as_str()), ("CN=Between", "CN=Root"));
    assert!(sent.not_after.is_some() && seen.alpn.is_none() && seen.problem.is_none());
    assert!(!seen.client_certificate_asked);
}

/// As openssl says it.
fn fingerprint(shown: &Shown) -> String {
    let folder = Folder::new("fingerprint");
    let path = folder.file("certificate.pem", &shown.chain);
    let said = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", &path])
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.trim().split_once('=').unwrap().1.replace(':', "").to_lowercase()
}

#[tokio::test]
async fn certificates_that_are_wrong_are_told_apart() {
    let root = Signer::root("Root");
    let between = root.signs("Between", plain);
    let no_authority = root.signs("Nobody", |params| params.is_ca = IsCa::ExplicitNoCa);
    let constrained = root.signs("Constrained", only_for("other.example"));
    let last = root.signs("Last", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let beyond = last.signs("Beyond", plain);
    let old = root.signs("Old", |params| params.not_after = date_time_ymd(2021, 1, 1));
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2021, 1, 1);
    let not_yet = |params: &mut CertificateParams| params.not_before = date_time_ymd(2098, 1, 1);
    let nameless = |params: &mut CertificateParams| params.subject_alt_names.clear();
    let in_chain = "the certificate of CN=Old, on which that of svc.example depends, expired 2021-01-01T00:00:00Z (";
    for (shown, code, told) in [
        (
            root.server(HOST, &[], expired),
            "tls_expired",
            "the certificate of svc.example expired 2021-01-01T00:00:00Z (",
        ),
        (old.server(HOST, &[&old], plain), "tls_expired", in_chain),
        (root.server(HOST, &[], not_yet), "tls_not_yet_valid", "is valid from 2098-01-01T00:00:00Z only (in "),
        (root.server("b.example", &[], plain), "tls_wrong_host", "is for b.example, and not for svc.example"),
        (root.server("10.0.0.1", &[], plain), "tls_wrong_host", "is for 10.0.0.1, and not for svc.example"),
        (root.server(HOST, &[], nameless), "tls_wrong_host", "no name at all (it has no subject alternative names"),
        (
            Signer::root("Other").server(HOST, &[], plain),
            "tls_unknown_issuer",
            "signed by CN=Other, who is not trusted",
        ),
        (between.server(HOST, &[], plain), "tls_unknown_issuer", "should send its certificate and does not"),
        (Signer::root(HOST).shown(), "tls_unknown_issuer", "is signed by itself, and not trusted here"),
        (root.server(HOST, &[], for_clients), "tls_error", "is not meant for servers"),
        (between.shown(), "tls_error", "is one of a certificate authority, which a server cannot show as its own"),
        (no_authority.server(HOST, &[&no_authority], plain), "tls_error", "CN=Nobody may sign for nobody"),
        (constrained.server(HOST, &[&constrained], plain), "tls_error", "the name constraints of CN=Constrained"),
        (beyond.server(HOST, &[&beyond, &last], plain), "tls_error", "more authorities than one of them allows"),
    ] {
        let bench = trusting(&[&root]);
        let ran = against(&bench, &shown, &tls("")).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "expected {told}: {}", ran.message());
        let seen = ran.evidence.tls.as_ref().unwrap();
        assert_eq!((seen.verified, &seen.problem), (Some(false), &None), "{}", ran.message());

        let seen = seen_insecurely(&bench, &shown).await;
        let problem = seen.problem.unwrap();
        assert_eq!((seen.verified, problem.code.as_str()), (Some(false), code));
        assert_eq!(problem.message.split(" (").next(), ran.message().split(" (").next());
    }
}

#[tokio::test]
async fn whoever_is_named_in_the_settings_is_who_must_be_shown() {
    let root = Signer::root("Root");
    let shown = root.server("b.example", &[], plain);
    let bench = trusting(&[&root]);
    against(&bench, &shown, &tls(r#", "tls": {"server_name": "b.example"}"#)).await.assert_passed();
    let folder = Folder::new("authorities");
    let file = folder.file("root.pem", root.pem());
    let json = tls(&format!(r#", "tls": {{"ca_file": "{file}", "server_name": "c.example"}}"#));
    let ran = against(&Bench::new(), &shown, &json).await;
    ran.assert_ended(Outcome::Error, "tls_wrong_host");
    assert_eq!(ran.message(), "the certificate is for b.example, and not for c.example");
}

#[tokio::test]
async fn the_days_that_are_left_are_an_assertion_of_every_type_with_tls() {
    let root = Signer::root("Root");
    let shown = root.server(HOST, &[], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2099, 1, 1);
    });
    let bench = trusting(&[&root]);
    let of_http = format!(r#"{{"http": {{"url": "https://{HOST}/ok"}}}}"#);
    for check in [tls(""), of_http] {
        let expecting = |days: u32| check.replacen('{', &format!(r#"{{"expect": {{"cert_days": {days}}}, "#), 1);
        let ran = against(&bench, &shown, &expecting(14)).await;
        ran.assert_passed();
        let report = ran.evidence.assertions.iter().find(|report| report.expr == "tls.days_left >= 14").unwrap();
        assert!(report.passed && report.actual.ends_with(" days"), "{report:?}");
        let short = root.server(HOST, &[], moment(Duration::from_secs(5 * 86_400 + 43_200)));
        against(&bench, &short, &expecting(5)).await.assert_passed();
        let ran = against(&bench, &short, &expecting(6)).await;
        ran.assert_ended(Outcome::Fail, "assertion_failed");
        assert!(ran.message().starts_with("the certificate is valid for 5."), "{}", ran.message());
        assert!(ran.message().ends_with(", expected 6 days"), "{}", ran.message());
    }
    let http = watchpost_tests::http_fixture::HttpFixture::start_on(loopback(2), "a").await.unwrap();
    let json = r#"{"http": {"url": "http://svc.example/ok"}, "expect": {"cert_days": 7}}"#;
    let ran = Bench::new().run(json, http.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(ran.message(), "there was no TLS, so no certificate could be valid for 7 days");
}

/// So long after now. rcgen has a moment of its own, of a crate that is not needed otherwise.
#[expect(clippy::disallowed_methods, reason = "a certificate is for the time of the machine")]
fn moment(from_now: Duration) -> impl Fn(&mut CertificateParams) {
    let now = watchpost_model::Timestamp::now().as_second();
    move |params| {
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(now).unwrap()) + from_now;
    }
}

#[tokio::test]
async fn a_protocol_of_the_application_is_agreed_on_or_missed() {
    let root = Signer::root("Root");
    let mut server = config(&root.server(HOST, &[], plain));
    let mute = TlsFixture::start_with(loopback(2), "a", server.clone()).await.unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let choosy = TlsFixture::start_with(loopback(2), "a", server).await.unwrap();
    let bench = trusting(&[&root]);

    let ran = bench.run(&tls(r#", "alpn": ["http/1.1", "smtp"]"#), choosy.address()).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.tls.as_ref().unwrap().alpn.as_deref(), Some("http/1.1"));
    assert_eq!(
        (ran.assertion(0).expr.as_str(), ran.assertion(0).actual.as_str()),
        ("alpn in http/1.1, smtp", "http/1.1")
    );

    let ran = bench.run(&tls(r#", "alpn": ["h2"]"#), mute.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(ran.message(), "the server agrees to no protocol by ALPN, expected h2");

    let ran = bench.run(&tls(r#", "alpn": ["smtp"]"#), choosy.address()).await;
    ran.assert_ended(Outcome::Error, "tls_error");
    assert!(ran.message().contains("agrees to none of the protocols that are offered by ALPN"), "{}", ran.message());
}

/// What a server made with OpenSSL agrees to, by its settings.
#[tokio::test]
async fn versions_and_suites_of_openssl_are_told() {
    let root = Signer::root("Root");
    let shown = root.server(HOST, &[], plain);
    let bench = trusting(&[&root]);
    for (args, version, cipher) in [
        (&["-tls1_3"][..], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        (&["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
        (&["-tls1_2"], "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            "TLSv1.2",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
    ] {
        let server = OpensslServer::start(&shown, args).await;
        let ran = bench.run(&tls(""), server.address()).await;
        ran.assert_passed();
        let seen = ran.evidence.tls.unwrap();
        assert_eq!((seen.version.as_deref(), seen.cipher.as_deref()), (Some(version), Some(cipher)));
    }
    let server = OpensslServer::start(&shown, &["-alpn", "h2"]).await;
    bench.run(&tls(r#", "alpn": ["h2", "http/1.1"]"#), server.address()).await.assert_passed();
}

#[tokio::test]
async fn what_is_too_old_or_too_weak_is_said_to_be() {
    let old = "speaks a version of TLS that is too weak: expected TLS 1.2 or 1.3";
    let weak = "agrees to none of the cipher suites and key exchanges that are offered";
    let rsa = self_signed(HOST, &["-newkey", "rsa:2048"]);
    for (args, told) in [
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..], old),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], old),
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES128-SHA"], weak),
        (&["-tls1_3", "-curves", "P-521"], weak),
    ] {
        let server = OpensslServer::start(&rsa, args).await;
        let ran = trusting_der(vec![der(&rsa)]).run(&tls(""), server.address()).await;
        ran.assert_ended(Outcome::Error, "tls_error");
        assert!(ran.message().contains(told), "{args:?}: {}", ran.message());
        assert!(ran.message().starts_with(&format!("{} (svc.example) ", server.address())), "{}", ran.message());
    }
}

fn der(shown: &Shown) -> Vec<u8> {
    CertificateDer::from_pem_slice(shown.chain.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn keys_and_signatures_of_other_kinds_are_told() {
    let weak = "accepted are RSA of 2048 to 8192 bits, EC P-256, EC P-384 and Ed25519";
    for (args, kind, bits, algorithm, refused) in [
        (&["-newkey", "rsa:2048"][..], "RSA", 2048, "sha256WithRSAEncryption", None),
        (
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"],
            "EC P-384",
            384,
            "ecdsa-with-SHA384",
            None,
        ),
        (&["-newkey", "rsa:1024"], "RSA", 1024, "sha256WithRSAEncryption", Some(weak)),
        (&["-newkey", "ed25519"], "Ed25519", 256, "ed25519", None),
    ] {
        let shown = self_signed(HOST, args);
        let server = OpensslServer::start(&shown, &["-cipher", "DEFAULT:@SECLEVEL=0"]).await;
        let bench = trusting_der(vec![der(&shown)]);
        // A key that is too weak to sign certificates is too weak to prove anything as well.
        let json = tls(if refused.is_some() { r#", "tls": {"insecure": true}"# } else { "" });
        let ran = bench.run(&json, server.address()).await;
        match refused {
            None => ran.assert_passed(),
            Some(told) => {
                ran.assert_ended(Outcome::Error, "tls_error");
                assert!(ran.message().contains(told), "{}", ran.message());
            }
        }
        let seen = ran.evidence.tls.unwrap();
        assert_eq!((seen.key_type.as_deref(), seen.key_bits), (Some(kind), Some(bits)));
        assert_eq!((seen.signature_algorithm.as_deref(), seen.self_signed), (Some(algorithm), true));
    }
    let sha1 = self_signed(HOST, &["-newkey", "rsa:2048", "-sha1"]);
    let server = OpensslServer::start(&sha1, &["-cipher", "DEFAULT:@SECLEVEL=0"]).await;
    let ran = trusting_der(vec![der(&sha1)]).run(&tls(""), server.address()).await;
    ran.assert_ended(Outcome::Error, "tls_error");
    let told = "is signed in a way that is not accepted (sha1WithRSAEncryption): expected SHA-256 or better";
    assert!(ran.message().contains(told), "{}", ran.message());
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_there_is_one_and_missed_where_there_is_none() {
    let (root, clients) = (Signer::root("Root"), Signer::root("Clients"));
    let shown = root.server(HOST, &[], plain);
    let bench = trusting(&[&root]);
    let folder = Folder::new("client");
    let accepted = folder.file("clients.pem", clients.pem());
    let with = |signer: &Signer, name: &str| {
        let client = signer.server("client.example", &[], for_clients);
        let certificate = folder.file(&format!("{name}.pem"), &client.chain);
        let key = folder.file(&format!("{name}.key"), &client.key);
        tls(&format!(r#", "tls": {{"client": {{"certificate_file": "{certificate}", "key_file": "{key}"}}}}"#))
    };
    let (ours, strange) = (with(&clients, "ours"), with(&root, "strange"));
    for version in ["-tls1_2", "-tls1_3"] {
        let args = ["-Verify", "1", "-verify_return_error", "-CAfile", &accepted, version];
        let server = OpensslServer::start(&shown, &args).await;
        let ran = bench.run(&ours, server.address()).await;
        ran.assert_passed();
        assert!(ran.evidence.tls.unwrap().client_certificate_asked);

        let ran = bench.run(&tls(""), server.address()).await;
        ran.assert_ended(Outcome::Error, "tls_error");
        assert!(ran.message().contains("client certificate"), "{version}: {}", ran.message());
        let ran = bench.run(&strange, server.address()).await;
        ran.assert_ended(Outcome::Error, "tls_error");
        assert!(ran.message().contains("does not accept the client certificate"), "{version}: {}", ran.message());

        // One that asks and does not insist.
        let server = OpensslServer::start(&shown, &["-verify", "1", "-CAfile", &accepted, version]).await;
        let ran = bench.run(&tls(""), server.address()).await;
        ran.assert_passed();
        assert!(ran.evidence.tls.unwrap().client_certificate_asked);
    }
}

#[tokio::test]
async fn peers_that_do_not_shake_hands_end_the_check() {
    for (behaviour, code, told) in [
        (Behaviour::Says(b"220 mail.example ESMTP\r\n".to_vec()), "tls_error", "does not speak TLS"),
        (Behaviour::SaysForEver(vec![0x16; 4096]), "tls_error", "does not speak TLS"),
        (Behaviour::SaysAndCloses(Vec::new()), "connection_closed", "during the TLS handshake"),
        (Behaviour::Resets, "connection_reset", "during the TLS handshake"),
    ] {
        let server = behaviour.start(loopback(2)).await.unwrap();
        let ran = Bench::new().run(&tls(""), server.address()).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
    }
    let silent = Behaviour::Silent.start(loopback(2)).await.unwrap();
    let ran = Bench::new().run_within(Duration::from_millis(200), &tls(""), silent.address()).await;
    ran.assert_ended(Outcome::Timeout, "tls_timeout");
    crate::eventually("the server is alone", || silent.counts().open() == 0).await;
}
