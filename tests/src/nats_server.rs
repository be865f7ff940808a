//! A real nats-server on a free port, for as long as a test wants it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test whose server cannot be started has failed"
)]

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to be ready. It takes some 10 ms on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(20);

const POLL_EVERY: Duration = Duration::from_millis(5);

/// A running nats-server. It is killed, and its folder removed, when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    child: Option<Child>,
    args: Vec<OsString>,
    folder: PathBuf,
    port: u16,
    monitor: u16,
}

impl NatsServer {
    /// Starts a server without JetStream, users or TLS.
    ///
    /// # Panics
    /// When there is no nats-server, or it does not become ready.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments, for example `["--user", "ann", "--pass", "secret"]`.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    pub fn start_with(args: &[&str]) -> Self {
        let mut server = Self::new(args);
        server.spawn();
        server
    }

    /// Starts a server with a configuration, and with files that it can name, as they are in its working directory.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    pub fn start_with_config(config: &str, files: &[(&str, &str)]) -> Self {
        const CONFIG: &str = "nats-server.conf";
        let mut server = Self::new(&["-c", CONFIG]);
        for (name, content) in files.iter().chain([&(CONFIG, config)]) {
            let file = server.folder.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for nats-server");
            fs::write(file, content).expect("a file for nats-server");
        }
        server.spawn();
        server
    }

    fn new(args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-nats-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for nats-server");
        Self { child: None, args: args.iter().map(OsString::from).collect(), folder, port: 0, monitor: 0 }
    }

    /// The server's working directory: a place for JetStream's store.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's URL, without credentials.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The server's host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's process id.
    ///
    /// # Panics
    /// When it is stopped.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the nats-server runs").id()
    }

    /// How many clients are connected at this moment, as the server sees it.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn connections(&self) -> u64 {
        self.counted("connections")
    }

    /// How many clients have ever been connected.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn connections_ever(&self) -> u64 {
        self.counted("total_connections")
    }

    fn counted(&self, what: &str) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor)).expect("the monitoring port");
        stream.set_read_timeout(Some(READY_LIMIT)).expect("a read timeout");
        stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n").expect("the monitoring port");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the monitoring port");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let varz: serde_json::Value = serde_json::from_str(body).expect("JSON");
        varz[what].as_u64().expect("a number of connections")
    }

    /// Kills the server, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only where the process has ended already, which is what is wanted.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts the server again where it was, with the same arguments.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    pub fn restart_on_same_port(&mut self) {
        self.stop();
        self.spawn();
    }

    /// Freezes the server: connections stay open, and nothing answers any more once this returns.
    ///
    /// # Panics
    /// When the server cannot be signalled.
    pub fn pause(&self) {
        self.signal("-STOP");
        // The signal has been sent; the threads stop one by one, and each could still answer.
        let until = Instant::now() + READY_LIMIT;
        while !is_stopped(self.pid()) {
            assert!(Instant::now() < until, "nats-server stops");
            std::thread::sleep(POLL_EVERY);
        }
    }

    /// Ends a [`NatsServer::pause`].
    ///
    /// # Panics
    /// When the server cannot be signalled.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill can be run");
        assert!(status.success(), "kill {signal} failed");
    }

    fn spawn(&mut self) {
        let binary = program();
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let mut command = Command::new(&binary);
        command.args(["-a", "127.0.0.1", "-p", &port, "-m", "-1", "--ports_file_dir"]).arg(&self.folder);
        command.arg("-l").arg(self.log()).args(&self.args);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|e| panic!("{} could not be started: {e}", binary.display()));
        let ports = self.folder.join(format!("nats-server_{}.ports", child.id()));
        self.child = Some(child);
        self.wait_until("it named its port", |server| {
            let ports = fs::read_to_string(&ports).ok()?;
            server.port = port_in(&ports, "nats")?;
            server.monitor = port_in(&ports, "monitoring")?;
            Some(())
        });
        self.wait_until("it greeted", |server| greets(server.port));
    }

    fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<()>) {
        let until = Instant::now() + READY_LIMIT;
        while done(self).is_none() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                panic!("nats-server was not ready before {what} (ended: {ended:?}); its log:\n{log}");
            }
            std::thread::sleep(POLL_EVERY);
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("nats-server.log")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
        // A folder that stays behind in the temporary directory is no reason to fail a test.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// `{"nats":["nats://127.0.0.1:43211"],"monitoring":[…]}`; `None` while the file is not written to its end.
fn port_in(ports_file: &str, kind: &str) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_str(ports_file).ok()?;
    ports[kind][0].as_str()?.rsplit_once(':')?.1.parse().ok()
}

/// Whether every thread of a process is stopped (`T` after the name in `stat`), as Linux shows it.
fn is_stopped(pid: u32) -> bool {
    let mut threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the threads of nats-server");
    threads.all(|thread| {
        let stat = fs::read_to_string(thread.expect("a thread").path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// Whether a NATS server says hello: it speaks first.
fn greets(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(READY_LIMIT)).ok()?;
    let mut hello = [0; 4];
    stream.read_exact(&mut hello).ok()?;
    (&hello == b"INFO").then_some(())
}

/// The nats-server that tests run.
///
/// # Panics
/// When there is none.
pub fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("WATCHPOST_NATS_SERVER") {
        // The server runs in a directory of its own, where a relative path would not be found.
        return std::path::absolute(named).expect("WATCHPOST_NATS_SERVER names a file");
    }
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/nats-server");
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).map(|folder| folder.join("nats-server"));
    std::iter::once(fetched).chain(on_path).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("there is no nats-server to test with: run `just setup`, or name one in WATCHPOST_NATS_SERVER")
    })
}
