//! A real name server, Unbound, over UDP, TCP, TLS and HTTPS.

#![allow(clippy::expect_used, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::server_process::{ServerProcess, accepts, installed, unprivileged};
use crate::tls_fixture::PemFiles;

/// A running Unbound.
#[derive(Debug)]
pub struct Unbound {
    process: ServerProcess,
    tls: SocketAddr,
    https: SocketAddr,
}

impl Unbound {
    /// Starts a server that knows `records`, each as a zone file has it, and nobody to ask for others: names below
    /// `example.test` that it does not know do not exist, and it refuses to speak of `refused.test`.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(files: &PemFiles, records: &[&str]) -> Self {
        let (mut tls, mut https) = (0, 0);
        let command = |folder: &Path, port: u16| {
            files.write_to(folder);
            (tls, https) = (free_port(), free_port());
            let shown = |file: &str| folder.join(file).display().to_string();
            let mut lines = vec![
                "server:".to_owned(),
                format!("interface: 127.0.0.1@{port}\ninterface: 127.0.0.1@{tls}\ninterface: 127.0.0.1@{https}"),
                format!("tls-port: {tls}\nhttps-port: {https}"),
                format!("tls-service-pem: {}", shown(PemFiles::CERTIFICATE)),
                format!("tls-service-key: {}", shown(PemFiles::KEY)),
                format!("directory: {}", shown("")),
                "do-daemonize: no\nchroot: \"\"\nusername: \"\"\npidfile: \"\"\nuse-syslog: no".to_owned(),
                // It asks nobody: what it does not know does not exist.
                "module-config: \"iterator\"\nlocal-zone: \"example.test.\" static".to_owned(),
                "local-zone: \"refused.test.\" refuse".to_owned(),
            ];
            lines.extend(records.iter().map(|record| format!("local-data: '{record}'")));
            fs::write(folder.join("unbound.conf"), lines.join("\n") + "\n").expect("the server's configuration");
            let mut command = unprivileged(&installed("unbound", "unbound"));
            command.args(["-d", "-c", "unbound.conf"]);
            command
        };
        let process = ServerProcess::start("unbound", command, accepts);
        let at = |port| (Ipv4Addr::LOCALHOST, port).into();
        Self { process, tls: at(tls), https: at(https) }
    }

    /// Where it answers over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Where it answers over TLS.
    pub fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// Where it answers over HTTPS.
    pub fn https(&self) -> SocketAddr {
        self.https
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a free port").port()
}
