//! Whose signatures on certificates are trusted.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;

use super::tls;
use crate::lazy::Lazy;

/// The certificate authorities that TLS checks trust. Clones share what was loaded; the system's are
/// read before the first handshake, and again some seconds later where there were none.
#[derive(Debug, Clone)]
pub struct TlsRoots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    trusted: Lazy<Trusted, NoRoots>,
}

/// What was loaded.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Verifies certificates against the roots.
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
    /// What the configuration of each handshake starts from.
    pub(crate) template: ClientConfig,
}

/// There is no certificate authority that could be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoots;

#[derive(Debug)]
enum Source {
    System,
    Only(Vec<CertificateDer<'static>>),
}

impl Default for TlsRoots {
    fn default() -> Self {
        Self::system()
    }
}

impl TlsRoots {
    /// Those that the operating system trusts.
    pub fn system() -> Self {
        Self::from_source(Source::System)
    }

    /// Those whose certificates are given in DER form, and no others.
    pub fn only(certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::from_source(Source::Only(certificates.into_iter().map(CertificateDer::from).collect()))
    }

    fn from_source(source: Source) -> Self {
        Self(Arc::new(Inner { source, trusted: Lazy::default() }))
    }

    /// What it takes to verify certificates against these roots.
    ///
    /// # Errors
    /// When there are none, or were none some seconds ago.
    pub(crate) fn trusted(&self) -> Result<&Trusted, NoRoots> {
        self.0.trusted.get(|| self.0.source.load())
    }
}

impl Source {
    fn load(&self) -> Result<Trusted, NoRoots> {
        let mut store = rustls::RootCertStore::empty();
        let (good, bad) = match self {
            Self::System => {
                let loaded = rustls_native_certs::load_native_certs();
                for error in &loaded.errors {
                    tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
                }
                store.add_parsable_certificates(loaded.certs)
            }
            Self::Only(certificates) => store.add_parsable_certificates(certificates.iter().cloned()),
        };
        tracing::debug!(good, bad, "certificate authorities loaded");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
            .build()
            .map_err(|error| {
                tracing::warn!(%error, "no certificate authority is trusted, so no TLS check can run");
                NoRoots
            })?;
        let template = tls::template(provider, Arc::clone(&verifier)).map_err(|error| {
            tracing::error!(%error, "TLS cannot be set up, so no TLS check can run");
            NoRoots
        })?;
        Ok(Trusted { verifier, template })
    }
}
