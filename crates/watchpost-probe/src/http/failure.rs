//! From what hyper, rustls and the operating system say to a verdict and a sentence.

use std::error::Error as StdError;
use std::io;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use watchpost_model::{Reason, ReasonCode, Timestamp, shorten};

use super::decode::Fault;
use super::exchange::Broken;
use super::hop::Hop;
use crate::recorder::{Position, Recorder, Stage};
use crate::{Verdict, failure};

/// The most names of a certificate that an error lists.
const NAMES_SHOWN_MAX: usize = 5;
const SECONDS_PER_DAY: u64 = 86_400;

/// What an error chain holds that tells its kind.
#[derive(Default)]
struct Causes<'a> {
    tls: Option<&'a rustls::Error>,
    io: Option<&'a io::Error>,
    http: Option<&'a hyper::Error>,
    last: Option<&'a (dyn StdError + 'static)>,
}

impl<'a> Causes<'a> {
    fn of(error: &'a (dyn StdError + 'static)) -> Self {
        let mut causes = Self::default();
        let mut next = Some(error);
        while let Some(error) = next {
            causes.last = Some(error);
            if let Some(tls) = error.downcast_ref() {
                causes.tls = Some(tls);
            }
            if let Some(http) = error.downcast_ref() {
                causes.http = Some(http);
            }
            next = error.source();
            if let Some(io) = error.downcast_ref::<io::Error>() {
                causes.io = Some(io);
                // `source` skips what an `io::Error` wraps and goes on with that one's source.
                if let Some(inner) = io.get_ref() {
                    next = Some(inner);
                }
            }
        }
        causes
    }

    fn detail(&self) -> String {
        self.last.map(|error| shorten(&error.to_string(), 200).into_owned()).unwrap_or_default()
    }
}

/// The verdict on what ended the request `hop`.
pub(crate) fn of_request(broken: &Broken, hop: &Hop, recorder: &Recorder) -> Verdict {
    let position = recorder.position();
    let whom = peer(hop, &position);
    let causes = Causes::of(broken);
    if let Broken::Request(_) = broken {
        let message = format!("no request can be made of {}: {}", hop.shown_url(), causes.detail());
        return Verdict::error(Reason::new(ReasonCode::InvalidTarget, message));
    }
    if let Some(tls) = causes.tls {
        return Verdict::error(of_tls(tls, hop, &whom, &position, recorder));
    }
    if let Some(http) = causes.http {
        if http.is_parse() {
            let message = format!("the answer of {whom} is not valid HTTP: {}", causes.detail());
            return Verdict::error(Reason::new(ReasonCode::ProtocolError, message));
        }
        if causes.io.is_none() && (http.is_incomplete_message() || http.is_closed() || http.is_canceled()) {
            return failure::closed(&whom, &position);
        }
    }
    match causes.io {
        Some(io) if is_of_the_connection(io) => failure::of_io(io, &whom, &position),
        _ if position.stage == Stage::Connect => {
            let message = format!("cannot connect to {whom}: {}", causes.detail());
            Verdict::error(Reason::new(ReasonCode::ConnectError, message))
        }
        _ => {
            let message =
                format!("the answer of {whom} cannot be read {}: {}", failure::when(&position), causes.detail());
            Verdict::error(Reason::new(ReasonCode::ProtocolError, message))
        }
    }
}

/// The verdict on a body that cannot be unpacked.
pub(crate) fn of_unpacking(fault: Fault, hop: &Hop, recorder: &Recorder) -> Verdict {
    let position = recorder.position();
    let whom = peer(hop, &position);
    let message = match fault {
        Fault::Corrupt(why) => format!("the answer of {whom} cannot be read {}: {why}", failure::when(&position)),
        Fault::Short(encoding) => format!(
            "the answer of {whom} is complete, but not the {encoding} data in it: it ends after {} unpacked bytes",
            position.received
        ),
    };
    Verdict::error(Reason::new(ReasonCode::ProtocolError, message))
}

/// Whether the error comes from the connection, and is none that hyper reports by the same type.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    error.raw_os_error().is_some()
        || matches!(
            error.kind(),
            Kind::UnexpectedEof
                | Kind::ConnectionReset
                | Kind::ConnectionAborted
                | Kind::BrokenPipe
                | Kind::NotConnected
        )
}

/// The peer as sentences call it: the address, and the name where that is another.
pub(crate) fn peer(hop: &Hop, position: &Position) -> String {
    match position.address {
        Some(address) if hop.has_name() => format!("{address} ({})", hop.host()),
        Some(address) => address.to_string(),
        None => hop.host().to_owned(),
    }
}

fn of_tls(error: &rustls::Error, hop: &Hop, whom: &str, position: &Position, recorder: &Recorder) -> Reason {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why, hop.host(), recorder),
        rustls::Error::AlertReceived(alert) => {
            let message = format!("{whom} ended the TLS session {} with the alert {alert:?}", failure::when(position));
            Reason::new(ReasonCode::TlsError, message)
        }
        rustls::Error::InvalidMessage(_) if position.stage == Stage::Tls => {
            Reason::new(ReasonCode::TlsError, format!("{whom} does not speak TLS: {error}"))
        }
        other => {
            Reason::new(ReasonCode::TlsError, format!("TLS with {whom} failed {}: {other}", failure::when(position)))
        }
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
