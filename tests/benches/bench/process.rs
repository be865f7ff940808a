//! Processes under measurement: started, watched, and gone when they are dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a process may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// The clock ticks of `/proc/PID/stat`: 100 a second in every build of Linux that people run.
const TICK: Duration = Duration::from_millis(10);

/// A child process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `command` without input, output or messages.
    pub fn start(command: &mut Command) -> Self {
        Self(spawn(command.stderr(Stdio::null())))
    }

    /// Starts `command` and returns once a line of its stderr contains `word`, with the time that it took.
    pub fn start_until(command: &mut Command, word: &'static str) -> (Self, Duration) {
        let begun = Instant::now();
        let mut child = spawn(command.stderr(Stdio::piped()));
        let stderr = child.stderr.take().expect("stderr is piped");
        let process = Self(child);
        let seen = watch(stderr, word);
        let at = seen.recv_timeout(READY_LIMIT).unwrap_or_else(|_| panic!("{command:?} did not say `{word}` in time"));
        (process, at - begun)
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its memory: resident now, and at the most so far, in MiB.
    pub fn resident_mib(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process lives");
        let mib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line for it");
            let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
            kib / 1024.0
        };
        (mib("VmRSS:"), mib("VmHWM:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already, which is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{command:?} could not be started: {e}"))
}

/// Yields when a line contained `word`, and reads on to the end, so that the process never waits for its stderr.
fn watch(stderr: ChildStderr, word: &'static str) -> mpsc::Receiver<Instant> {
    let (sender, seen) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.contains(word) {
                // Only the first is wanted: later ones find the place taken, or nobody there.
                sender.try_send(Instant::now()).ok();
            }
        }
    });
    seen
}

/// Processor time that was used so far: user and system.
pub mod cpu {
    use super::{Duration, TICK, fs};

    /// By a process that runs, all its threads together.
    pub fn of(pid: u32) -> Duration {
        fields(&format!("/proc/{pid}/stat"), 14)
    }

    /// By this process.
    pub fn of_self() -> Duration {
        fields("/proc/self/stat", 14)
    }

    /// By children of this process that have ended and were waited for.
    pub fn of_ended_children() -> Duration {
        fields("/proc/self/stat", 16)
    }

    /// The sum of the fields `first` and `first + 1` of a `stat` file, as proc_pid_stat(5) numbers them.
    fn fields(stat: &str, first: usize) -> Duration {
        let text = fs::read_to_string(stat).expect("the process lives");
        // The second field is the name in parentheses, and may itself have spaces and parentheses.
        let (_, after_name) = text.rsplit_once(") ").expect("a name in parentheses");
        let fields: Vec<&str> = after_name.split(' ').collect();
        let ticks = |field: usize| fields[field - 3].parse::<u32>().expect("a number of ticks");
        TICK * (ticks(first) + ticks(first + 1))
    }
}

/// A temporary folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("watchpost-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Writes a file into it and says where it is.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file in the temporary folder");
        path
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind in the temporary directory is no reason to fail.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The binary of this build, which stands two folders above this program.
pub fn watchpost() -> Command {
    let this = std::env::current_exe().expect("this program has a path");
    let binary = this.ancestors().nth(2).expect("it lies in target/release/deps").join("watchpost");
    assert!(binary.is_file(), "there is no {}: run `cargo build --release -p watchpost` first", binary.display());
    Command::new(binary)
}

/// Where a tool is, if it is installed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are where not every user's PATH leads.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A port on loopback that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Returns once somebody accepts connections on the port.
pub fn wait_for_port(port: u16) {
    let until = Instant::now() + READY_LIMIT;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
