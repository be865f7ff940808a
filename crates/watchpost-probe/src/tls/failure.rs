//! From what rustls says of a handshake to a verdict and a sentence.

use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use watchpost_model::{Reason, ReasonCode, Timestamp, shorten};

use crate::Verdict;
use crate::failure::{self, when};
use crate::recorder::{Position, Recorder, Stage};

/// The most names of a certificate that an error lists.
const NAMES_SHOWN_MAX: usize = 5;
const SECONDS_PER_DAY: u64 = 86_400;

/// The verdict on a connection by TLS to `whom`, whose certificate was to be for `host`, that ended with
/// `error`.
pub(crate) fn verdict(error: &io::Error, host: &str, whom: &str, recorder: &Recorder) -> Verdict {
    let position = recorder.position();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => Verdict::error(reason(tls, host, whom, &position, recorder)),
        None => failure::of_io(error, whom, &position),
    }
}

/// Why TLS with `whom`, whose certificate was to be for `host`, came to nothing.
pub(crate) fn reason(
    error: &rustls::Error,
    host: &str,
    whom: &str,
    position: &Position,
    recorder: &Recorder,
) -> Reason {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why, host, recorder),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            let message = format!("{whom} speaks none of the protocols that the check offers over TLS");
            Reason::new(ReasonCode::TlsError, message)
        }
        rustls::Error::AlertReceived(alert) => {
            let message = format!("{whom} ended the TLS session {} with the alert {alert:?}", when(position));
            Reason::new(ReasonCode::TlsError, message)
        }
        rustls::Error::InvalidMessage(_) if position.stage == Stage::Tls => {
            Reason::new(ReasonCode::TlsError, format!("{whom} does not speak TLS: {error}"))
        }
        other => Reason::new(ReasonCode::TlsError, format!("TLS with {whom} failed {}: {other}", when(position))),
    }
}

fn of_certificate(error: &CertificateError, host: &str, recorder: &Recorder) -> Reason {
    use CertificateError as E;
    let (issuer, self_signed) = recorder
        .with_tls(|tls| (tls.issuer.clone(), tls.issuer.is_some() && tls.issuer == tls.subject))
        .unwrap_or_default();
    let (code, message) = match error {
        E::ExpiredContext { time, not_after } => (
            ReasonCode::TlsExpired,
            format!(
                "the certificate of {host} expired {} ({} ago)",
                date(*not_after),
                days(time.as_secs().saturating_sub(not_after.as_secs()))
            ),
        ),
        E::Expired => (ReasonCode::TlsExpired, format!("the certificate of {host} has expired")),
        E::NotValidYetContext { time, not_before } => (
            ReasonCode::TlsNotYetValid,
            format!(
                "the certificate of {host} is valid from {} only (in {})",
                date(*not_before),
                days(not_before.as_secs().saturating_sub(time.as_secs()))
            ),
        ),
        E::NotValidYet => (ReasonCode::TlsNotYetValid, format!("the certificate of {host} is not valid yet")),
        // webpki has errors of its own for a certificate authority that presents itself.
        E::UnknownIssuer | E::Other(_) if self_signed => (
            ReasonCode::TlsUnknownIssuer,
            format!("the certificate of {host} is signed by itself, and not trusted here"),
        ),
        E::UnknownIssuer => {
            let issuer = issuer.unwrap_or_else(|| "an unknown issuer".to_owned());
            (
                ReasonCode::TlsUnknownIssuer,
                format!("the certificate of {host} is signed by {issuer}, who is not trusted here"),
            )
        }
        // Somebody has the name of an authority that is trusted, and another key: it was made anew.
        E::BadSignature => {
            let issuer = issuer.unwrap_or_else(|| "an unknown issuer".to_owned());
            (
                ReasonCode::TlsUnknownIssuer,
                format!(
                    "the certificate of {host} names {issuer} as its issuer, but not with the key that is trusted here"
                ),
            )
        }
        E::NotValidForNameContext { presented, .. } => {
            let mut names =
                presented.iter().take(NAMES_SHOWN_MAX).map(|name| plain_name(name)).collect::<Vec<_>>().join(", ");
            if presented.len() > NAMES_SHOWN_MAX {
                names.push_str(&format!(" and {} more", presented.len() - NAMES_SHOWN_MAX));
            }
            if names.is_empty() {
                names.push_str("no name at all");
            }
            (ReasonCode::TlsWrongHost, format!("the certificate is for {names}, and not for {host}"))
        }
        E::NotValidForName => (ReasonCode::TlsWrongHost, format!("the certificate is not for {host}")),
        other => (ReasonCode::TlsError, format!("the certificate of {host} is not acceptable: {other}")),
    };
    Reason::new(code, message)
}

/// webpki shows names as `DnsName("a.example")`; the part in quotes is what people look for.
fn plain_name(presented: &str) -> String {
    let inner = presented.split('"').nth(1).unwrap_or(presented);
    shorten(inner, 100).into_owned()
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

    use super::*;

    fn of(error: CertificateError) -> (String, String) {
        let reason = of_certificate(&error, "a.example", &Recorder::new());
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
                CertificateError::UnknownIssuer,
                "tls_unknown_issuer",
                "the certificate of a.example is signed by an unknown issuer, who is not trusted here",
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
}
