//! The built `watchpost` binary as a child process, in a folder of its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test whose process cannot be started has failed"
)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::{Message, RunVerdict, TaskResult};

/// How long anything may take that takes some milliseconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);
/// How often something that is waited for is looked at.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// What is logged unless a test asks for more.
const LOG_DEFAULT: &str = "warn,watchpost=info,watchpost_agent=info,watchpost_bus=info,watchpost_console=info";

/// A policy that permits everything over the network: what is tested runs on loopback, which no check that comes over a
/// bus may reach unless it says so.
pub const PERMISSIVE: &str = "special: {loopback: allow, link_local: allow, metadata: allow, multicast: allow, \
                              broadcast: allow, own_bus: allow, own_console: allow}\n\
                              default: allow\n\
                              files: {directories: [/]}\n\
                              unix: {paths: [/**]}\n\
                              proxies: {resolve: true}\n";

/// Looks again and again until there is something to see.
///
/// # Panics
/// When `limit` is over; `what` says what was waited for.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// A `watchpost` that is about to be started.
#[derive(Debug)]
pub struct Launch {
    folder: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    log: String,
    /// The policy of a process whose checks come over a bus.
    policy: Option<&'static str>,
}

impl Launch {
    /// The name that [`Launch::config`] gives the configuration file.
    pub const CONFIG: &'static str = "watchpost.yaml";
    /// The name of the policy file.
    pub const POLICY: &'static str = "policy.yaml";

    /// `watchpost COMMAND`, in a new folder.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new(command: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-e2e-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for watchpost");
        let policy = Some(PERMISSIVE);
        Self { folder, args: vec![command.into()], env: Vec::new(), log: LOG_DEFAULT.to_owned(), policy }
    }

    /// Its working directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// With more arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(OsString::from));
        self
    }

    /// With this configuration, by `-c`.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn config(self, yaml: &str) -> Self {
        self.file(Self::CONFIG, yaml).args(&["-c", Self::CONFIG])
    }

    /// With this policy, by `--policy`.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn policy(self, yaml: &str) -> Self {
        self.file(Self::POLICY, yaml).args(&["--policy", Self::POLICY]).without_policy()
    }

    /// With the policy that is in force where there is none. Otherwise it is [`PERMISSIVE`] where checks come over a bus.
    #[must_use]
    pub fn without_policy(self) -> Self {
        Self { policy: None, ..self }
    }

    /// With a file in its working directory.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        fs::write(self.folder.join(name), content).expect("a file for watchpost");
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Logging what `filter` says.
    #[must_use]
    pub fn log(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.log);
        self
    }

    /// Starts it, whatever becomes of it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(self) -> Watchpost {
        let Self { folder, args, env, log, policy } = self;
        let has = |name: &str| args.iter().any(|arg| arg == name);
        let is_on_bus = ["bastion", "runner"].iter().any(|role| has(role)) || (has("up") && has("--bus"));
        let policy = policy.filter(|_| is_on_bus).map(|policy| {
            fs::write(folder.join(Self::POLICY), policy).expect("a file for watchpost");
            ("WATCHPOST_POLICY", Self::POLICY)
        });
        let file = |name: &str| File::create(folder.join(name)).expect("a file for what watchpost prints");
        let mut command = Command::new(binary());
        command.args(args).args(["--log", &log, "--log-format", "json"]).current_dir(&folder);
        for name in settings_of_the_environment() {
            command.env_remove(name);
        }
        command.envs(policy).envs(env).stdin(Stdio::null()).stdout(file(STDOUT)).stderr(file(STDERR));
        let child = command.spawn().expect("watchpost can be started");
        Watchpost { child, folder, code: None }
    }

    /// Starts a role and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_ready(self) -> Watchpost {
        let mut watchpost = self.start();
        let end = Instant::now() + SOON;
        while !watchpost.log().iter().any(|line| line["message"] == "ready") {
            assert!(watchpost.try_code().is_none() && Instant::now() < end, "not ready:\n{}", watchpost.stderr());
            tokio::time::sleep(POLL_EVERY).await;
        }
        watchpost
    }
}

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// A `watchpost` that runs, or has ended. It is killed, and its folder removed, when this is dropped.
#[derive(Debug)]
pub struct Watchpost {
    child: Child,
    folder: PathBuf,
    code: Option<i32>,
}

impl Watchpost {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its working directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has printed so far.
    ///
    /// # Panics
    /// When the file is gone.
    pub fn stdout(&self) -> String {
        self.read(STDOUT)
    }

    /// What it has told people so far.
    ///
    /// # Panics
    /// When the file is gone.
    pub fn stderr(&self) -> String {
        self.read(STDERR)
    }

