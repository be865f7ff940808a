//! The server that is checked, and the tools that others would check it with.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Folder, Process, free_port, installed, wait_for_port};

/// One nginx process that answers every request at once and closes the connection.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    port: u16,
    _folder: Folder,
}

impl Nginx {
    /// Starts it, if it is installed.
    pub fn start() -> Option<Self> {
        let binary = installed("nginx")?;
        let (folder, port) = (Folder::new(), free_port());
        let config = include_str!("../../../deploy/bench/nginx.conf").replace("@PORT@", &port.to_string());
        let config = folder.write("nginx.conf", &config);
        let mut command = Command::new(binary);
        command.arg("-p").arg(folder.path()).arg("-c").arg(config).arg("-e").arg(folder.path().join("error.log"));
        let process = Process::start(&mut command);
        wait_for_port(port);
        Some(Self { process, port, _folder: folder })
    }

    /// What to request.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Debian's prometheus-blackbox-exporter.
#[derive(Debug)]
pub struct Blackbox {
    process: Process,
    port: u16,
    _folder: Folder,
}

impl Blackbox {
    /// The name of its package and binary.
    pub const NAME: &str = "prometheus-blackbox-exporter";

    /// Starts it, if it is installed.
    pub fn start() -> Option<Self> {
        let binary = installed(Self::NAME)?;
        let (folder, port) = (Folder::new(), free_port());
        let config = folder.write("blackbox.yml", include_str!("../../../deploy/bench/blackbox.yml"));
        let mut command = Command::new(binary);
        command.arg("--config.file").arg(config).arg("--log.level=error");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start(&mut command);
        wait_for_port(port);
        Some(Self { process, port, _folder: folder })
    }

    /// What to request to have `target` probed.
    pub fn url(&self, target: &str) -> String {
        format!("http://127.0.0.1:{}/probe?module=http_2xx&target={target}", self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Fails if it cannot reach `target`: its answers have status 200 in either case.
    pub fn assert_reaches(&self, target: &str) {
        let answer = get(self.port, &format!("/probe?module=http_2xx&target={target}"));
        assert!(answer.contains("probe_success 1"), "the exporter does not reach {target}:\n{answer}");
    }
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a read timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// wrk: one thread, as many connections as checks run at a time.
#[derive(Debug)]
pub struct Wrk(PathBuf);

impl Wrk {
    /// Where it is installed.
    pub fn find() -> Option<Self> {
        installed("wrk").map(Self)
    }

    /// Requests a second to `url`, with a new connection for each where `fresh`.
    pub fn run(&self, url: &str, connections: usize, seconds: u64, fresh: bool) -> f64 {
        let mut command = Command::new(&self.0);
        command.args(["-t1", "--timeout", "10s"]).arg(format!("-c{connections}")).arg(format!("-d{seconds}s"));
        if fresh {
            command.args(["-H", "Connection: close"]);
        }
        let output = command.arg(url).output().expect("wrk can be run");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("Non-2xx"), "the server did not answer as it should:\n{text}");
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        rate.and_then(|rate| rate.trim().parse().ok()).unwrap_or_else(|| panic!("wrk says:\n{text}"))
    }
}

/// How a tool that is missing is told.
pub fn not_installed(name: &str) -> String {
    format!("{} not installed", Path::new(name).display())
}
