//! The whole agent: whatever ends a check, its plugin ends with it.

use std::fs;

use watchpost_model::Outcome;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

use crate::rig::{Folder, members};

/// It goes on until it is killed, and so does what it starts.
const ENDLESS: &str = "trap '' TERM INT HUP; sleep 600 & while :; do sleep 600; done";

struct Rig {
    folder: Folder,
    command: String,
}

impl Rig {
    fn new() -> Self {
        let folder = Folder::new();
        let command = folder.script("endless", ENDLESS).display().to_string();
        Self { folder, command }
    }

    /// A policy that permits the plugins, and lets them note that they have begun.
    fn policy(&self) -> String {
        let folder = self.folder.path().display();
        format!("default: allow\nexec: {{directories: ['{folder}'], writable: ['{folder}']}}\n")
    }

    /// A command under that policy.
    fn launch(&self, command: &str) -> Launch {
        Launch::new(command).policy(&self.policy())
    }

    /// Checks that run the plugin every second, or more slowly.
    fn config(&self, ids: &[&str], times: &str) -> String {
        let mut yaml = "checks:\n".to_owned();
        for id in ids {
            yaml += &format!("- {{id: {id}, exec: {{command: '{}'}}, {times}}}\n", self.command);
        }
        yaml
    }

    async fn up(&self, config: &str) -> Watchpost {
        self.launch("up")
            .config(config)
            .args(&["--console", "off", "-o", "ndjson", "--grace", "1s"])
            .start_ready()
            .await
    }

    /// The processes of the plugins that have begun.
    async fn until_running(&self, count: usize) -> Vec<u32> {
        let pids = self.folder.until_noted("endless", count).await;
        until("they run", SOON, || (members(&pids).len() >= 2 * count).then_some(())).await;
        pids
    }

    async fn assert_gone(&self) {
        let pids = self.folder.noted("endless");
        until("the plugins are gone", SOON, || members(&pids).is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn guarantee_3_a_deadline_ends_the_plugin_and_the_agent_goes_on() {
    let rig = Rig::new();
    let mut watchpost = rig.up(&rig.config(&["a", "b"], "interval: 1s, timeout: 1s")).await;
    let timed_out = || watchpost.results().iter().filter(|result| result.outcome == Outcome::Timeout).count();
    until("several have timed out", SOON, || (timed_out() >= 4).then_some(())).await;
    let earlier = rig.folder.noted("endless");
    until("the earlier ones are gone", SOON, || members(&earlier).is_empty().then_some(())).await;
    assert_eq!(watchpost.stop().await, 0);
    rig.assert_gone().await;
}

#[tokio::test]
async fn guarantee_3_a_check_that_is_removed_takes_its_plugin_along() {
    let rig = Rig::new();
    let mut watchpost = rig.up(&rig.config(&["a"], "interval: 5s, timeout: 5s")).await;
    rig.until_running(1).await;
    fs::write(watchpost.folder().join(Launch::CONFIG), "checks: []\n").unwrap();
    watchpost.signal("HUP");
    let cancelled = || watchpost.results().into_iter().find(|result| result.outcome == Outcome::Cancelled);
    let result = until("the check is cancelled", SOON, cancelled).await;
    assert_eq!(result.reason.unwrap().code.as_str(), "check_changed");
    rig.assert_gone().await;
    assert!(watchpost.try_code().is_none(), "{}", watchpost.stderr());
    assert_eq!(watchpost.stop().await, 0);
}

#[tokio::test]
async fn guarantee_3_a_stop_ends_every_plugin() {
    let rig = Rig::new();
    let mut watchpost = rig.up(&rig.config(&["a", "b", "c"], "interval: 1s, timeout: 1s")).await;
    until("some run", SOON, || (rig.folder.noted("endless").len() >= 2).then_some(())).await;
    assert_eq!(watchpost.stop().await, 0);
    rig.assert_gone().await;
}

/// What is killed cannot kill: the system does, at least the plugins themselves.
#[tokio::test]
async fn an_agent_that_is_killed_takes_its_plugins_along() {
    let rig = Rig::new();
    let mut watchpost = rig.up(&rig.config(&["a", "b"], "interval: 5s, timeout: 5s")).await;
    let pids = rig.until_running(2).await;
    watchpost.signal("KILL");
    watchpost.ended(SOON).await;
    let alive = || pids.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap());
    until("the plugins are gone", SOON, || (!alive()).then_some(())).await;
    // What they had started is out of reach then. Nobody else will.
    for pid in pids {
        let group = format!("-{pid}");
        assert!(std::process::Command::new("kill").args(["-s", "KILL", "--", &group]).status().unwrap().success());
    }
    rig.assert_gone().await;
}

#[tokio::test]
async fn guarantee_3_an_interrupt_ends_a_check_of_the_command_line_with_its_plugin() {
    let rig = Rig::new();
    let target = format!("exec:{}", rig.command);
    let args = ["--timeout", "5m", "-o", "ndjson", &target, &target];
    let mut watchpost = rig.launch("check").args(&args).start();
    rig.until_running(2).await;
    watchpost.signal("INT");
    assert_eq!(watchpost.ended(SOON).await, 1);
    let outcomes: Vec<_> = watchpost.results().iter().map(|result| result.outcome).collect();
    assert_eq!(outcomes, [Outcome::Cancelled; 2]);
    rig.assert_gone().await;
}

#[tokio::test]
async fn guarantee_3_a_group_that_fails_fast_ends_the_plugins_of_the_others() {
    let rig = Rig::new();
    let begun = rig.folder.path().join("endless.pid");
    let failing = format!("until [ -s '{}' ]; do sleep 0.01; done; echo no; exit 2", begun.display());
    let failing = rig.folder.script("failing", &failing);
    let targets = [format!("exec:{}", rig.command), format!("exec:{}", failing.display())];
    let args = ["--timeout", "5m", "--fail-fast", "-o", "ndjson"];
    let mut watchpost = rig.launch("check").args(&args).args(&targets.each_ref().map(String::as_str)).start();
    assert_eq!(watchpost.ended(SOON).await, 1);
    let mut codes: Vec<_> = watchpost.results().into_iter().map(|r| r.reason.unwrap().code.to_string()).collect();
    codes.sort();
    assert_eq!(codes, ["group_failed", "plugin_critical"]);
    rig.assert_gone().await;
}
