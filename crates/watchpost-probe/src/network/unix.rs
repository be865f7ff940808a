//! The way to a socket in the file system.

use std::io;

use tokio::net::UnixStream;
use watchpost_model::{Reason, ReasonCode, SocketPath};

use super::Network;
use crate::recorder::{Recorder, Stage};
use crate::{Verdict, failure};

impl Network {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// The verdict on a socket that is not there, or at which nobody listens.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub(crate) async fn connect_unix(&self, path: &SocketPath, recorder: &Recorder) -> Result<UnixStream, Verdict> {
        recorder.enter(Stage::Connect);
        let error = match UnixStream::connect(path.as_str()).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let (code, message) = match error.kind() {
            io::ErrorKind::NotFound => (ReasonCode::ConnectError, format!("there is no socket {path}")),
            io::ErrorKind::ConnectionRefused => {
                (ReasonCode::ConnectRefused, format!("nobody listens at the socket {path}"))
            }
            io::ErrorKind::PermissionDenied => {
                (ReasonCode::ConnectError, format!("the user that runs the check may not connect to the socket {path}"))
            }
            io::ErrorKind::WouldBlock => {
                (ReasonCode::ConnectError, format!("too many wait already for the socket {path} to accept them"))
            }
            _ => return Err(failure::of_io(&error, &format!("the socket {path}"), &recorder.position())),
        };
        Err(Verdict::error(Reason::new(code, message)))
    }
}
