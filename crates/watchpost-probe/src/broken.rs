//! Why a check that speaks the protocol of its type came to nothing.

use std::io;

use watchpost_model::{Reason, ReasonCode};

use crate::network::Destination;
use crate::recorder::Recorder;
use crate::{Verdict, tls};

/// What ended an exchange. Sentences lack their subject, which is the peer: `does not accept the password`.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection, or TLS on it.
    Io(io::Error),
    /// The peer answered, and does not do what the check asks.
    Refused(ReasonCode, String),
    /// No answer that the check could make something of.
    Unanswered(ReasonCode, String),
    /// There is a verdict already.
    Judged(Verdict),
}

impl Broken {
    /// The peer does not follow the protocol; `how` completes "10.0.0.1:22 …".
    pub(crate) fn garbage(how: impl Into<String>) -> Self {
        Self::Unanswered(ReasonCode::ProtocolError, how.into())
    }

    /// The verdict on the exchange with `to`, whose certificate was to be for `host`.
    pub(crate) fn verdict(self, to: Destination<'_>, host: &str, recorder: &Recorder) -> Verdict {
        let whom = to.whom(recorder.position().address);
        match self {
            Self::Io(error) => tls::failure::verdict(&error, host, &whom, recorder),
            Self::Refused(code, what) => Verdict::fail(Reason::new(code, format!("{whom} {what}"))),
            Self::Unanswered(code, what) => Verdict::error(Reason::new(code, format!("{whom} {what}"))),
            Self::Judged(verdict) => verdict,
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
