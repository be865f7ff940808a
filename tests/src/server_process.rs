//! A real server on a free port of loopback, for as long as a test wants it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test whose server cannot be started has failed"
)]

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);
const POLL_EVERY: Duration = Duration::from_millis(10);
/// How often another port is tried where somebody else was faster.
const ATTEMPTS_MAX: u32 = 5;
/// Who runs servers that refuse to be run by root: nobody.
const UNPRIVILEGED: &str = "65534";
/// Where Debian keeps servers that are not for everybody's PATH.
const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];

/// A running server in a folder of its own. It is killed, and the folder removed, when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl ServerProcess {
    /// Starts what `command` makes of a folder and a port, and waits until it is ready: until `is_ready` says so of
    /// its address. What it prints goes to the file `log` in its folder.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(
        name: &str,
        mut command: impl FnMut(&Path, u16) -> Command,
        is_ready: impl Fn(SocketAddr) -> bool,
    ) -> Self {
        let mut attempt = 1;
        loop {
            let folder = folder(name);
            let port = free_port();
            let log = File::create(folder.join("log")).expect("a file for what the server prints");
            let mut command = command(&folder, port);
            command.current_dir(&folder).stdin(Stdio::null());
            command.stdout(log.try_clone().expect("a file for what the server prints")).stderr(log);
            let child = command.spawn().unwrap_or_else(|e| panic!("{name} could not be started: {e} ({command:?})"));
            let mut server = Self { child, folder, port };
            let until = Instant::now() + READY_LIMIT;
            loop {
                if let Some(ended) = server.child.try_wait().expect("a child's status") {
                    let told = server.log();
                    assert!(attempt < ATTEMPTS_MAX && told.contains("in use"), "{name} {ended}; it said:\n{told}");
                    break;
                }
                if is_ready(server.address()) {
                    return server;
                }
                assert!(Instant::now() < until, "{name} is not ready; it said:\n{}", server.log());
                std::thread::sleep(POLL_EVERY);
            }
            attempt += 1;
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its working directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }

    /// Asks it to end, which it does once it is done with its clients, and returns all that it has printed.
    pub fn into_log(mut self) -> String {
        self.end();
        self.log()
    }

    /// Asks it to end, and kills it where it does not.
    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Servers that are asked leave nothing behind, such as shared memory.
        Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status().ok();
        let until = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(POLL_EVERY);
        }
        // Both fail only where it has ended already, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end();
        // A folder that stays behind in the temporary directory is no reason to fail a test.
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn folder(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("watchpost-{name}-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the server");
    if is_root() {
        hand_over(&folder);
    }
    folder
}

/// Gives `path` to the user who runs servers, where that is another one.
///
/// # Panics
/// When the owner cannot be changed.
pub fn hand_over(path: &Path) {
    let id = is_root().then(|| UNPRIVILEGED.parse().expect("a number"));
    std::os::unix::fs::chown(path, id, id).expect("a new owner");
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("this process").uid() == 0
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Whether somebody accepts connections at `address`.
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// The command `program` of Debian's `package`, run by nobody where the tests are run by root.
///
/// # Panics
/// When it is not installed.
pub fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--clear-groups"]).arg(program);
    command
}

/// Runs `command` to its end.
///
/// # Panics
/// When it does not succeed.
pub fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?} {}:\n{}", output.status, String::from_utf8_lossy(&told));
}

/// Where `program` of Debian's `package` is.
///
/// # Panics
/// When it is not installed.
pub fn installed(program: &str, package: &str) -> PathBuf {
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("there is no {program} to test with: run `just setup`, or install the package {package}")
    })
}
