//! Looks at certificates on their way to whoever judges them.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::{certificate, distrust};
use crate::recorder::Recorder;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Records the certificates and lets webpki decide, unless any will do.
#[derive(Debug)]
pub(super) struct RecordingVerifier {
    pub(super) webpki: Arc<WebPkiServerVerifier>,
    pub(super) recorder: Recorder,
    /// Whether a certificate that is not valid will do.
    pub(super) insecure: bool,
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
        let mut evidence = certificate::evidence(end_entity, intermediates);
        if let Some(not_after) = evidence.not_after {
            let seconds_left = not_after.as_second() as f64 - now.as_secs() as f64;
            self.recorder.metric(super::DAYS_LEFT, seconds_left / SECONDS_PER_DAY);
        }
        let verified = self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        evidence.verified = Some(verified.is_ok());
        if let (true, Err(Error::InvalidCertificate(why))) = (self.insecure, &verified) {
            evidence.problem = Some(distrust::of_certificate(why, &server_name.to_str(), &evidence));
        }
        self.recorder.amend_tls(|tls| {
            // Servers of TLS 1.3 ask before they show their own.
            evidence.client_certificate_asked = tls.client_certificate_asked;
            *tls = evidence;
        });
        if self.insecure { Ok(ServerCertVerified::assertion()) } else { verified }
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

/// Records that a server asks for a certificate, and lets another decide which it gets.
#[derive(Debug)]
pub(super) struct RecordingResolver {
    pub(super) resolver: Arc<dyn ResolvesClientCert>,
    pub(super) recorder: Recorder,
}

impl ResolvesClientCert for RecordingResolver {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.recorder.amend_tls(|tls| tls.client_certificate_asked = true);
        self.resolver.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        self.resolver.has_certs()
    }
}
