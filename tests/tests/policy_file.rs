//! The policy file in a process that runs: followed while it changes, kept while it is broken, told in heartbeats and the
//! audit log.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use watchpost_model::{Heartbeat, Outcome, PolicyReport, TaskResult};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

const ALLOWS: &str = "special: {loopback: allow}\ndefault: allow\n";
const DENIES: &str =
    "special: {loopback: allow}\nrules:\n- {name: not-any-more, deny: {networks: [127.0.0.0/8]}}\ndefault: allow\n";
const BROKEN: &str = "special: {loopback: allow}\ndefault: perhaps\n";

/// A bastion on a bus, with one check that runs every second.
struct Rig {
    _nats: NatsServer,
    observer: Observer,
    server: HttpFixture,
    bastion: Watchpost,
}

impl Rig {
    async fn start(policy: &str) -> Self {
        let (nats, server) = (NatsServer::start(), HttpFixture::start("target").await.unwrap());
        let observer = Observer::start(&nats.url()).await;
        let config = format!(
            "bastion: b1\naudit: {{file: audit.jsonl}}\nchecks:\n\
             - {{id: c, http: {{url: 'http://{}/ok'}}, interval: 1s}}\n",
            server.address()
        );
        let launch = Launch::new("bastion").policy(policy).config(&config).args(&["--bus", &nats.url()]);
        let bastion = launch.start_ready().await;
        Self { _nats: nats, observer, server, bastion }
    }

    fn policy(&self) -> PathBuf {
        self.bastion.folder().join(Launch::POLICY)
    }

    /// In one step, as those do who know that it is being read.
    fn replace(&self, yaml: &str) {
        let new = self.bastion.folder().join("policy.new");
        fs::write(&new, yaml).unwrap();
        fs::rename(new, self.policy()).unwrap();
    }

    /// A result later than those so far that is as wanted.
    async fn until_result(&self, what: &str, is_wanted: impl Fn(&TaskResult) -> bool) -> Arc<TaskResult> {
        let before = self.observer.results().len();
        let later = || self.observer.results().into_iter().skip(before).find(|result| is_wanted(result));
        until(what, SOON, later).await
    }

    async fn until_passed(&self) {
        self.until_result("the check passes", |result| result.outcome == Outcome::Pass).await;
    }

    async fn until_denied(&self) {
        let denied = self.until_result("the check is denied", |result| result.outcome == Outcome::Cancelled).await;
        let reason = denied.reason.as_ref().unwrap();
        assert_eq!(reason.code.as_str(), "policy_denied");
        assert!(reason.message.contains("`not-any-more`"), "{}", reason.message);
    }

    async fn until_beat(&self, what: &str, holds: impl Fn(&PolicyReport) -> bool) -> PolicyReport {
        let told = |heartbeat: &Heartbeat| heartbeat.policy.clone().filter(&holds);
        until(what, SOON, || self.observer.heartbeats().iter().rev().find_map(|heartbeat| told(heartbeat))).await
    }