    /// The results that it has printed so far with `-o ndjson`.
    ///
    /// # Panics
    /// When it has printed something other than results and verdicts.
    pub fn results(&self) -> Vec<TaskResult> {
        self.printed(|line| line.get("task").is_some())
    }

    /// The verdicts that it has printed so far with `-o ndjson`.
    ///
    /// # Panics
    /// When it has printed something other than results and verdicts.
    pub fn verdicts(&self) -> Vec<RunVerdict> {
        self.printed(|line| line.get("task").is_none())
    }

    fn printed<T: Message>(&self, which: fn(&Value) -> bool) -> Vec<T> {
        let stdout = self.stdout();
        let lines = complete_lines(&stdout).map(|line| (line, serde_json::from_str(line)));
        let picked = lines.filter(|(_, value)| value.as_ref().map_or(true, which));
        let read = |(line, value): (&str, Result<Value, serde_json::Error>)| {
            value.and_then(serde_json::from_value).unwrap_or_else(|e| panic!("{e}: {line}"))
        };
        picked.map(read).collect()
    }

    /// What it has logged so far, one object a line. What is no log line, as the message with which
    /// it ends, is left out.
    pub fn log(&self) -> Vec<Value> {
        complete_lines(&self.stderr()).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The log lines with this message.
    pub fn logged(&self, message: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["message"] == message).collect()
    }

    /// Waits until a line with this message is logged.
    ///
    /// # Panics
    /// When it is not.
    pub async fn until_logged(&self, message: &str) -> Value {
        until(&format!("`{message}` in the log"), SOON, || self.logged(message).into_iter().next()).await
    }

    /// Sends a signal, for example `TERM`.
    ///
    /// # Panics
    /// When it cannot be signalled.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill");
        assert!(status.success(), "kill -s {name} failed");
    }

    /// Its exit code, if it has ended; -1 where a signal ended it.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn try_code(&mut self) -> Option<i32> {
        if self.code.is_none() {
            self.code = self.child.try_wait().expect("a child's status").map(|status| status.code().unwrap_or(-1));
        }
        self.code
    }

    /// Waits for its end, and gives its exit code.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> i32 {
        until("watchpost ends", limit, || self.try_code()).await
    }

    /// Asks it to stop, and gives its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) -> i32 {
        self.signal("TERM");
        self.ended(SOON).await
    }

    /// What its console says on `/healthz`. It wants `--console 127.0.0.1:0`.
    ///
    /// # Panics
    /// When there is no console, or it does not answer.
    pub async fn health(&self) -> Value {
        let address =
            self.until_logged("the console listens").await["address"].as_str().expect("an address").to_owned();
        let address: SocketAddr = address.parse().expect("the console's address");
        let asked = async {
            let mut stream = TcpStream::connect(address).await.expect("the console");
            stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.expect("the console");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("the console's answer");
            answer
        };
        let answer = tokio::time::timeout(SOON, asked).await.expect("an answer of the console");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        serde_json::from_str(body).expect("JSON")
    }

    /// How many descriptors it has open.
    ///
    /// # Panics
    /// When it has ended.
    pub fn descriptors(&self) -> usize {
        self.proc_entries("fd")
    }

    /// How many threads it has.
    ///
    /// # Panics
    /// When it has ended.
    pub fn threads(&self) -> usize {
        self.proc_entries("task")
    }

    /// How much memory it holds, in KiB.
    ///
    /// # Panics
    /// When it has ended.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the status of watchpost");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    fn proc_entries(&self, what: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{what}", self.pid())).expect("watchpost runs").count()
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.join(name)).expect("what watchpost printed");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Watchpost {
    fn drop(&mut self) {
        if self.code.is_none() {
            // Both fail only where it has ended already, which is what is wanted.
            self.child.kill().ok();
            self.child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln_tail(&self.stderr());
        }
        // A folder that stays behind in the temporary directory is no reason to fail a test.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A test that fails should show what the process had to say.
#[expect(clippy::print_stderr, reason = "this is for whoever reads why a test failed")]
fn eprintln_tail(stderr: &str) {
    const LINES_MAX: usize = 30;
    let lines: Vec<&str> = stderr.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LINES_MAX)..];
    eprintln!("the last of what watchpost said:\n{}", tail.join("\n"));
}

/// What is set for whoever runs the tests is not meant for what they test.
#[expect(clippy::disallowed_methods, reason = "a child inherits the environment, so it is cleaned here")]
fn settings_of_the_environment() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("WATCHPOST_"))
}

/// The last line may be written in part only.
fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    text[..end].lines()
}

/// Where the built binary is: `target/<profile>/watchpost`, for a test executable in `target/<profile>/deps`.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the running test");
    let profile = test.parent().and_then(Path::parent).expect("the folder of the profile");
    let binary = profile.join("watchpost");
    assert!(binary.is_file(), "there is no {}: run `cargo build -p watchpost`", binary.display());
    binary
}
