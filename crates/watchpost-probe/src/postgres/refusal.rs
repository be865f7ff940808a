//! What errors of a PostgreSQL server mean (its documentation, appendix A: "PostgreSQL Error Codes").

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;
use watchpost_model::{ReasonCode, shorten};

use crate::broken::Broken;
use crate::secret::Secrets;

/// An error that the server answered with.
#[derive(Debug)]
pub(super) struct ServerError {
    /// Five letters and digits.
    pub(super) sqlstate: String,
    message: String,
}

impl ServerError {
    /// Reads an error; `secrets` are hidden in what it quotes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(body: &ErrorResponseBody, secrets: &Secrets) -> io::Result<Self> {
        let mut error = Self { sqlstate: String::new(), message: String::new() };
        let mut fields = body.fields();
        while let Some(field) = fields.next()? {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.sqlstate = shorten(&value, 5).into_owned(),
                b'M' => error.message = shorten(&secrets.hide_in(value), 200).into_owned(),
                _ => {}
            }
        }
        Ok(error)
    }

    /// Whether a server that says so to somebody whom it does not know accepts connections from others.
    pub(super) fn means_that_it_accepts(&self) -> bool {
        self.sqlstate.starts_with("28") || self.sqlstate == "3D000"
    }
}

/// What `error` means, which ended what `did` says.
pub(super) fn refusal(error: &ServerError, did: &str, is_tls: bool) -> Broken {
    let ServerError { sqlstate, message } = error;
    // Servers before version 14 say "SSL off".
    let wants_tls = !is_tls && (message.contains("no encryption") || message.contains("SSL off"));
    let (code, what) = match sqlstate.as_str() {
        "28000" if wants_tls => (ReasonCode::TlsRequired, "does not let the check in without TLS"),
        "28000" | "28P01" => (ReasonCode::AuthFailed, "does not let the check in"),
        "3D000" => (ReasonCode::UnknownDatabase, "does not have the database"),
        "53300" => (ReasonCode::NotReady, "takes no more clients"),
        // Starting, shutting down, recovering; ended by an administrator or after a crash.
        "57P01" | "57P02" | "57P03" => (ReasonCode::NotReady, "is not ready"),
        _ => (ReasonCode::QueryFailed, did),
    };
    Broken::Refused(code, format!("{what}: it said \"{message}\" ({sqlstate})"))
}
