//! A bus that keeps things, something to check, bastions, and a command line that talks to them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost, binary};

/// How often something that is waited for is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub struct Rig {
    pub nats: NatsServer,
    pub target: HttpFixture,
    folder: PathBuf,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Asserts how it ended.
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{self:#?}");
        self
    }

    /// Its objects, of `-o ndjson`.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// Asserts that people are told this.
    pub fn tells(&self, part: &str) {
        assert!(self.stderr.contains(part), "`{part}` is not in {self:#?}");
    }
}

impl Rig {
    pub async fn new() -> Self {
        Self::on(NatsServer::start_with(&["-js", "-sd", "jetstream"])).await
    }

    pub async fn on(nats: NatsServer) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { nats, target: HttpFixture::start("target").await.unwrap(), folder }
    }

    /// A rig whose bus keeps what it is to keep.
    pub async fn set_up() -> Self {
        let rig = Self::new().await;
        rig.run(&["bus", "setup"]).await.code(0);
        rig
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file, below directories that are made.
    pub fn write(&self, name: &str, text: &str) {
        let file = self.folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Starts a bastion that runs what the store has for it.
    pub async fn bastion(&self, id: &str) -> Watchpost {
        self.bastion_with(id, "").await
    }

    /// Starts a bastion with more in its file.
    pub async fn bastion_with(&self, id: &str, config: &str) -> Watchpost {
        let config = format!("bastion: {id}\n{config}");
        Launch::new("bastion").config(&config).args(&["--bus", &self.nats.url()]).start_ready().await
    }

    /// A command in an environment that says where the bus is, and nothing else.
    pub fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(binary());
        command.args(args).current_dir(&self.folder).env_clear();
        command.env("XDG_CONFIG_HOME", self.folder.join("config")).env("WATCHPOST_BUS", self.nats.url());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Ran {
        ended(self.command(args), args).await
    }

    /// Runs a command until it says what is waited for.
    pub async fn until<T>(&self, args: &[&str], mut look: impl FnMut(&Ran) -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        loop {
            let ran = self.run(args).await;
            if let Some(seen) = look(&ran) {
                return seen;
            }
            assert!(Instant::now() < end, "{args:?} does not come to what is waited for: {ran:#?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A check of the target.
    pub fn http(&self, id: &str, path: &str, more: &str) -> String {
        format!("id: {id}\nhttp: {{url: 'http://{}/{path}'}}\n{more}\n---\n", self.target.address())
    }
}

/// What becomes of a command.
pub async fn ended(mut command: tokio::process::Command, args: &[&str]) -> Ran {
    let output = tokio::time::timeout(SOON, command.output());
    let output = output.await.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary directory is no reason to fail a test.
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
