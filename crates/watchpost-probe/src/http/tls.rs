//! TLS for checks: a handshake that is never resumed, and whose certificates are recorded whether or
//! not they are any good.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate;
use super::roots::TlsRoots;
use crate::recorder::Recorder;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// The configuration of one handshake, which reports to `recorder`.
///
/// # Errors
/// When the cryptography does not support the protocol versions, which would be a defect.
pub(crate) fn client_config(roots: &TlsRoots, recorder: &Recorder) -> Result<ClientConfig, Error> {
    let verifier = RecordingVerifier { roots: roots.clone(), recorder: recorder.clone() };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(roots.provider()))
        .with_safe_default_protocol_versions()?
        // Not dangerous: the verifier records, and leaves the verdict to webpki.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Records the certificates and lets webpki decide.
#[derive(Debug)]
struct RecordingVerifier {
    roots: TlsRoots,
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
        match self.roots.verifier() {
            Ok(webpki) => webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            // The probe has made sure that there are roots before it connected.
            Err(_) => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
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
        let algorithms = &self.roots.provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.record_version("TLSv1.3");
        let algorithms = &self.roots.provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.provider().signature_verification_algorithms.supported_schemes()
    }
}
