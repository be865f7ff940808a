//! What certificates say, for people.

use rustls::pki_types::CertificateDer;
use watchpost_model::{Timestamp, TlsEvidence, shorten};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// The most names of a certificate that are reported.
const SANS_MAX: usize = 64;
/// The most certificates of a chain that are reported.
const CHAIN_MAX: usize = 10;
/// How much of one name is reported, in characters.
const NAME_CHARS_MAX: usize = 256;

/// What the certificates that a server sent say, its own first. What cannot be read is left out: the
/// verifier has its own opinion on it.
pub(crate) fn evidence(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> TlsEvidence {
    let mut evidence = TlsEvidence::default();
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return evidence };
    evidence.not_after = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok();
    evidence.subject = Some(name(certificate.subject()));
    evidence.issuer = Some(name(certificate.issuer()));
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        evidence.sans = extension.value.general_names.iter().filter_map(general_name).take(SANS_MAX).collect();
    }
    evidence.chain.push(name(certificate.subject()));
    for der in intermediates.iter().take(CHAIN_MAX - 1) {
        if let Ok((_, certificate)) = X509Certificate::from_der(der) {
            evidence.chain.push(name(certificate.subject()));
        }
    }
    evidence
}

fn name(name: &X509Name<'_>) -> String {
    shorten(&name.to_string(), NAME_CHARS_MAX).into_owned()
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some(shorten(dns, NAME_CHARS_MAX).into_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            (_, Ok(v6)) => Some(std::net::Ipv6Addr::from(v6).to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_certificate_says_nothing() {
        let nonsense = CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 1, 2, 3]);
        assert_eq!(evidence(&nonsense, &[]), TlsEvidence::default());
    }
}
