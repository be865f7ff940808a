//! The way to a socket in the file system.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::net::UnixStream;
use watchpost_model::{Reason, ReasonCode, SocketPath};

use super::{Network, Undialled};
use crate::files::plainly;
use crate::recorder::{Recorder, Stage};
use crate::{Verdict, failure};

/// Linux's `O_PATH` on every architecture that is built for: what is there is looked at, and not opened.
const PATH_ONLY: i32 = 0o10000000;

impl Network {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// The verdict on a socket that the policy does not permit, that is not there, or at which nobody listens.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub(crate) async fn connect_unix(&self, path: &SocketPath, recorder: &Recorder) -> Result<UnixStream, Verdict> {
        recorder.enter(Stage::Connect);
        let connected = match self.open_socket(Path::new(path.as_str())) {
            // The system's own name for what is open: nobody can put another socket in its place any more.
            Ok(socket) => UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await,
            Err(Undialled::Denied(denied)) => return Err(Verdict::denied(denied)),
            Err(Undialled::Io(error)) => Err(error),
        };
        let error = match connected {
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

    /// Finds the socket at `path`, if where that leads is permitted. Nobody is connected to by that.
    fn open_socket(&self, path: &Path) -> Result<File, Undialled> {
        let judge = |path: &Path| self.guard.judge_unix(path).map_err(Undialled::Denied);
        let found = OpenOptions::new().read(true).custom_flags(PATH_ONLY).open(path);
        let found = match found {
            Ok(found) => found,
            // What may not be connected to is not told apart from what is not there.
            Err(error) => return judge(&plainly(path)).and(Err(error.into())),
        };
        judge(&std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))?)?;
        Ok(found)
    }
}
