//! Whose signatures on certificates are trusted.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;

use crate::lazy::Lazy;

/// The certificate authorities that TLS checks trust. Clones share what was loaded; the system's are
/// read before the first handshake, and again some seconds later where there were none.
#[derive(Debug, Clone)]
pub struct TlsRoots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    trusted: Lazy<Arc<Trusted>, NoRoots>,
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
    pub(crate) fn trusted(&self) -> Result<Arc<Trusted>, NoRoots> {
        self.0.trusted.get(|| self.0.source.load()).map(Arc::clone)
    }
}

impl Source {
    fn load(&self) -> Result<Arc<Trusted>, NoRoots> {
        let certificates = match self {
            Self::System => {
                let loaded = rustls_native_certs::load_native_certs();
                for error in &loaded.errors {
                    tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
                }
                loaded.certs
            }
            Self::Only(certificates) => certificates.clone(),
        };
        trust(certificates).map_err(|why| {
            tracing::warn!(why, "no certificate authority is trusted, so no TLS check can run");
            NoRoots
        })
    }
}

/// How many certificate authorities the system trusts, and what of them could not be read.
pub fn system_authorities() -> (usize, Vec<String>) {
    let loaded = rustls_native_certs::load_native_certs();
    (loaded.certs.len(), loaded.errors.iter().map(ToString::to_string).collect())
}

/// What it takes to trust `authorities` and no others.
///
/// # Errors
/// Why none of them can be trusted, as the end of a sentence about them.
pub(super) fn trust(authorities: Vec<CertificateDer<'static>>) -> Result<Arc<Trusted>, String> {
    let mut store = rustls::RootCertStore::empty();
    let (good, bad) = store.add_parsable_certificates(authorities);
    tracing::debug!(good, bad, "certificate authorities loaded");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
        .build()
        .map_err(|error| format!("holds no certificate authority that could be trusted ({error})"))?;
    let template =
        super::template(provider, Arc::clone(&verifier)).map_err(|error| format!("cannot be used for TLS: {error}"))?;
    Ok(Arc::new(Trusted { verifier, template }))
}
