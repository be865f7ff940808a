//! Why a certificate is not acceptable, in words.

use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use watchpost_model::{Reason, ReasonCode, Timestamp, TlsEvidence, shorten};

/// The most names of a certificate that an error lists.
const NAMES_SHOWN_MAX: usize = 5;
const SECONDS_PER_DAY: u64 = 86_400;

/// Why the certificate that was to be for `host`, and of which `seen` tells, is not acceptable.
pub(super) fn of_certificate(error: &CertificateError, host: &str, seen: &TlsEvidence) -> Reason {
    use CertificateError as E;
    let (code, message) = match error {
        E::ExpiredContext { time, not_after } => (
            ReasonCode::TlsExpired,
            format!(
                "{} expired {} ({} ago)",
                whose(host, *not_after, seen),
                date(*not_after),
                days(time.as_secs().saturating_sub(not_after.as_secs()))
            ),
        ),
        E::Expired => (ReasonCode::TlsExpired, format!("the certificate of {host} ends before it begins to be valid")),
        E::NotValidYetContext { time, not_before } => (
            ReasonCode::TlsNotYetValid,
            format!(
                "the certificate of {host} is valid from {} only (in {})",
                date(*not_before),
                days(not_before.as_secs().saturating_sub(time.as_secs()))
            ),
        ),
        E::NotValidYet => (ReasonCode::TlsNotYetValid, format!("the certificate of {host} is not valid yet")),
        E::UnknownIssuer => (ReasonCode::TlsUnknownIssuer, unknown_issuer(host, seen)),
        // Somebody has the name of an authority that is trusted, and another key: it was made anew.
        E::BadSignature => (
            ReasonCode::TlsUnknownIssuer,
            format!(
                "the certificate of {host} names {} as its issuer, but not with the key that is trusted here",
                issuer(seen)
            ),
        ),
        E::NotValidForNameContext { expected, presented } => (
            ReasonCode::TlsWrongHost,
            // The check may ask for another name than that of the host.
            format!("the certificate is for {}, and not for {}", names(presented, seen), expected.to_str()),
        ),
        E::NotValidForName => (ReasonCode::TlsWrongHost, format!("the certificate is not for {host}")),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => (
            ReasonCode::TlsError,
            format!(
                "the certificate of {host} is not meant for servers: its extended key usage does not allow \
                 server authentication"
            ),
        ),
        E::UnhandledCriticalExtension => (
            ReasonCode::TlsError,
            format!("the certificate of {host}, or of who signed it, has a critical extension that is not known here"),
        ),
        E::BadEncoding => (ReasonCode::TlsError, format!("the certificate of {host} is damaged: it cannot be read")),
        #[expect(deprecated, reason = "webpki may give it still")]
        E::UnsupportedSignatureAlgorithm
        | E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            ReasonCode::TlsError,
            format!(
                "the certificate of {host} is signed in a way that is not accepted ({}): expected SHA-256 or better, \
                 with a key of RSA, P-256, P-384 or Ed25519",
                seen.signature_algorithm.as_deref().unwrap_or("an unknown algorithm")
            ),
        ),
        E::Other(other) => of_webpki(other.0.downcast_ref(), &other.to_string(), host, seen),
        other => (ReasonCode::TlsError, format!("the certificate of {host} is not acceptable: {other}")),
    };
    Reason::new(code, message)
}

/// What webpki alone has words for.
fn of_webpki(error: Option<&webpki::Error>, shown: &str, host: &str, seen: &TlsEvidence) -> (ReasonCode, String) {
    use webpki::Error as E;
    let message = match error {
        Some(E::CaUsedAsEndEntity) if seen.self_signed => {
            let message = format!(
                "the certificate of {host} is signed by itself, and not trusted here: it is one of a certificate \
                 authority, which a server cannot show as its own even where that is trusted"
            );
            return (ReasonCode::TlsUnknownIssuer, message);
        }
        _ if seen.self_signed => return (ReasonCode::TlsUnknownIssuer, unknown_issuer(host, seen)),
        Some(E::CaUsedAsEndEntity) => {
            format!(
                "the certificate of {host} is one of a certificate authority, which a server cannot show as its own"
            )
        }
        Some(E::EndEntityUsedAsCa) => format!(
            "the certificate of {host} is signed with one that is not of a certificate authority: {} may sign for \
             nobody",
            issuer(seen)
        ),
        Some(E::NameConstraintViolation) => format!(
            "the certificate of {host} is for a name that its authority may not sign for: the name constraints of {}, \
             or of who signed that, exclude it",
            issuer(seen)
        ),
        Some(E::PathLenConstraintViolated) => format!(
            "the certificate of {host} is signed through more authorities than one of them allows (path length)"
        ),
        Some(E::UnsupportedCertVersion) => {
            format!("the certificate of {host} is not of X.509 version 3, and no other is accepted")
        }
        _ => format!("the certificate of {host} is not acceptable: {}", shorten(shown, 200)),
    };
    (ReasonCode::TlsError, message)
}

