//! A real Redis server.

#![allow(clippy::expect_used, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use crate::server_process::{ServerProcess, installed, unprivileged};
use crate::tls_fixture::PemFiles;

/// Starts a Redis server with these lines of configuration.
///
/// # Panics
/// When it does not become ready.
pub fn start(config: &[&str]) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        let mut command = unprivileged(&installed("redis-server", "redis-server"));
        let own = ["bind 127.0.0.1".to_owned(), format!("port {port}"), "save \"\"".to_owned()];
        let lines: Vec<_> = own.iter().map(String::as_str).chain(config.iter().copied()).collect();
        fs::write(folder.join("redis.conf"), lines.join("\n")).expect("the server's configuration");
        command.arg("redis.conf");
        command
    };
    ServerProcess::start("redis", command, answers)
}

/// Starts a Redis server that speaks TLS only.
///
/// # Panics
/// When it does not become ready.
pub fn start_with_tls(files: &PemFiles) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        files.write_to(folder);
        let mut command = unprivileged(&installed("redis-server", "redis-server"));
        command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &port.to_string(), "--save", ""]);
        command.args(["--tls-auth-clients", "no", "--tls-ca-cert-file", PemFiles::AUTHORITY]);
        command.args(["--tls-cert-file", PemFiles::CERTIFICATE, "--tls-key-file", PemFiles::KEY]);
        command
    };
    ServerProcess::start("redis-tls", command, crate::server_process::accepts)
}

/// Whether a Redis server answers, if only that it wants a password.
fn answers(address: SocketAddr) -> bool {
    let asked = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer[0])
    };
    matches!(asked(), Ok(b'+' | b'-'))
}
