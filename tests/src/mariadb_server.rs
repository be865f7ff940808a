//! A real MariaDB server.

#![allow(clippy::expect_used, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::server_process::{ServerProcess, installed, run, unprivileged};
use crate::tls_fixture::PemFiles;

/// `ann` proves that she knows her password without sending it; `safe` comes by TLS only; `open` has no password, and
/// `signing` would have the check sign something. Each password is `NAME-secret`.
const USERS: &str = "CREATE USER ann IDENTIFIED BY 'ann-secret';
CREATE USER safe IDENTIFIED BY 'safe-secret' REQUIRE SSL;
CREATE USER open;
INSTALL SONAME 'auth_ed25519';
CREATE USER signing IDENTIFIED VIA ed25519 USING PASSWORD('signing-secret');
CREATE DATABASE shop;
GRANT SELECT ON shop.* TO ann;
GRANT SELECT ON shop.* TO safe;
";

/// Starts a MariaDB server with these users and the database `shop`, which `ann` and `safe` may read; it offers TLS
/// where there are `files` for it.
///
/// # Panics
/// When it does not become ready.
pub fn start(files: Option<&PemFiles>, options: &[&str]) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        let mut install = unprivileged(&installed("mariadb-install-db", "mariadb-server"));
        let at = |name: &str| folder.join(name).display().to_string();
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-log-bin"]);
        run(install.current_dir(folder).arg(format!("--datadir={}", at("data"))));
        fs::write(folder.join("users.sql"), USERS).expect("the server's users");
        let mut command = unprivileged(&installed("mariadbd", "mariadb-server"));
        command.args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-method=nosync",
        ]);
        command.args([format!("--datadir={}", at("data")), format!("--init-file={}", at("users.sql"))]);
        command.args([
            format!("--socket={}", at("socket")),
            format!("--port={port}"),
            format!("--pid-file={}", at("pid")),
        ]);
        if let Some(files) = files {
            files.write_to(folder);
            command.arg(format!("--ssl-ca={}", at(PemFiles::AUTHORITY)));
            command.arg(format!("--ssl-cert={}", at(PemFiles::CERTIFICATE)));
            command.arg(format!("--ssl-key={}", at(PemFiles::KEY)));
        }
        command.args(options);
        command
    };
    ServerProcess::start("mariadb", command, greets)
}

/// Whether a server says hello: it speaks first, and only once the users are there.
fn greets(address: SocketAddr) -> bool {
    let heard = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.read_exact(&mut [0; 5])
    };
    heard().is_ok()
}
