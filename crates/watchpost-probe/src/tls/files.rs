//! Certificates and keys that a check names. They are read anew for each check: whoever renews them
//! need not tell anybody.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use watchpost_model::{ClientCertificate, FilePath, Reason, ReasonCode};

use super::roots::{self, Trusted};
use crate::{Verdict, failure};

/// The largest file that is read, in bytes: the bundle of a whole system takes a quarter of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What it takes to trust the authorities in `file` and no others.
///
/// # Errors
/// The verdict on a file that cannot be read, or holds none.
pub(super) async fn authorities(file: &FilePath) -> Result<Arc<Trusted>, Verdict> {
    let certificates = certificates(file).await?;
    roots::trust(certificates).map_err(|why| unusable(file, &why))
}

/// What answers a server that asks who we are.
///
/// # Errors
/// The verdict on files that cannot be read, or do not hold a certificate and its key.
pub(super) async fn client(
    files: &ClientCertificate,
    trusted: &Trusted,
) -> Result<Arc<dyn ResolvesClientCert>, Verdict> {
    let chain = certificates(&files.certificate_file).await?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key_file).await?)
        .map_err(|_| unusable(&files.key_file, "holds no private key in PEM form"))?;
    let key = CertifiedKey::from_der(chain, key, trusted.template.crypto_provider())
        .map_err(|e| unusable(&files.key_file, &format!("does not hold the key of the certificate ({e})")))?;
    Ok(Arc::new(SingleCertAndKey::from(key)))
}

async fn certificates(file: &FilePath) -> Result<Vec<CertificateDer<'static>>, Verdict> {
    let pem = read(file).await?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(file, "holds no certificate in PEM form")),
    }
}

/// Reads a file off the runtime's threads: it may lie on a disk that does not answer.
async fn read(file: &FilePath) -> Result<Vec<u8>, Verdict> {
    let path = PathBuf::from(file.as_str());
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    match reading.await {
        Ok(Ok(bytes)) if bytes.len() as u64 <= FILE_BYTES_MAX => Ok(bytes),
        Ok(Ok(_)) => Err(unusable(file, &format!("has more than {FILE_BYTES_MAX} bytes"))),
        Ok(Err(error)) => Err(unusable(file, &format!("cannot be read: {}", failure::plain(&error)))),
        Err(_) => Err(unusable(file, "cannot be read")),
    }
}

/// The file is ours, and says nothing about the target.
fn unusable(file: &FilePath, why: &str) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::FileUnusable, format!("the file {file} {why}")))
}
