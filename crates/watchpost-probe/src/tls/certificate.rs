//! What certificates say, for people.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use watchpost_model::{IssuerReport, Timestamp, TlsEvidence, shorten};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED448, OID_SIG_ED25519, Oid};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// The most names of a certificate that are reported.
const SANS_MAX: usize = 64;
/// The most certificates of a chain that are reported.
const CHAIN_MAX: usize = 10;
/// The longest serial number that is reported (RFC 5280, section 4.1.2.2, allows 20 bytes).
const SERIAL_BYTES_MAX: usize = 64;
/// How much of one name is reported, in characters.
const NAME_CHARS_MAX: usize = 256;

/// What the certificates that a server sent say, its own first. What cannot be read is left out: the
/// verifier has its own opinion on it.
pub(crate) fn evidence(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> TlsEvidence {
    let mut evidence = TlsEvidence { sha256: Some(hex(&Sha256::digest(leaf))), ..TlsEvidence::default() };
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return evidence };
    evidence.not_before = time(certificate.validity().not_before);
    evidence.not_after = time(certificate.validity().not_after);
    evidence.subject = Some(name(certificate.subject()));
    evidence.issuer = Some(name(certificate.issuer()));
    evidence.self_signed = certificate.subject().as_raw() == certificate.issuer().as_raw();
    let serial = certificate.raw_serial();
    evidence.serial = Some(hex(serial.get(..SERIAL_BYTES_MAX).unwrap_or(serial)));
    (evidence.key_type, evidence.key_bits) = key(certificate.public_key());
    evidence.signature_algorithm = Some(algorithm(&certificate.signature_algorithm.algorithm));
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        evidence.sans = extension.value.general_names.iter().filter_map(general_name).take(SANS_MAX).collect();
    }
    evidence.chain.extend(evidence.subject.clone());
    for der in intermediates.iter().take(CHAIN_MAX - 1) {
        if let Ok((_, certificate)) = X509Certificate::from_der(der) {
            let (subject, issuer) = (name(certificate.subject()), name(certificate.issuer()));
            evidence.chain.push(subject.clone());
            let not_after = time(certificate.validity().not_after);
            evidence.intermediates.push(IssuerReport { subject, issuer, not_after });
        }
    }
    evidence
}

fn time(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}

/// The kind of a key and its size in bits.
fn key(key: &SubjectPublicKeyInfo<'_>) -> (Option<String>, Option<u32>) {
    let curve = || key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let (kind, bits) = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => ("RSA".to_owned(), u32::try_from(rsa.key_size()).ok()),
        Ok(PublicKey::EC(_)) => match curve() {
            Some(curve) if curve == OID_EC_P256 => ("EC P-256".to_owned(), Some(256)),
            Some(curve) if curve == OID_NIST_EC_P384 => ("EC P-384".to_owned(), Some(384)),
            Some(curve) if curve == OID_NIST_EC_P521 => ("EC P-521".to_owned(), Some(521)),
            Some(curve) => (format!("EC {}", algorithm(&curve)), None),
            None => ("EC".to_owned(), None),
        },
        _ if key.algorithm.algorithm == OID_SIG_ED25519 => ("Ed25519".to_owned(), Some(256)),
        _ if key.algorithm.algorithm == OID_SIG_ED448 => ("Ed448".to_owned(), Some(456)),
        _ => (algorithm(&key.algorithm.algorithm), None),
    };
    (Some(kind), bits)
}

/// What an algorithm is called, or its number where it has no name here.
fn algorithm(oid: &Oid<'_>) -> String {
    oid2sn(oid, oid_registry())
        .map_or_else(|_| shorten(&oid.to_id_string(), NAME_CHARS_MAX).into_owned(), str::to_owned)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or_default());
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or_default());
        text
    })
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
        let said = evidence(&nonsense, &[]);
        assert_eq!(said, TlsEvidence { sha256: said.sha256.clone(), ..TlsEvidence::default() });
    }
}
