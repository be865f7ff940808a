//! TLS for checks: a handshake that is never resumed, and whose certificates are recorded whether or
//! not they are any good.

mod certificate;
mod distrust;
pub(crate) mod failure;
mod files;
mod roots;
mod verifier;

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use watchpost_model::{Reason, ReasonCode, TlsSettings};

use self::roots::Trusted;
pub use self::roots::{TlsRoots, system_authorities};
use self::verifier::{RecordingResolver, RecordingVerifier};
use crate::Verdict;
use crate::files::Files;
use crate::recorder::{Recorder, Stage};

/// The number by which results tell for how many days a server's certificate is valid yet; below 0 where
/// it has expired.
pub(crate) const DAYS_LEFT: &str = "tls_days_left";

/// Makes handshakes. Clones share the certificate authorities that were loaded.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    roots: TlsRoots,
    files: Files,
}

/// Everything that a handshake needs beforehand. Nothing is resolved or connected without it, since
/// reading files takes time that must not count as the target's handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    name: ServerName<'static>,
    config: ClientConfig,
    trusted: Arc<Trusted>,
    insecure: bool,
}

impl Tls {
    pub(crate) fn new(roots: TlsRoots, files: Files) -> Self {
        Self { roots, files }
    }

    /// The same for settings whose files no check names.
    pub(crate) fn unjudged(&self) -> Self {
        Self { roots: self.roots.clone(), files: Files::unjudged() }
    }

    /// Prepares a handshake with `host`, to which the protocols `alpn` are offered, best first.
    ///
    /// # Errors
    /// The verdict where no certificate can be for such a host, or where files that it takes are not
    /// what they should be.
    pub(crate) async fn prepare(
        &self,
        host: &str,
        settings: &TlsSettings,
        alpn: &[&[u8]],
    ) -> Result<Handshake, Verdict> {
        let host = settings.server_name.as_ref().map_or(host, |name| name.as_str());
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let message = format!("no certificate can be for `{host}`, the host that the check names");
            Verdict::error(Reason::new(ReasonCode::InvalidTarget, message))
        })?;
        let trusted = match &settings.ca_file {
            None => self.roots.trusted().map_err(|_| {
                let message = "this machine has no certificate authorities by which it could verify a certificate";
                Verdict::cancelled(Reason::new(ReasonCode::NoTrustRoots, message))
            })?,
            Some(file) => files::authorities(&self.files, file).await?,
        };
        let mut config = trusted.template.clone();
        if let Some(client) = &settings.client {
            config.client_auth_cert_resolver = files::client(&self.files, client, &trusted).await?;
        }
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Handshake { name, config, trusted, insecure: settings.insecure })
    }
}

impl Handshake {
    /// Whom the certificate must be for.
    pub(crate) fn server_name(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// Shakes hands over `stream`. The recorder is told what the server shows as soon as it does.
    ///
    /// # Errors
    /// What [`failure::verdict`] makes a verdict of.
    ///
    /// # Cancel safety
    /// Dropping the future closes the stream.
    pub(crate) async fn shake<S>(self, stream: S, recorder: &Recorder) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        recorder.enter(Stage::Tls);
        let Self { name, mut config, trusted, insecure } = self;
        let verifier =
            RecordingVerifier { webpki: Arc::clone(&trusted.verifier), recorder: recorder.clone(), insecure };
        // Not dangerous unless the check asks for it: the verifier records, and leaves the verdict to webpki.
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        let resolver = Arc::clone(&config.client_auth_cert_resolver);
        config.client_auth_cert_resolver = Arc::new(RecordingResolver { resolver, recorder: recorder.clone() });
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        record_agreed(stream.get_ref().1, recorder);
        Ok(stream)
    }
}

/// What all handshakes have in common. Making it costs more than a copy, since it comes with a store for
/// sessions, which is thrown away.
///
/// # Errors
/// When the cryptography does not support the protocol versions, which would be a defect.
fn template(
    provider: Arc<CryptoProvider>,
    verifier: Arc<rustls::client::WebPkiServerVerifier>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Notes what was agreed on: the cipher suite, by the name that it has in IANA's registry, and the
/// application's protocol.
fn record_agreed(session: &ClientConnection, recorder: &Recorder) {
    if let Some(protocol) = session.alpn_protocol() {
        let name = String::from_utf8_lossy(protocol).into_owned();
        recorder.amend_tls(|tls| tls.alpn = Some(name));
    }
    if let Some(name) = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()) {
        // rustls calls the suites of TLS 1.3 `TLS13_…`, IANA `TLS_…`.
        let name = name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"));
        recorder.amend_tls(|tls| tls.cipher = Some(name));
    }
}

#[cfg(test)]
mod tests {
    use watchpost_policy::Guard;

    use super::*;

    const ROOT: &[u8] = include_bytes!("testdata/root.der");

    #[tokio::test]
    async fn certificates_must_be_for_a_name_or_an_address() {
        let tls = Tls::new(TlsRoots::only([ROOT.to_vec()]), Files::new(Guard::local()));
        for name in ["a_b.example", "10.0.0.1", "::1"] {
            let handshake = tls.prepare(name, &TlsSettings::default(), &[]).await.unwrap();
            assert_eq!(handshake.name.to_str(), name);
        }
        let verdict = tls.prepare("a..b", &TlsSettings::default(), &[]).await.unwrap_err();
        assert_eq!(verdict.reason.unwrap().code, ReasonCode::InvalidTarget);
    }

    #[tokio::test]
    async fn files_that_are_not_what_they_should_be_are_named() {
        let tls = Tls::new(TlsRoots::only([ROOT.to_vec()]), Files::new(Guard::local()));
        for (settings, told) in [
            (r#"{"ca_file": "/does/not/exist"}"#, "/does/not/exist cannot be read: No such file or directory"),
            (r#"{"ca_file": "/dev/null"}"#, "/dev/null holds no certificate"),
            (r#"{"ca_file": "/dev/zero"}"#, "/dev/zero has more than"),
        ] {
            let settings = serde_json::from_str(settings).unwrap();
            let reason = tls.prepare("a.example", &settings, &[]).await.unwrap_err().reason.unwrap();
            assert_eq!(reason.code, ReasonCode::FileUnusable);
            assert!(reason.message.contains(told), "{}", reason.message);
        }
    }
}
