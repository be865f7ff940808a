//! Certificates and keys that a check names. They are read anew for each check: whoever renews them
//! need not tell anybody.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use watchpost_model::{ClientCertificate, FilePath};

use super::roots::{self, Trusted};
use crate::Verdict;
use crate::files::{Files, unusable};

/// What it takes to trust the authorities in `file` and no others.
///
/// # Errors
/// The verdict on a file that cannot be read, or holds none.
pub(super) async fn authorities(files: &Files, file: &FilePath) -> Result<Arc<Trusted>, Verdict> {
    let certificates = certificates(files, file).await?;
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
    let chain = certificates(files, &client.certificate_file).await?;
    let key = PrivateKeyDer::from_pem_slice(&files.read(&client.key_file).await?)
        .map_err(|_| unusable(&client.key_file, "holds no private key in PEM form"))?;
    let key = CertifiedKey::from_der(chain, key, trusted.template.crypto_provider())
        .map_err(|e| unusable(&client.key_file, &format!("does not hold the key of the certificate ({e})")))?;
    Ok(Arc::new(SingleCertAndKey::from(key)))
}

async fn certificates(files: &Files, file: &FilePath) -> Result<Vec<CertificateDer<'static>>, Verdict> {
    let pem = files.read(file).await?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(file, "holds no certificate in PEM form")),
    }
}