/// Why the proof that the server has the key of its certificate is not acceptable.
pub(super) fn of_proof(error: &CertificateError, host: &str, seen: &TlsEvidence) -> Reason {
    let kind = seen.key_type.as_deref().unwrap_or("unknown kind");
    let bits = seen.key_bits.map_or_else(String::new, |bits| format!(" of {bits} bits"));
    let message = format!(
        "the server did not prove that it has the key of the certificate of {host} ({error}); the key is {kind}{bits}, \
         accepted are RSA of 2048 to 8192 bits, EC P-256, EC P-384 and Ed25519"
    );
    Reason::new(ReasonCode::TlsError, message)
}

/// Whose certificate it is that ends at `not_after`: not always the server's own.
fn whose(host: &str, not_after: UnixTime, seen: &TlsEvidence) -> String {
    let ends =
        |given: Option<Timestamp>| given.map(|given| given.as_second()) == i64::try_from(not_after.as_secs()).ok();
    match seen.intermediates.iter().find(|other| ends(other.not_after)) {
        Some(other) if !ends(seen.not_after) => {
            format!("the certificate of {}, on which that of {host} depends,", other.subject)
        }
        _ => format!("the certificate of {host}"),
    }
}

fn issuer(seen: &TlsEvidence) -> &str {
    seen.issuer.as_deref().unwrap_or("an unknown issuer")
}

fn unknown_issuer(host: &str, seen: &TlsEvidence) -> String {
    if seen.self_signed {
        return format!("the certificate of {host} is signed by itself, and not trusted here");
    }
    let sent = |name: &str| seen.intermediates.iter().find(|sent| sent.subject == name);
    let mut last = issuer(seen);
    // As many steps as there are certificates: they may well name each other in a circle.
    for _ in &seen.intermediates {
        match sent(last) {
            Some(sent) if sent.issuer != last => last = &sent.issuer,
            _ => break,
        }
    }
    let by = if last == issuer(seen) { "signed by" } else { "signed on behalf of" };
    let missing = match sent(last) {
        Some(_) => "",
        None => {
            ". If that is no authority but between one and the server, the server should send its certificate and does not"
        }
    };
    format!("the certificate of {host} is {by} {last}, who is not trusted here{missing}")
}

/// What the certificate is for.
fn names(presented: &[String], seen: &TlsEvidence) -> String {
    let all: Vec<String> = match seen.sans.is_empty() {
        true => presented.iter().map(|name| plain_name(name)).collect(),
        false => seen.sans.clone(),
    };
    if all.is_empty() {
        let subject = seen.subject.as_deref().unwrap_or_default();
        return format!(
            "no name at all (it has no subject alternative names, and its subject `{subject}` does not count)"
        );
    }
    let mut names = all.iter().take(NAMES_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > NAMES_SHOWN_MAX {
        names.push_str(&format!(" and {} more", all.len() - NAMES_SHOWN_MAX));
    }
    names
}

/// webpki shows names as `DnsName("a.example")` or `IpAddress(10.0.0.1)`; what is inside is what people look for.
fn plain_name(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')')).unwrap_or(presented);
    shorten(inner.trim_matches('"'), 100).into_owned()
}

fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "at an unknown time".to_owned(), |time| time.to_string())
}

fn days(seconds: u64) -> String {
    match seconds / SECONDS_PER_DAY {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use watchpost_model::IssuerReport;

    use super::*;

    fn of(error: CertificateError) -> (String, String) {
        let reason = of_certificate(&error, "a.example", &TlsEvidence::default());
        (reason.code.to_string(), reason.message)
    }

    #[test]
    fn certificate_errors_say_when_who_and_for_whom() {
        let at = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * SECONDS_PER_DAY));
        for (error, code, message) in [
            (
                CertificateError::ExpiredContext { time: at(20_457), not_after: at(20_454) },
                "tls_expired",
                "the certificate of a.example expired 2026-01-01T00:00:00Z (3 days ago)",
            ),
            (
                CertificateError::NotValidYetContext { time: at(20_453), not_before: at(20_454) },
                "tls_not_yet_valid",
                "the certificate of a.example is valid from 2026-01-01T00:00:00Z only (in 1 day)",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: "a.example".try_into().unwrap(),
                    presented: vec!["DnsName(\"b.example\")".into()],
                },
                "tls_wrong_host",
                "the certificate is for b.example, and not for a.example",
            ),
        ] {
            assert_eq!(of(error), (code.to_owned(), message.to_owned()));
        }
    }

    #[test]
    fn of_an_unknown_issuer_it_is_told_where_the_chain_ends() {
        let sent = |subject: &str, issuer: &str| IssuerReport {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            not_after: None,
        };
        for (intermediates, told, complete) in [
            (vec![], "signed by CN=a, who is not trusted here", false),
            (vec![sent("CN=a", "CN=b")], "signed on behalf of CN=b, who is not trusted here", false),
            (vec![sent("CN=a", "CN=a")], "signed by CN=a, who is not trusted here", true),
            (vec![sent("CN=b", "CN=b"), sent("CN=a", "CN=b")], "on behalf of CN=b, who is not trusted here", true),
            (vec![sent("CN=a", "CN=b"), sent("CN=b", "CN=a")], "who is not trusted here", true),
        ] {
            let seen = TlsEvidence { issuer: Some("CN=a".to_owned()), intermediates, ..TlsEvidence::default() };
            let message = of_certificate(&CertificateError::UnknownIssuer, "a.example", &seen).message;
            assert!(message.contains(told) && message.ends_with("trusted here") == complete, "{message}");
        }
    }
}