    /// What the audit log has of policies: the event, and the hash or what is wrong.
    fn audited(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.bastion.folder().join("audit.jsonl")).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told = lines.filter_map(|line| {
            let event = line["event"].as_str()?.to_owned();
            let more = line["sha256"].as_str().or(line["why"].as_str()).unwrap_or_default().to_owned();
            matches!(event.as_str(), "policy_loaded" | "policy_broken").then_some((event, more))
        });
        told.collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_followed_and_a_broken_one_keeps_the_last_good_one() {
    let rig = Rig::start(ALLOWS).await;
    rig.until_passed().await;
    let begun = rig.until_beat("the policy is told", |policy| policy.sha256.is_some()).await;
    assert_eq!((begun.source.as_str(), &begun.broken), (Launch::POLICY, &None));

    rig.replace(DENIES);
    rig.until_denied().await;
    let (connections, denied) = (rig.server.counts().accepted(), rig.observer.results().len());

    rig.replace(BROKEN);
    let broken = rig.until_beat("that it is broken is told", |policy| policy.broken.is_some()).await;
    let why = broken.broken.unwrap();
    assert!(why.contains("policy.yaml:2:10") && why.contains("`default`"), "{why}");
    assert_ne!(broken.sha256, begun.sha256, "the one in force is the one before");
    rig.until_denied().await;

    fs::remove_file(rig.policy()).unwrap();
    rig.until_beat("that it is gone is told", |policy| {
        policy.broken.as_ref().is_some_and(|why| why.contains("cannot be read"))
    })
    .await;
    rig.until_denied().await;
    assert!(rig.observer.results().len() > denied);
    assert_eq!(rig.server.counts().accepted(), connections, "nothing was connected to while it was denied");

    rig.replace(ALLOWS);
    rig.until_passed().await;
    let mended = rig.until_beat("that it is whole again is told", |policy| *policy == begun).await;
    assert_eq!(mended.broken, None);
    until("the audit log has it all", SOON, || (rig.audited().len() == 5).then_some(())).await;
    let (events, told): (Vec<String>, Vec<String>) = rig.audited().into_iter().unzip();
    assert_eq!(events, ["policy_loaded", "policy_loaded", "policy_broken", "policy_broken", "policy_loaded"]);
    assert_eq!(Some(&told[0]), begun.sha256.as_ref());
    assert!(told[0] == told[4] && told[0] != told[1], "{told:?}");
    assert!(told[2].contains("perhaps") && told[3].contains("cannot be read"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reads_the_file_anew_even_where_it_looks_the_same() {
    // As long as the other, in the same place, and as old.
    let denies = format!("{:<width$}", "default: deny", width = ALLOWS.trim_end().len()) + "\n";
    let rig = Rig::start(ALLOWS).await;
    rig.until_passed().await;
    let file = File::options().write(true).open(rig.policy()).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, denies.as_bytes(), 0).unwrap();
    file.set_modified(modified).unwrap();
    rig.bastion.signal("HUP");
    let denied = rig.until_result("the check is denied", |result| result.outcome == Outcome::Cancelled).await;
    let reason = denied.reason.as_ref().unwrap();
    assert_eq!(reason.code.as_str(), "policy_denied");
    assert!(reason.message.starts_with("no rule of the policy allows anything"), "{reason:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_is_broken_or_missing_at_the_start_is_an_error() {
    let checks = "checks:\n- {id: c, tcp: {address: '127.0.0.1:1'}}\n";
    for (role, more) in [
        ("check", &[][..]),
        ("up", &[]),
        ("bastion", &["--bus", "nats://127.0.0.1:1"]),
        ("runner", &["--bus", "nats://127.0.0.1:1"]),
    ] {
        let mut broken = Launch::new(role).policy(BROKEN).config(checks).args(more).start();
        assert_eq!(broken.ended(SOON).await, 2, "{role}");
        assert!(broken.stderr().contains("policy.yaml:2:10: `default`"), "{role}: {}", broken.stderr());
        let mut missing = Launch::new(role).config(checks).args(&["--policy", "nowhere.yaml"]).args(more).start();
        assert_eq!(missing.ended(SOON).await, 2, "{role}");
        assert!(missing.stderr().contains("nowhere.yaml: cannot be read"), "{role}: {}", missing.stderr());
    }
}

/// The key of the configuration, the environment, and the flag, each above the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flag_outranks_the_environment_and_that_the_file() {
    let server = HttpFixture::start("target").await.unwrap();
    let config =
        format!("policy: denies.yaml\nchecks:\n- {{id: c, http: {{url: 'http://{}/ok'}}}}\n", server.address());
    let launch = || {
        let launch = Launch::new("check").args(&["-o", "ndjson"]).config(&config);
        launch.file("denies.yaml", DENIES).file("allows.yaml", ALLOWS)
    };
    for (launch, code) in [
        (launch(), 1),
        (launch().env("WATCHPOST_POLICY", "allows.yaml"), 0),
        (launch().env("WATCHPOST_POLICY", "allows.yaml").args(&["--policy", "denies.yaml"]), 1),
        (launch().env("WATCHPOST_POLICY", "denies.yaml").args(&["--policy", "allows.yaml"]), 0),
    ] {
        let mut check = launch.start();
        assert_eq!(check.ended(SOON).await, code, "{}", check.stderr());
    }
}
