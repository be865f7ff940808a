//! A real SSH server, OpenSSH's.

#![allow(clippy::expect_used, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::server_process::{ServerProcess, accepts, hand_over, installed, run, unprivileged};

/// Starts an SSH server with a host key of each of `key_types`, as `ssh-keygen -t` calls them, and these lines of
/// configuration.
///
/// # Panics
/// When it does not become ready.
pub fn start(key_types: &[&str], config: &[&str]) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        let mut lines: Vec<String> = config.iter().map(|line| (*line).to_owned()).collect();
        lines.extend([
            "ListenAddress 127.0.0.1".into(),
            format!("Port {port}"),
            "PidFile none".into(),
            "UsePAM no".into(),
        ]);
        for key_type in key_types {
            let key = folder.join(key_type);
            let mut keygen = Command::new(installed("ssh-keygen", "openssh-client"));
            run(keygen.args(["-q", "-t", key_type, "-N", "", "-f"]).arg(&key));
            hand_over(&key);
            lines.push(format!("HostKey {}", key.display()));
        }
        fs::write(folder.join("sshd_config"), lines.join("\n")).expect("the server's configuration");
        let mut command = unprivileged(&installed("sshd", "openssh-server"));
        command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
        command
    };
    ServerProcess::start("sshd", command, accepts)
}

/// The fingerprint of the server's host key of this type, as `ssh-keygen -l` shows it.
///
/// # Panics
/// When it has none.
pub fn fingerprint(server: &ServerProcess, key_type: &str) -> String {
    let mut keygen = Command::new(installed("ssh-keygen", "openssh-client"));
    let output = keygen.arg("-lf").arg(server.folder().join(format!("{key_type}.pub"))).output().expect("ssh-keygen");
    let shown = String::from_utf8(output.stdout).expect("a line of text");
    shown.split(' ').nth(1).expect("a fingerprint").to_owned()
}
