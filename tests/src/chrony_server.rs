//! A real time server, chrony, that leaves the machine's clock alone.

#![allow(clippy::expect_used, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::server_process::{ServerProcess, installed, unprivileged};

/// How long an answer is waited for before it is asked again whether the server is ready.
const ANSWER_LIMIT: Duration = Duration::from_millis(200);

/// Starts a chronyd with these lines of configuration, for example `local stratum 8`, without which it does not know
/// the time.
///
/// # Panics
/// When it does not become ready.
pub fn start(config: &[&str]) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        let own = [
            format!("port {port}"),
            "bindaddress 127.0.0.1\nallow 127.0.0.1\ncmdport 0\nbindcmdaddress /".to_owned(),
            format!("pidfile {}", folder.join("pid").display()),
        ];
        let lines: Vec<_> = own.iter().map(String::as_str).chain(config.iter().copied()).collect();
        fs::write(folder.join("chrony.conf"), lines.join("\n") + "\n").expect("the server's configuration");
        let mut command = unprivileged(&installed("chronyd", "chrony"));
        command.args(["-x", "-U", "-d", "-f"]).arg(folder.join("chrony.conf"));
        command
    };
    ServerProcess::start("chrony", command, answers)
}

fn answers(address: SocketAddr) -> bool {
    let asked = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        socket.connect(address)?;
        let mut question = [0; 48];
        question[0] = 0x23;
        socket.send(&question)?;
        socket.recv(&mut question)
    };
    asked().is_ok()
}
