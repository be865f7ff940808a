//! From what rustls says of a handshake to a verdict and a sentence.

use std::io;

use rustls::{AlertDescription, PeerIncompatible};
use watchpost_model::{Reason, ReasonCode, TlsEvidence};

use super::distrust;
use crate::Verdict;
use crate::failure::{self, when};
use crate::recorder::{Position, Recorder, Stage};

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
    let seen = recorder.with_tls(TlsEvidence::clone).unwrap_or_default();
    let message = match error {
        // The certificate itself was good, so it is the proof that the server has its key.
        rustls::Error::InvalidCertificate(why) if seen.verified == Some(true) || seen.problem.is_some() => {
            return distrust::of_proof(why, host, &seen);
        }
        rustls::Error::InvalidCertificate(why) => return distrust::of_certificate(why, host, &seen),
        rustls::Error::AlertReceived(alert) => match of_alert(*alert, host, &seen, position) {
            Some(why) => format!("{whom} {why} (alert {alert:?}, {})", when(position)),
            None => format!("{whom} ended the TLS session {} with the alert {alert:?}", when(position)),
        },
        rustls::Error::PeerIncompatible(how) => match of_peer(how) {
            Some(why) => format!("{whom} {why}"),
            None => format!("{whom} cannot agree with the check on how to speak TLS: {error}"),
        },
        rustls::Error::NoApplicationProtocol => {
            format!("{whom} agrees to none of the protocols that are offered by ALPN")
        }
        rustls::Error::InvalidMessage(_) if position.stage == Stage::Tls => {
            format!("{whom} does not speak TLS: {error}")
        }
        other => format!("TLS with {whom} failed {}: {other}", when(position)),
    };
    Reason::new(ReasonCode::TlsError, message)
}

/// What a server means by an alert, as the end of a sentence about it, where that is known.
fn of_alert(alert: AlertDescription, host: &str, seen: &TlsEvidence, position: &Position) -> Option<String> {
    use AlertDescription as A;
    let asked = seen.client_certificate_asked;
    Some(match alert {
        A::ProtocolVersion => TOO_OLD.to_owned(),
        A::InsufficientSecurity => NOTHING_IN_COMMON.to_owned(),
        A::HandshakeFailure if asked => "asked for a client certificate and does not accept what it got".to_owned(),
        A::HandshakeFailure if position.stage == Stage::Tls => NOTHING_IN_COMMON.to_owned(),
        A::UnrecognisedName => format!("knows no server by the name {host}"),
        A::NoApplicationProtocol => "agrees to none of the protocols that are offered by ALPN".to_owned(),
        A::CertificateRequired => "wants a client certificate, and the check has none".to_owned(),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError
            if asked =>
        {
            "does not accept the client certificate".to_owned()
        }
        A::CertificateExpired if asked => "does not accept the client certificate, which has expired".to_owned(),
        _ => return None,
    })
}

const TOO_OLD: &str = "speaks a version of TLS that is too weak: expected TLS 1.2 or 1.3";
const NOTHING_IN_COMMON: &str = "agrees to none of the cipher suites and key exchanges that are offered: expected one with forward \
     secrecy and AES-GCM or ChaCha20, as TLS 1.3 has them";

/// Why nothing was agreed on with a server that said what it wants, where that is known.
fn of_peer(how: &PeerIncompatible) -> Option<&'static str> {
    use PeerIncompatible as P;
    match how {
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled => Some(TOO_OLD),
        P::NoCipherSuitesInCommon | P::NoKxGroupsInCommon | P::NoSignatureSchemesInCommon => Some(NOTHING_IN_COMMON),
        _ => None,
    }
}
