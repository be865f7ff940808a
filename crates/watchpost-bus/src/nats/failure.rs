//! Why a first connection failed, in words that say what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind};

pub(super) fn describe(error: &ConnectError, has_credentials: bool, limit: Duration) -> String {
    let cause = error.source().map(|e| e.to_string()).unwrap_or_default();
    match error.kind() {
        ConnectErrorKind::TimedOut => no_answer(limit),
        ConnectErrorKind::AuthorizationViolation if has_credentials => {
            "the server refused our credentials; check the user, password, token or credentials file".to_owned()
        }
        ConnectErrorKind::AuthorizationViolation => {
            "the server wants credentials, and none are given; set a credentials file, a user and password, or a token"
                .to_owned()
        }
        ConnectErrorKind::Authentication => {
            "our credentials cannot be used: the nkey seed or the credentials file is not valid".to_owned()
        }
        ConnectErrorKind::Dns => format!("the name of the server could not be resolved: {cause}"),
        ConnectErrorKind::Tls => format!("TLS could not be set up: {cause}"),
        ConnectErrorKind::Io => describe_io(error, &cause),
        ConnectErrorKind::ServerParse | ConnectErrorKind::MaxReconnects => error.to_string(),
    }
}

pub(super) fn no_answer(limit: Duration) -> String {
    format!("no answer within {limit:?}; check that a NATS server listens there and that no firewall stands between")
}

fn describe_io(error: &ConnectError, cause: &str) -> String {
    let io = error.source().and_then(|e| e.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "the connection was refused: no NATS server listens there".to_owned(),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            format!("the server cannot be reached from here: {cause}")
        }
        // rustls reports its own errors, and those of certificates, this way.
        Some(io::ErrorKind::InvalidData) => {
            format!("TLS failed: {cause}; check the CA file, and that the server offers TLS")
        }
        Some(io::ErrorKind::InvalidInput) => format!("what answers there is not a NATS server: {cause}"),
        _ if cause.contains("expected INFO") => "what answers there is not a NATS server".to_owned(),
        _ => cause.to_owned(),
    }
}
