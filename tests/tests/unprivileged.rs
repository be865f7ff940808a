//! Watchpost without rights: as a user who owns nothing, has no capability, and gets none. And that what is shipped to run
//! it runs it so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use watchpost_probe::machine::landlock_version;
use watchpost_tests::process::{Launch, binary};
use watchpost_tests::tcp_fixture::{Behaviour, loopback};

/// The user of `deploy/Dockerfile`.
const USER: u32 = 65_532;
/// Where Debian puts its plugins.
const PLUGINS: &str = "/usr/lib/nagios/plugins";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The built binary where anybody can run it: where it was built, perhaps only root can look.
fn reachable(folder: &Path) -> PathBuf {
    let path = folder.join("watchpost");
    let built = binary();
    if fs::hard_link(&built, &path).is_err() {
        fs::copy(&built, &path).unwrap();
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Runs it as that user, if we may become one, else as who we are. Its exit code, and the objects that it printed.
async fn watchpost(args: &[&str]) -> (i32, Vec<Value>) {
    let launch = Launch::new("check");
    let mut command = Command::new(reachable(launch.folder()));
    command.args(args).env_clear().current_dir("/").stdin(Stdio::null());
    if is_root() {
        command.uid(USER).gid(USER);
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let objects = serde_json::from_str(&printed)
        .unwrap_or_else(|e| panic!("{e}: {printed}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), objects)
}

#[tokio::test]
async fn checks_run_without_rights() {
    let target = Behaviour::Silent.start(loopback(0)).await.unwrap();
    let (code, results) = watchpost(&["check", "-o", "json", &format!("tcp://{}", target.address())]).await;
    assert_eq!((code, results.len(), &results[0]["outcome"]), (0, 1, &"pass".into()));
}

/// Landlock wants no right but that there are no new ones.
#[tokio::test]
async fn plugins_are_confined_without_rights() {
    let plugin = format!("exec:{PLUGINS}/check_dummy 0 well");
    let (code, results) = watchpost(&["check", "-o", "json", "--exec-dir", PLUGINS, &plugin]).await;
    assert_eq!(code, 0, "{results:?}");
    let confined = &results[0]["evidence"]["exec"]["confined"];
    let has = |what: &str| confined.as_array().unwrap().iter().any(|said| said == what);
    assert!(has("no_new_privs") && has("no_capabilities") && !has("user"), "{confined}");
    assert_eq!(has("landlock_files"), landlock_version().is_some_and(|version| version >= 3), "{confined}");
}

#[tokio::test]
async fn the_doctor_says_that_there_are_none() {
    if !is_root() {
        return;
    }
    let (_, findings) = watchpost(&["doctor", "-o", "json"]).await;
    let found = |what: &str| {
        let finding = findings.iter().find(|finding| finding["what"] == what).unwrap();
        (finding["state"].as_str().unwrap(), finding["found"].as_str().unwrap())
    };
    assert_eq!(found("user"), ("ok", format!("{USER}, not root").as_str()));
    assert_eq!(found("capabilities"), ("ok", "none"));
}

fn shipped(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap()
}

#[test]
fn the_container_runs_as_that_user_and_is_made_of_what_is_there() {
    let dockerfile = shipped("deploy/Dockerfile");
    let lines: Vec<&str> = dockerfile.lines().collect();
    assert!(lines.contains(&format!("USER {USER}:{USER}").as_str()));
    // The toolchain is the one that the workspace states.
    let manifest = shipped("Cargo.toml");
    let stated = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(lines.contains(&format!("FROM rust:{stated}-bookworm AS build").as_str()), "{stated}");
    let copied = lines.iter().filter_map(|line| line.strip_prefix("COPY ")).filter(|rest| !rest.starts_with("--from"));
    for source in copied.flat_map(|rest| rest.split(' ').rev().skip(1)) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(source).exists(), "{source}");
    }
}

#[test]
fn the_service_has_no_rights_but_the_one_for_echo_requests() {
    let unit = shipped("deploy/systemd/watchpost.service");
    for line in [
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "AmbientCapabilities=CAP_NET_RAW",
        "CapabilityBoundingSet=CAP_NET_RAW",
        "ProtectSystem=strict",
        // What confines plugins must not be confined away.
        "SystemCallFilter=@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        "SystemCallErrorNumber=EPERM",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
}
