//! Certificates and keys that a check names. They are read anew for each check: whoever renews them
//! need not tell anybody.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use watchpost_model::{ClientCertificate, FilePath, PemSource, Reason, ReasonCode};
use zeroize::Zeroizing;

use super::roots::{self, Trusted};
use crate::Verdict;
use crate::files::{Files, unusable};

/// What it takes to trust the authorities in `file` and no others.
///
/// # Errors
/// The verdict on a file that cannot be read, or holds none.
pub(super) async fn authorities(files: &Files, file: &FilePath) -> Result<Arc<Trusted>, Verdict> {
    let bytes = Zeroizing::new(files.read(file).await?);
    let certificates = Pem { bytes, file: Some(file.clone()) }.certificates()?;
    roots::trust(certificates).map_err(|why| unusable(file, &why))
}

/// What answers a server that asks who we are.
///
/// # Errors
/// The verdict on files that cannot be read, or do not hold a certificate and its key.
pub(super) async fn client(
    files: &Files,
    client: &ClientCertificate,
    trusted: &Trusted,
) -> Result<Arc<dyn ResolvesClientCert>, Verdict> {
    let (certificate, key) = (Pem::of(files, &client.certificate_file).await?, Pem::of(files, &client.key_file).await?);
    let chain = certificate.certificates()?;
    let private =
        PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|_| key.unusable("holds no private key in PEM form"))?;
    let key = CertifiedKey::from_der(chain, private, trusted.template.crypto_provider())
        .map_err(|e| key.unusable(&format!("does not hold the key of the certificate ({e})")))?;
    Ok(Arc::new(SingleCertAndKey::from(key)))
}

/// A text in PEM form, overwritten when it is dropped: it may be a key.
struct Pem {
    bytes: Zeroizing<Vec<u8>>,
    /// Where it is from, unless a secret has it.
    file: Option<FilePath>,
}

impl Pem {
    async fn of(files: &Files, source: &PemSource) -> Result<Self, Verdict> {
        let file = source.file();
        let bytes = match &file {
            Some(file) => files.read(file).await?,
            None => source.text().unwrap_or_default().as_bytes().to_vec(),
        };
        Ok(Self { bytes: Zeroizing::new(bytes), file })
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Verdict> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(self.unusable("holds no certificate in PEM form")),
        }
    }

    fn unusable(&self, why: &str) -> Verdict {
        match &self.file {
            Some(file) => unusable(file, why),
            None => {
                let message = format!("the secret in place of a file of the client certificate {why}");
                Verdict::cancelled(Reason::new(ReasonCode::FileUnusable, message))
            }
        }
    }
}
