//! Whose signatures on certificates are trusted.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use crate::lazy::Lazy;

/// The certificate authorities that TLS checks trust. Clones share what was loaded; the system's are
/// read before the first handshake, and again some seconds later where there were none.
#[derive(Debug, Clone)]
pub struct TlsRoots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    provider: Arc<CryptoProvider>,
    verifier: Lazy<Arc<WebPkiServerVerifier>, NoRoots>,
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
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self(Arc::new(Inner { source, provider, verifier: Lazy::default() }))
    }

    /// The cryptography that everything uses.
    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.0.provider
    }

    /// What verifies certificates against these roots.
    ///
    /// # Errors
    /// When there are none, or were none some seconds ago.
    pub(crate) fn verifier(&self) -> Result<&Arc<WebPkiServerVerifier>, NoRoots> {
        self.0.verifier.get(|| self.0.load())
    }
}

impl Inner {
    fn load(&self) -> Result<Arc<WebPkiServerVerifier>, NoRoots> {
        let mut store = rustls::RootCertStore::empty();
        let (good, bad) = match &self.source {
            Source::System => {
                let loaded = rustls_native_certs::load_native_certs();
                for error in &loaded.errors {
                    tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
                }
                store.add_parsable_certificates(loaded.certs)
            }
            Source::Only(certificates) => store.add_parsable_certificates(certificates.iter().cloned()),
        };
        tracing::debug!(good, bad, "certificate authorities loaded");
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&self.provider)).build().map_err(
            |error| {
                tracing::warn!(%error, "no certificate authority is trusted, so no TLS check can run");
                NoRoots
            },
        )
    }
}
