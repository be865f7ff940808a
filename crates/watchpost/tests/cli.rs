//! What people read: help, rows and errors, as the built binary prints them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the binary in an environment that holds nothing of this one's settings.
fn watchpost(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_watchpost"))
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of its own for each test, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let file = std::env::temp_dir().join(format!("watchpost-cli-{}-{name}.yaml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// A port that refuses connections: it was free a moment ago.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn help_reads_well() {
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help_check", &["check", "--help"]),
        ("help_up", &["up", "--help"]),
        ("help_bastion", &["bastion", "--help"]),
        ("help_config", &["config", "--help"]),
        ("help_config_import", &["config", "import", "--help"]),
        ("help_checks", &["checks", "--help"]),
        ("help_checks_apply", &["checks", "apply", "--help"]),
        ("help_checks_test", &["checks", "test", "-h"]),
        ("help_bastions", &["bastions", "-h"]),
        ("help_results_query", &["results", "query", "-h"]),
        ("help_events_tail", &["events", "tail", "-h"]),
        ("help_bus_setup", &["bus", "setup", "-h"]),
        ("help_context_add", &["context", "add", "-h"]),
        ("help_policy", &["policy", "--help"]),
        ("help_policy_test", &["policy", "test", "--help"]),
    ] {
        let ran = watchpost(args);
        assert_eq!(ran.code, Some(0));
        insta::assert_snapshot!(name, ran.stdout);
    }
}

#[test]
fn config_errors_say_where_what_and_what_was_expected() {
    for (name, text) in [
        ("typo", "checks:\n  - id: web\n    http: {url: 'http://a/'}\n    intervall: 5s\n"),
        ("wrong_type", "checks:\n  - id: web\n    http: {url: 'http://a/', max_redirects: many}\n"),
        ("out_of_range", "checks:\n  - id: web\n    http: {url: 'http://a/'}\n    interval: 25h\n"),
        ("duplicate_id", "checks:\n  - {id: web, tcp: {address: 'a:1'}}\n  - {id: web, tcp: {address: 'a:2'}}\n"),
        ("missing_variable", "checks:\n  - id: web\n    tcp:\n      address: ${NOWHERE_SET}:1\n"),
        ("no_type", "checks:\n  - id: web\n    interval: 5s\n"),
        ("syntax", "checks: [\n"),
        ("unknown_member", "checks:\n  - {id: db, tcp: {address: 'a:1'}}\n  - id: shop\n    group: {checks: [dbb]}\n"),
        (
            "circle",
            "checks:\n  - id: shop\n    group: {checks: [payments]}\n  - id: payments\n    group:\n      checks: [shop]\n",
        ),
        ("empty_group", "checks:\n  - id: shop\n    group: {checks: []}\n"),
        (
            "fail_fast",
            "checks:\n  - id: db\n    tcp: {address: 'a:1'}\n    policy: fail_fast\n    verdict: {quorum: 2}\n",
        ),
        (
            "quorum",
            "checks:\n  - id: db\n    tcp: {address: 'a:1'}\n    addresses: [10.0.0.1]\n    verdict: {quorum: 2}\n",
        ),
        ("rule", "checks:\n  - id: db\n    tcp: {address: 'a:1'}\n    verdict: most\n"),
        ("group_expects", "checks:\n  - id: shop\n    group: {checks: [db]}\n    expect: {max_latency: 1s}\n"),
        ("per_check", "pools:\n  http:\n    size: 8\n    per_check: 9\n"),
    ] {
        let file = Scratch::new(name, text);
        let ran = watchpost(&["config", "validate", file.path()]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        insta::assert_snapshot!(format!("config_{name}"), ran.stderr.replace(file.path(), "checks.yaml"));
    }
}

#[test]
fn the_examples_are_valid() {
    for (name, checks) in [("first.yaml", 3), ("groups.yaml", 5), ("targets.yaml", 4)] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples").join(name);
        let ran = watchpost(&["config", "validate", example.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.ends_with(&format!("valid, {checks} checks\n")), "{}", ran.stdout);
    }
}

#[test]
fn the_example_policy_is_valid_and_so_is_what_is_shown_of_it() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/policy.yaml");
    let example = example.to_str().unwrap();
    let ran = watchpost(&["policy", "validate", example]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains(": valid, 5 rules, sha256 "), "{}", ran.stdout);
    for args in
        [&["policy", "show", "--policy", example][..], &["policy", "show"], &["policy", "show", "--built-in", "local"]]
    {
        let shown = watchpost(args);
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        let again = Scratch::new(&format!("shown-{}", args.len()), &shown.stdout);
        assert_eq!(watchpost(&["policy", "validate", again.path()]).code, Some(0), "{}", shown.stdout);
        let json = watchpost(&[args, &["-o", "json"]].concat());
        let written: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(written["special"]["metadata"], "deny");
    }
}

#[test]
fn a_policy_explains_what_it_decides() {
    let policy = Scratch::new(
        "policy",
        "special: {loopback: allow}\nnat64: ['2001:db8:64::/96']\nrules:\n\
         - {name: no-payroll, deny: {networks: [10.9.0.0/16]}}\n\
         - {name: web, allow: {types: [http], networks: [10.0.0.0/8, '2001:db8:64::/96'], ports: [80, 8000-8999], methods: [GET]}}\n",
    );
    let test = |args: &[&str]| watchpost(&[&["policy", "test", "--policy", policy.path()], args].concat());
    let ran = test(&[
        "http://10.1.1.1/",
        "http://0x0a090101:8080/",
        "http://[2001:db8:64::10.9.1.1]/",
        "http://127.0.0.1/",
        "tcp://169.254.169.254:80",
        "exec:/bin/true",
        "unix:///run/docker.sock",
    ]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!("policy_test", ran.stdout.replace(policy.path(), "policy.yaml"));

    let ran = test(&["http://10.1.1.1/", "http://10.2.2.2:8500/", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let answers: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answers[1]["permitted"], true);
    let judged = &answers[1]["steps"][0]["visit"]["addresses"][0]["judged"][0];
    assert_eq!((&judged["rule"], &judged["effect"]), (&"web".into(), &"allow".into()), "{}", ran.stdout);

    let checks = Scratch::new(
        "policy-checks",
        "checks:\n- {id: proxied, http: {url: 'http://10.1.1.1/', proxy: 'http://10.9.0.1:3128', method: POST}}\n\
         - id: flow\n  steps: [{http: {url: 'http://10.1.1.1/'}}, {http: {url: 'http://10.9.1.1/'}}]\n\
         - {id: listed, http: {url: 'http://10.1.1.1/'}, addresses: [10.1.1.2, 10.9.1.2]}\n\
         - {id: certified, http: {url: 'https://10.1.1.1:8443/', tls: {ca_file: /etc/ca.pem}}}\n\
         - {id: all, group: {checks: [proxied, flow]}}\n",
    );
    let ran = test(&["-c", checks.path()]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!("policy_test_file", ran.stdout.replace(policy.path(), "policy.yaml"));

    let wrong = test(&["gopher://x"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stdout);
}

#[test]
fn each_target_has_its_row_whatever_is_wrong_with_it() {
    let refused = format!("tcp://127.0.0.1:{}", closed_port());
    let ran = watchpost(&["check", &refused, "example.com", "gopher://x", "--timeout", "2s"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.stdout);
    for told in ["connect_refused", "expected for example https://example.com", "no check for `gopher://`"] {
        assert!(ran.stdout.contains(told), "{}", ran.stdout);
    }
    assert!(ran.stderr.contains("3 error in"), "{}", ran.stderr);
}

#[test]
fn json_is_one_array_and_ndjson_one_object_a_line() {
    let refused = format!("tcp://127.0.0.1:{}", closed_port());
    let array = watchpost(&["check", &refused, "nonsense", "-o", "json"]);
    let results: Vec<serde_json::Value> = serde_json::from_str(&array.stdout).unwrap();
    assert_eq!(results.len(), 2);
    let lines = watchpost(&["check", &refused, "nonsense", "-o", "ndjson"]);
    for line in lines.stdout.lines() {
        let result: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(result["v"], 1);
    }
    assert_eq!(lines.stdout.lines().count(), 2);
    assert!(array.stderr.is_empty() && lines.stderr.is_empty(), "stderr is for people: {}", lines.stderr);
    assert_eq!(watchpost(&["check", "nonsense", "-o", "json", "--quiet"]).code, Some(1));
}

#[test]
fn fail_fast_cancels_what_is_still_running_and_names_the_cause() {
    // It accepts and never answers, so that it would run into the time-out.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}/", silent.local_addr().unwrap());
    let refused = format!("tcp://127.0.0.1:{}", closed_port());
    let begun = std::time::Instant::now();
    let ran = watchpost(&["check", &hangs, &refused, "--fail-fast", "--timeout", "60s", "-o", "ndjson"]);
    assert!(begun.elapsed().as_secs() < 30, "it waited for the time-out");
    assert_eq!(ran.code, Some(1));
    let cancelled: serde_json::Value = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|r: &serde_json::Value| r["outcome"] == "cancelled")
        .unwrap();
    assert_eq!(cancelled["reason"]["code"], "group_failed");
    assert!(cancelled["reason"]["message"].as_str().unwrap().contains(&refused[6..]), "{cancelled}");
}

/// A name server that hears questions and never answers.
fn silent_name_server() -> std::net::UdpSocket {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn fail_fast_does_not_wait_for_a_name_that_nobody_resolves() {
    let name_server = silent_name_server();
    let refused = closed_port();
    let file = Scratch::new(
        "unresolved",
        &format!(
            "dns: {{nameservers: ['{}']}}\nchecks:\n\
             - {{id: waits, tcp: {{address: 'nowhere.example:1'}}, addresses: all, timeout: 60s}}\n\
             - {{id: fails, tcp: {{address: '127.0.0.1:{refused}'}}, timeout: 60s}}\n",
            name_server.local_addr().unwrap()
        ),
    );
    let begun = std::time::Instant::now();
    let ran = watchpost(&["check", "-c", file.path(), "--fail-fast", "--timeout", "60s", "-o", "ndjson"]);
    assert!(begun.elapsed().as_secs() < 30, "it waited for the name");
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("group_failed"), "{}", ran.stdout);
}

#[test]
fn o2_an_interrupt_ends_it_even_if_nobody_takes_its_output() {
    let refused = closed_port();
    let targets = Scratch::new("targets", &format!("tcp://127.0.0.1:{refused}\n").repeat(5_000));
    let mut child = Command::new(env!("CARGO_BIN_EXE_watchpost"))
        .args(["check", "--from", targets.path()])
        .env_clear()
        .stdin(Stdio::null())
        // A pipe that is full after some hundred rows, and that nobody reads.
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once it has printed something it listens for signals: what ends it is what is tested.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    let status = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let begun = std::time::Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed().as_secs() < 30, "it hangs");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(ended.code().is_some_and(|code| code != 0), "it ended by itself, and not well: {ended}");
    // Until here somebody held the pipe open and did not read.
    drop(stdout);
}

#[test]
fn nothing_to_check_or_no_bus_is_a_usage_error() {
    assert_eq!(watchpost(&["check"]).code, Some(2));
    assert_eq!(watchpost(&["up"]).code, Some(2));
    let runner = watchpost(&["runner"]);
    assert_eq!(runner.code, Some(2));
    assert!(runner.stderr.contains("expected --bus"), "{}", runner.stderr);
    assert_eq!(watchpost(&["check", "tcp://a:1", "--timeout", "6m"]).code, Some(2));
    assert_eq!(watchpost(&["check", "--from", "/nonexistent"]).code, Some(2));
    let empty = Scratch::new("empty", "checks: []\n");
    assert_eq!(watchpost(&["check", "-c", empty.path()]).code, Some(2), "nothing checked is no success");
    assert_eq!(watchpost(&["bastion", "--bus", "http://a"]).code, Some(2));
}

#[test]
fn what_the_commands_over_the_bus_want_is_said_before_anything_is_asked_of_it() {
    let bus = format!("nats://127.0.0.1:{}", closed_port());
    let check = Scratch::new("apply", "id: a\ntcp: {address: 'a:1'}\n");
    let bad = Scratch::new("apply-bad", "id: a\ntcp: {address: 'a:1'}\n---\nid: b\ntcp: {adress: 'b:1'}\n");
    for (name, args) in [
        ("no_bus", &["checks", "list"][..]),
        ("no_check", &["checks", "apply", "-f", "/nonexistent", "--bus", &bus]),
        ("bad_check", &["checks", "apply", "-f", bad.path(), "-g", "eu", "--bus", &bus]),
        ("two_identities", &["checks", "list", "--bus", &bus, "--token", "t", "--user", "ann"]),
        ("half_a_certificate", &["checks", "list", "--bus", &bus, "--tls-cert", "/c.pem"]),
        ("bad_outcome", &["results", "query", "--outcome", "passed", "--bus", &bus]),
        ("bad_size", &["bus", "setup", "--results-bytes", "1GB", "--bus", &bus]),
        ("no_context", &["context", "use", "nowhere"]),
        ("bad_context", &["context", "add", "a b", "--bus", &bus]),
    ] {
        let ran = watchpost(args);
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{name}: {}", ran.stdout);
        insta::assert_snapshot!(format!("bus_{name}"), ran.stderr.replace(bad.path(), "checks.yaml"));
    }
    let unreachable = watchpost(&["checks", "apply", "-f", check.path(), "-g", "eu", "--bus", &bus]);
    assert_eq!(unreachable.code, Some(4), "{}", unreachable.stderr);
    assert!(unreachable.stderr.contains("refused"), "{}", unreachable.stderr);
}

#[test]
fn a_bus_that_refuses_is_told_without_its_password() {
    let bus = format!("nats://ann:s3cret@127.0.0.1:{}", closed_port());
    let ran = watchpost(&["bastion", "--bus", &bus]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.stderr.contains("refused") && !ran.stderr.contains("s3cret"), "{}", ran.stderr);
}

#[test]
fn the_schema_and_the_completions_are_printed() {
    let schema: serde_json::Value = serde_json::from_str(&watchpost(&["config", "schema"]).stdout).unwrap();
    assert!(schema["properties"]["checks"].is_object());
    let check = &schema["$defs"]["CheckDocument"]["properties"];
    for key in ["http", "tcp", "group", "policy", "verdict", "parallel", "overlap", "scheduled"] {
        assert!(check[key]["description"].is_string(), "{key}: {check}");
    }
    assert_eq!(schema["$defs"]["GroupSettings"]["properties"]["checks"]["uniqueItems"], true);
    assert!(watchpost(&["completions", "bash"]).stdout.contains("watchpost"));
    assert!(watchpost(&["man"]).stdout.contains(".TH"));
}

/// Answers each request on a port of its own with `status` and `body`, until the test ends.
fn http_server(status: &'static str, body: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            // A peer that is gone is that peer's affair.
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    address
}

/// The outcome of each check of a file, by its id.
fn outcomes(file: &str) -> std::collections::BTreeMap<String, String> {
    let ran = watchpost(&["check", "-c", file, "-o", "ndjson", "--timeout", "60s"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let line = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    ran.stdout.lines().map(line).map(|result| (text(&result["check"]), text(&result["outcome"]))).collect()
}

#[test]
fn what_is_imported_is_valid_and_checks_what_the_other_monitor_checked() {
    let up = http_server("200 OK", r#"{"status": "UP", "items": [{"id": 7}]}"#);
    let down = http_server("503 Service Unavailable", "{}");
    let closed = closed_port();
    let gatus = format!(
        "endpoints:\n\
         - {{name: up, url: 'http://{up}/', conditions: ['[STATUS] == 200', '[BODY].status == UP', '[BODY].items[0].id == 7', 'len([BODY].items) > 0']}}\n\
         - {{name: body, url: 'http://{up}/', conditions: ['[STATUS] == 200', '[BODY].status == DOWN']}}\n\
         - {{name: status, url: 'http://{down}/', conditions: ['[STATUS] < 300']}}\n\
         - {{name: any-status, url: 'http://{down}/', conditions: ['[RESPONSE_TIME] < 60000']}}\n\
         - {{name: port, url: 'tcp://{up}', conditions: ['[CONNECTED] == true']}}\n"
    );
    let modules = "modules:\n  ok: {prober: http, http: {fail_if_body_json_not_matches_cel: 'body.status == \"UP\"'}}\n  \
                   connect: {prober: tcp}\n";
    let rules = "relabel_configs: [{source_labels: [__address__], target_label: __param_target}, {source_labels: [__param_target], target_label: instance}]";
    let jobs = format!(
        "scrape_configs:\n\
         - {{job_name: web, metrics_path: /probe, params: {{module: [ok]}}, static_configs: [{{targets: ['http://{up}/a', 'http://{up}/b']}}], {rules}}}\n\
         - {{job_name: broken, metrics_path: /probe, params: {{module: [ok]}}, static_configs: [{{targets: ['http://{down}/']}}], {rules}}}\n\
         - {{job_name: db, metrics_path: /probe, params: {{module: [connect]}}, static_configs: [{{targets: ['127.0.0.1:{closed}']}}], {rules}}}\n"
    );
    let kuma = format!(
        r#"{{"monitorList": [
            {{"id": 1, "name": "up", "type": "keyword", "url": "http://{up}/", "keyword": "UP", "interval": 60}},
            {{"id": 2, "name": "not there", "type": "keyword", "url": "http://{up}/", "keyword": "absent", "interval": 60}},
            {{"id": 3, "name": "port", "type": "port", "hostname": "127.0.0.1", "port": {closed}, "interval": 60}}]}}"#
    );
    let gatus = Scratch::new("gatus", &gatus);
    let (modules, jobs) = (Scratch::new("modules", modules), Scratch::new("jobs", &jobs));
    let kuma = Scratch::new("kuma", &kuma);
    for (name, files, expected) in [
        (
            "from-gatus",
            &[gatus.path()][..],
            &[("any-status", "pass"), ("body", "fail"), ("port", "pass"), ("status", "fail"), ("up", "pass")][..],
        ),
        (
            "from-prometheus",
            &[modules.path(), jobs.path()],
            &[("broken_ok", "fail"), ("db_connect", "error"), ("web_ok", "pass")],
        ),
        ("from-kuma", &[kuma.path()], &[("not-there", "fail"), ("port", "error"), ("up", "pass")]),
    ] {
        let args: Vec<&str> = ["config", "import"].iter().chain(files).copied().collect();
        let imported = watchpost(&args);
        assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""), "{name}");
        let file = Scratch::new(name, &imported.stdout);
        let valid = watchpost(&["config", "validate", file.path()]);
        assert_eq!(valid.code, Some(0), "{name}: {}", valid.stderr);
        let expected = expected.iter().map(|(id, outcome)| ((*id).to_owned(), (*outcome).to_owned())).collect();
        assert_eq!(outcomes(file.path()), expected, "{name}: {}", imported.stdout);
    }
}

#[test]
fn an_import_says_what_it_left_and_what_it_could_not_read() {
    let gatus = Scratch::new(
        "left",
        "alerting: {slack: {}}\nendpoints:\n- {name: a, url: 'tcp://a:1', body: '${WORD}', conditions: []}\n\
         ui: {title: x}\n",
    );
    let yaml = watchpost(&["config", "import", gatus.path(), "--notes"]);
    assert_eq!(yaml.code, Some(1));
    assert!(yaml.stdout.starts_with("# not translated: ") && yaml.stdout.contains("send: ${WORD}"), "{}", yaml.stdout);
    insta::assert_snapshot!("import_notes", yaml.stderr.replace(gatus.path(), "gatus.yaml"));
    let json = watchpost(&["config", "import", gatus.path(), "-o", "json"]);
    let read: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(read["checks"][0]["id"], "a");
    assert!(json.stderr.contains("in JSON, `${NAME}` is not read"), "{}", json.stderr);

    let broken = Scratch::new("broken", "endpoints: [\n");
    let unclear = Scratch::new("unclear", "a: 1\n");
    for (args, told) in [
        (&["config", "import", broken.path()][..], "broken.yaml:"),
        (&["config", "import", unclear.path()], "it is not clear whose configuration this is"),
        (&["config", "import", gatus.path(), "--from", "uptime-kuma"], "this is not a configuration of uptime-kuma"),
        (&["config", "import", gatus.path(), "--from", "nagios"], "there is no format `nagios`"),
        (&["config", "import", "/nonexistent"], "/nonexistent: cannot be read"),
        (&["config", "import", gatus.path(), "-o", "json", "--notes"], "expected -o yaml"),
        (&["config", "import"], "FILE"),
    ] {
        let ran = watchpost(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
    }
}
