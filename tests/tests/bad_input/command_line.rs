//! Configurations and bus URLs that cannot work: exit code, place, key, and what was expected.

use std::time::{Duration, Instant};

use watchpost_tests::process::{Launch, SOON};

/// A configuration, and what must be told about it.
const CONFIGS: [(&str, &[&str]); 14] = [
    (
        "checks:\n- id: a\n  tcp: {address: 'a:1'}\n  intervall: 5s\n",
        &["watchpost.yaml:4:3: ", "intervall", "expected one of", "  intervall: 5s"],
    ),
    ("chekcs: []\n", &["watchpost.yaml:1:1: ", "chekcs", "checks"]),
    (
        "checks:\n- id: a\n  tcp: {address: 'a:1'}\n  interval: often\n",
        &["watchpost.yaml:4:13: ", "`checks[0].interval`", "`often` is not a duration"],
    ),
    ("checks:\n- id: a\n  http: [1]\n", &["watchpost.yaml:3:9: ", "`checks[0].http`", "expected"]),
    ("pools: {http: {size: many}}\n", &["watchpost.yaml:1:22: ", ".size`", "expected"]),
    ("pools: {http: {size: 0}}\n", &["watchpost.yaml:1:22: ", ".size`", "expected 1 to 10000"]),
    (
        "checks:\n- {id: a, tcp: {address: 'a:1'}}\n- {id: a, tcp: {address: 'a:2'}}\n",
        &["watchpost.yaml:3:8: ", "`checks[1].id`", "`a` is there already, in line 2", "must differ"],
    ),
    ("checks:\n- id: a\n  tcp: {address: ${WATCHPOST_NOT_SET}:1}\n", &["watchpost.yaml:3:", "WATCHPOST_NOT_SET"]),
    (
        "checks:\n- id: a\n  http: {url: 'ftp://a'}\n",
        &["watchpost.yaml:3:15: ", "`checks[0].http.url`", "expected `http`"],
    ),
    (
        "checks:\n- id: shop\n  group: {checks: [web]}\n- id: web\n  group: {checks: [shop]}\n",
        &["watchpost.yaml:5:20: ", "the group contains itself (shop → web → shop)", "without a circle"],
    ),
    (
        "checks:\n- {id: web, tcp: {address: 'a:1'}}\n- id: shop\n  group: {checks: [web, wep]}\n",
        &["watchpost.yaml:4:25: ", "names `wep`, which is not among the checks", "did you mean `web`?"],
    ),
    (
        "checks:\n- {id: a, tcp: {address: 'a:1'}}\n- id: b\n  group: {checks: [a]}\n  verdict: {quorum: 2}\n",
        &["watchpost.yaml:5:12: ", "`b`", "wants 2", "there are 1: it could never pass"],
    ),
    (
        "checks:\n- id: a\n  tcp: {address: 'a:1'}\n  addresses: [10.0.0.1, 10.0.0.2]\n  verdict: {quorum: 3}\n",
        &["watchpost.yaml:5:12: ", "`a`", "wants 3", "there are 2: it could never pass"],
    ),
    ("", &["watchpost.yaml: is empty: expected at least `checks:`"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_is_told_with_place_key_and_expectation() {
    let mut wrong = Vec::new();
    for (config, parts) in CONFIGS {
        let file = |command: &str| Launch::new(command).file(Launch::CONFIG, config);
        let validate = file("config").args(&["validate", Launch::CONFIG]);
        let up = Launch::new("up").config(config).args(&["--console", "off"]);
        let runner = Launch::new("runner").config(config).args(&["--bus", "nats://127.0.0.1:1"]);
        for launch in [validate, up, runner] {
            let mut watchpost = launch.start();
            assert_eq!(watchpost.ended(SOON).await, 2, "{config}: {}", watchpost.stderr());
            let told = watchpost.stderr();
            let lacking = parts.iter().filter(|part| !told.contains(**part));
            wrong.extend(lacking.map(|part| format!("{config}\n→ {told}\nlacks {part}")));
            assert_eq!(watchpost.stdout(), "");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_refuses_is_named_without_its_password() {
    for role in ["runner", "checker", "bastion"] {
        let begun = Instant::now();
        let mut watchpost = Launch::new(role).args(&["--bus", "nats://ann:s3cr3t@127.0.0.1:1"]).start();
        assert_eq!(watchpost.ended(SOON).await, 4, "{role}: {}", watchpost.stderr());
        assert!(begun.elapsed() < Duration::from_secs(15), "{role}: {:?}", begun.elapsed());
        let told = watchpost.stderr();
        assert!(told.contains("nats://127.0.0.1:1"), "{role}: {told}");
        assert!(!told.contains("s3cr3t"), "{role}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_url_that_is_none_is_told_without_its_password() {
    for url in ["http://ann:s3cr3t@127.0.0.1:1", "nats://ann:s3cr3t@", "nats://ann:s3cr3t@host:port"] {
        let mut watchpost = Launch::new("runner").env("WATCHPOST_BUS", url).start();
        let code = watchpost.ended(SOON).await;
        let told = watchpost.stderr();
        assert!(code == 2 || code == 4, "{url}: {code}: {told}");
        assert!(!told.contains("s3cr3t") && told.contains("expected") || told.contains("not the URL"), "{url}: {told}");
    }
}
