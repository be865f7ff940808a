//! TLS for checks: a handshake that is never resumed, and whose certificates are recorded whether or
//! not they are any good.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate;
use super::roots::Trusted;
use crate::recorder::Recorder;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// The configuration of one handshake, which reports to `recorder`.
pub(crate) fn client_config(trusted: &Trusted, recorder: &Recorder) -> ClientConfig {
    let mut config = trusted.template.clone();
    let verifier = RecordingVerifier { webpki: Arc::clone(&trusted.verifier), recorder: recorder.clone() };
    // Not dangerous: the verifier records, and leaves the verdict to webpki.
    config.dangerous().set_certificate_verifier(Arc::new(verifier));
    config
}

/// What all handshakes have in common. Making it costs more than a copy, since it comes with a store for
/// sessions, which is thrown away.
///
/// # Errors
/// When the cryptography does not support the protocol versions, which would be a defect.
pub(crate) fn template(
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Notes the cipher suite that was agreed on, by the name that it has in IANA's registry.
pub(crate) fn record_cipher(session: &ClientConnection, recorder: &Recorder) {
    if let Some(name) = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()) {
        // rustls calls the suites of TLS 1.3 `TLS13_…`, IANA `TLS_…`.
        let name = name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"));
        recorder.amend_tls(|tls| tls.cipher = Some(name));
    }
}

/// Records the certificates and lets webpki decide.
#[derive(Debug)]
struct RecordingVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    recorder: Recorder,
}

impl RecordingVerifier {
    fn record_version(&self, version: &str) {
        self.recorder.amend_tls(|tls| tls.version = Some(version.to_owned()));
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let evidence = certificate::evidence(end_entity, intermediates);
        if let Some(not_after) = evidence.not_after {
            let seconds_left = not_after.as_second() as f64 - now.as_secs() as f64;
            self.recorder.metric("tls_days_left", seconds_left / SECONDS_PER_DAY);
        }
        self.recorder.tls(evidence);
        self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    // The handshake proves with one of these two that the server has the key, and only then is it
    // known which version was agreed on.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.record_version("TLSv1.2");
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.record_version("TLSv1.3");
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
