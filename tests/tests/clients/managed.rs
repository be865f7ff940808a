//! `up --bus managed`: one command for the whole system on one machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server;
use watchpost_tests::process::{Launch, SOON, Watchpost, binary, until};

/// A home that is nobody's.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watchpost-home-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn up(&self) -> Launch {
        let server = nats_server::program();
        Launch::new("up")
            .env("HOME", self.0.to_str().unwrap())
            .env("XDG_CONFIG_HOME", "")
            .env("XDG_STATE_HOME", "")
            .args(&[
                "--bus",
                "managed",
                "--bastion",
                "demo",
                "--console",
                "off",
                "--nats-server",
                server.to_str().unwrap(),
                "-o",
                "ndjson",
            ])
    }

    fn nats(&self) -> PathBuf {
        self.0.join(".local/state/watchpost/nats")
    }

    /// A command of another terminal, which is told nothing of the bus.
    fn run(&self, args: &[&str]) -> String {
        let output =
            Command::new(binary()).args(args).env_clear().env("HOME", &self.0).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The server's process, if it runs.
    fn server(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.nats().join("server.pid")).ok()?.trim().parse().ok()?;
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        command.contains(self.nats().to_str().unwrap()).then_some(pid)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

async fn results_of(watchpost: &Watchpost, check: &str) {
    let told = format!("\"check\":\"{check}\"");
    until("a result", SOON, || watchpost.stdout().contains(&told).then_some(())).await;
}

fn readable_by_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o077 != 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_gives_the_whole_system_and_leaves_nothing_running() {
    let home = Home::new("whole");
    let target = HttpFixture::start("target").await.unwrap();
    let mut up = home.up().start_ready().await;
    for secret in ["url", "server.conf"] {
        assert!(!readable_by_others(&home.nats().join(secret)), "{secret}");
    }
    let check = format!("{{id: here, http: {{url: 'http://{}/ok'}}, interval: 1s, timeout: 1s}}\n", target.address());
    std::fs::write(home.0.join("here.yaml"), check).unwrap();
    home.run(&["checks", "apply", "--group", "demo", "--yes", "-f", "here.yaml"]);
    results_of(&up, "here").await;
    assert!(home.run(&["checks", "status"]).contains("running"));

    let mut second = home.up().start();
    assert_eq!(second.ended(SOON).await, 2);
    assert!(second.stderr().contains("another `watchpost up --bus managed` uses"), "{}", second.stderr());

    assert_eq!(up.stop().await, 0, "{}", up.stderr());
    assert_eq!(home.server(), None, "the server ends with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_or_is_left_behind_costs_nothing() {
    let home = Home::new("dies");
    let target = HttpFixture::start("target").await.unwrap();
    let mut up = home.up().start_ready().await;
    let check = format!("{{id: here, http: {{url: 'http://{}/ok'}}, interval: 1s, timeout: 1s}}\n", target.address());
    std::fs::write(home.0.join("here.yaml"), check).unwrap();
    home.run(&["checks", "apply", "--group", "demo", "--yes", "-f", "here.yaml"]);
    results_of(&up, "here").await;

    // The server is killed: it is started again, with its data.
    let before = home.server().expect("a server");
    Command::new("kill").args(["-s", "KILL", &before.to_string()]).status().unwrap();
    let again = until("another server", SOON, || home.server().filter(|pid| *pid != before)).await;
    let seen = up.stdout().len();
    until("results go on", SOON, || up.stdout()[seen..].contains("\"outcome\":\"pass\"").then_some(())).await;
    assert!(home.run(&["checks", "list"]).contains("here"));

    // We are killed: the server is left behind, and the next start ends it.
    up.signal("KILL");
    up.ended(SOON).await;
    assert_eq!(home.server(), Some(again));
    let mut up = home.up().start_ready().await;
    assert!(home.server().is_some_and(|pid| pid != again));
    results_of(&up, "here").await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
    assert_eq!(home.server(), None);
}
