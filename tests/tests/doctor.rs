//! `watchpost doctor`: what a role can do on a machine and on a bus, found out by the built binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

use serde_json::Value;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON};

/// What the doctor said, and its exit code.
struct Said {
    code: i32,
    findings: Vec<Value>,
    stderr: String,
}

impl Said {
    /// The states and words of what was found out about something.
    fn about(&self, what: &str) -> Vec<(&str, &str)> {
        let about = self.findings.iter().filter(|finding| finding["what"] == what);
        about.map(|finding| (finding["state"].as_str().unwrap(), finding["found"].as_str().unwrap())).collect()
    }

    fn faults(&self) -> Vec<String> {
        let faults = self.findings.iter().filter(|finding| finding["state"] == "fault");
        faults
            .map(|fault| format!("{}: {}", fault["what"].as_str().unwrap(), fault["found"].as_str().unwrap()))
            .collect()
    }
}

async fn doctor(launch: Launch) -> Said {
    let mut watchpost = launch.args(&["-o", "json"]).start();
    let code = watchpost.ended(SOON).await;
    let stderr = watchpost.stderr();
    let findings: Vec<Value> = match code {
        0 | 1 => serde_json::from_str(&watchpost.stdout()).unwrap_or_else(|e| panic!("{e}: {stderr}")),
        _ => Vec::new(),
    };
    // Whatever is not as it should be says what to do.
    for finding in &findings {
        assert!(
            finding["state"] == "ok" || finding["advice"].as_str().is_some_and(|advice| !advice.is_empty()),
            "{finding}"
        );
    }
    Said { code, findings, stderr }
}

#[tokio::test]
async fn a_machine_is_looked_at_without_a_bus() {
    let said = doctor(Launch::new("doctor").config("state_dir: state\nchecks: []\n")).await;
    for what in
        ["user", "capabilities", "clock", "open files", "icmp over IPv4", "landlock", "state", "policy", "exec", "bus"]
    {
        assert_eq!(said.about(what).len(), 1, "{what}: {}", said.stderr);
    }
    assert_eq!(said.about("state"), [("ok", "state can be written")]);
    assert_eq!(said.about("exec"), [("ok", "no programs are run")]);
    // A Checker runs no checks.
    let checker = doctor(Launch::new("doctor").args(&["--role", "checker"])).await;
    assert_eq!((checker.about("icmp over IPv4"), checker.about("exec")), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn what_is_in_the_way_is_a_fault_and_the_exit_code_says_so() {
    // A directory below a file can be made by nobody, not even by root.
    let config = "state_dir: watchpost.yaml/state\n\
                  secrets: {names: {a: {file: secret}, b: {file: missing}, c: {environment: WATCHPOST_NO_SUCH}}}\n\
                  pools: {tcp: {size: 10000}, http: {size: 10000}, udp: {size: 10000}, tls: {size: 10000}, icmp: {size: 10000}, \
                  dns: {size: 10000}, grpc: {size: 10000}, ssh: {size: 10000}, smtp: {size: 10000}, imap: {size: 10000}, ntp: {size: 10000}}\n\
                  checks: []\n";
    let policy = "default: deny\nexec: {directories: [/nonexistent], user: no-such-user}\n";
    let launch = Launch::new("doctor").config(config).policy(policy).file("secret", "hunter2-hunter2");
    let said = doctor(launch).await;
    assert_eq!(said.code, 1);
    let faults = said.faults();
    for told in [
        "state: watchpost.yaml/state cannot be written",
        "secret b: missing",
        "secret c: the variable WATCHPOST_NO_SUCH",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(told)), "{told}: {faults:#?}");
    }
    assert_eq!(said.about("secret a"), [("ok", "secret can be read")]);
    assert!(!said.findings.iter().any(|finding| finding.to_string().contains("hunter2")));
    let exec: Vec<_> = faults.iter().filter(|fault| fault.starts_with("exec: ")).collect();
    assert!(
        exec.len() == 2 && exec[0].contains("no user `no-such-user`") && exec[1].contains("/nonexistent"),
        "{exec:?}"
    );
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told_as_everywhere() {
    let said = doctor(Launch::new("doctor").config("bastoin: a\n")).await;
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean `bastion`"), "{}", said.stderr);
}

#[tokio::test]
async fn a_bus_that_is_not_there_is_a_fault() {
    let said = doctor(Launch::new("doctor").args(&["--bus", "nats://127.0.0.1:1"])).await;
    assert_eq!(said.code, 1);
    assert!(
        said.about("bus").iter().any(|(state, found)| *state == "fault" && found.contains("127.0.0.1:1")),
        "{:?}",
        said.findings
    );
}

/// A Runner's permissions, as `deploy/nats` has them, and no others.
const RUNNER: &str = r#"
jetstream: {store_dir: "jetstream"}
authorization: {users: [
  {user: all, password: all}
  {user: runner, password: runner, permissions: {
    publish: {allow: ["watchpost.b1.result.*", "watchpost.b1.heartbeat", "_INBOX.>"]}
    subscribe: {allow: ["watchpost.b1.task.* runners", "watchpost.b1.control.task.cancel", "_INBOX.>"]}
  }}
]}
"#;

#[tokio::test]
async fn each_permission_that_the_role_lacks_is_named_and_nothing_is_left_on_the_bus() {
    let nats = NatsServer::start_with_config(RUNNER, &[]);
    let by = |user: &str| format!("nats://{user}:{user}@{}", nats.address());
    let launch = |command: &str, user: &str| Launch::new(command).args(&["--bus", &by(user)]);
    let mut setup = launch("bus", "all").args(&["setup"]).start();
    assert_eq!(setup.ended(SOON).await, 0, "{}", setup.stderr());

    let doctor_of = |role: &str, user: &str| doctor(launch("doctor", user).args(&["--role", role, "--bastion", "b1"]));
    let is_of_bus = |fault: &String| fault.starts_with("may ") || fault.starts_with("store of checks");
    let faults = |said: &Said| said.faults().into_iter().filter(is_of_bus).collect::<Vec<_>>();
    for role in ["bastion", "checker", "runner"] {
        let all = doctor_of(role, "all").await;
        assert_eq!(faults(&all), Vec::<String>::new(), "{role}");
        assert!(all.about("may publish").len() >= 2 && all.about("may subscribe").len() >= 2, "{role}");
    }
    let runner = doctor_of("runner", "runner").await;
    assert_eq!(faults(&runner), Vec::<String>::new());
    let bastion = doctor_of("bastion", "runner").await;
    assert_eq!(bastion.code, 1);
    let denied = faults(&bastion);
    for told in [
        "may subscribe: not to watchpost.b1.result.*",
        "may subscribe: not to watchpost.b1.control.>",
        "may publish: not to watchpost.b1.event.watchpost-doctor",
        "may publish: not to watchpost.b1.verdict.watchpost-doctor",
        "may publish: not to watchpost.b1.task.watchpost-doctor",
    ] {
        assert!(denied.iter().any(|fault| fault == told), "{told}: {denied:#?}");
    }
    assert!(denied.len() == 6 && denied[5].starts_with("store of checks: "), "{denied:#?}");

    // The streams take results, events and heartbeats, and took none of these.
    let mut show = launch("bus", "all").args(&["setup", "-o", "json"]).start();
    assert_eq!(show.ended(SOON).await, 0, "{}", show.stderr());
    let shown = show.stdout();
    assert_eq!(shown.matches("holds 0 messages").count(), 3, "{shown}");
}
