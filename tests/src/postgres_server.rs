//! A real PostgreSQL server.

#![allow(clippy::expect_used, clippy::panic, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server_process::{ServerProcess, run, unprivileged};
use crate::tls_fixture::PemFiles;

/// Who may come in, and how. `ann` proves that she knows her password without sending it, `old` by MD5, `plain` sends
/// it; `safe` comes by TLS only, `trusted` without a password. Each password is `NAME-secret`.
const HBA: &str = "
local all all trust
host all ann 127.0.0.1/32 scram-sha-256
host all old 127.0.0.1/32 md5
host all plain 127.0.0.1/32 password
hostssl all safe 127.0.0.1/32 scram-sha-256
host all trusted 127.0.0.1/32 trust
";
const USERS: &str = "
CREATE USER ann PASSWORD 'ann-secret';
CREATE USER plain PASSWORD 'plain-secret';
CREATE USER safe PASSWORD 'safe-secret';
CREATE USER trusted;
SET password_encryption = 'md5';
CREATE USER old PASSWORD 'old-secret';
";

/// Starts a PostgreSQL server with the users of `HBA` and the database `postgres`; it offers TLS where there
/// are `files` for it.
///
/// # Panics
/// When it does not become ready.
pub fn start(files: Option<&PemFiles>) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        make(folder);
        let mut command = unprivileged(&program("postgres"));
        command.args(["-D", "data", "-p", &port.to_string(), "-k"]).arg(folder);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=20"]);
        if let Some(files) = files {
            files.write_to(folder);
            let file = |name: &str| folder.join(name).display().to_string();
            command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", file(PemFiles::CERTIFICATE))]);
            command.args(["-c", &format!("ssl_key_file={}", file(PemFiles::KEY))]);
        }
        command
    };
    ServerProcess::start("postgres", command, is_ready)
}

/// Makes the server's data, with its users.
fn make(folder: &Path) {
    let mut initdb = unprivileged(&program("initdb"));
    run(initdb.current_dir(folder).args([
        "-D",
        "data",
        "-U",
        "admin",
        "-A",
        "trust",
        "--no-sync",
        "--no-locale",
        "-E",
        "UTF8",
    ]));
    fs::write(folder.join("data/pg_hba.conf"), HBA).expect("the server's rules");
    let statements = folder.join("users.sql");
    // A server for one user reads a statement a line.
    fs::write(&statements, USERS).expect("the server's users");
    let mut single = Command::new("sh");
    let server = format!("{:?}", unprivileged(&program("postgres"))).replace('"', "");
    single.arg("-c").arg(format!("{server} --single -D data postgres < users.sql"));
    run_in(single.current_dir(folder));
}

/// As [`run`], with a standard input of the command's own.
fn run_in(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !told.contains("ERROR"), "{command:?} {}:\n{told}", output.status);
}

fn is_ready(address: SocketAddr) -> bool {
    let mut command = Command::new(program("pg_isready"));
    command.args(["-q", "-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command.status().is_ok_and(|status| status.success())
}

/// Debian keeps each version in a folder of its own; the newest one is taken.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|p| p.is_file()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| {
        panic!("there is no {name} to test with: run `just setup`, or install the package postgresql")
    })
}
