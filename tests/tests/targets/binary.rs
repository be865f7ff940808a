//! Checks of many targets through the binary: what their results say, whatever becomes of the source.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use watchpost_model::{SourceState, TaskResult};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::kubernetes_api::{KubernetesApi, slice};
use watchpost_tests::process::{Launch, SOON, Watchpost, until};
use watchpost_tests::tcp_fixture::Server;

/// An outcome with its reason's code, `pass` or `error/connect_refused`.
fn told(result: &TaskResult) -> String {
    match &result.reason {
        None => result.outcome.to_string(),
        Some(reason) => format!("{}/{}", result.outcome, reason.code),
    }
}

fn message(result: &TaskResult) -> &str {
    result.reason.as_ref().map_or("", |reason| &reason.message)
}

async fn check(launch: Launch, code: i32) -> (Vec<TaskResult>, Watchpost) {
    let mut check = launch.args(&["-o", "ndjson"]).start();
    assert_eq!(check.ended(SOON).await, code, "{}", check.stderr());
    (check.results(), check)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_target_has_its_own_result_with_its_labels() {
    let server = HttpFixture::start("one").await.unwrap();
    let address = server.address();
    let targets = format!(
        r#"[{{"targets": ["{address}", "127.0.0.1:9", "no address"], "labels": {{"env": "prod", "path": "ok"}}}},
            {{"targets": ["{address}", "{address}"], "labels": {{"env": "t&st", "path": "ec/ho"}}}},
            {{"targets": ["{address}"], "labels": {{"env": "x\r\nX-Evil: 1"}}}}]"#
    );
    let config = r#"
checks:
- id: many
  targets: {file: {files: ["t.*"]}}
  http:
    url: http://{{target.address}}/{{target.labels.path | default("echo") | raw}}?env={{target.labels.env}}
    headers: {X-Env: "{{target.labels.env}}"}
  expect: {header: {x-instance: {equals: "one"}}, status: ["2xx", 404]}
"#;
    let (results, _check) = check(Launch::new("check").config(config).file("t.json", &targets), 1).await;
    let mut seen: Vec<(String, String, String)> = results
        .iter()
        .map(|result| (told(result), result.target.name.clone(), result.target.labels.get("env").unwrap().to_owned()))
        .collect();
    seen.sort();
    let expected = [
        ("error/connect_refused", "http://127.0.0.1:9/ok?env=prod".to_owned(), "prod"),
        // Nothing could be filled in.
        ("error/invalid_target", template(config), "prod"),
        ("error/invalid_target", template(config), "x\r\nX-Evil: 1"),
        ("pass", format!("http://{address}/ec/ho?env=t%26st"), "t&st"),
        ("pass", format!("http://{address}/ok?env=prod"), "prod"),
    ];
    let expected = expected.map(|(told, name, env)| (told.to_owned(), name, env.to_owned()));
    assert_eq!(seen, expected);
    for result in &results {
        assert!(result.target.labels.get("__meta_filepath").unwrap().ends_with("t.json"), "{result:?}");
        assert!(result.target.source.is_none(), "{result:?}");
    }
    let names: Vec<&str> = results.iter().map(|result| result.target.endpoint.as_str()).collect();
    let same: Vec<_> = names.iter().filter(|name| name.starts_with(&format!("{address}#"))).collect();
    assert!(same.len() == 3 && same[0] != same[1] && same[1] != same[2], "{names:?}");
    assert!(names.contains(&"no address") && names.contains(&"127.0.0.1:9"), "{names:?}");
    let evil = results.iter().find(|result| message(result).contains("control characters")).unwrap();
    assert!(message(evil).starts_with("`http.url` cannot be filled in with env="), "{}", message(evil));
}

fn template(config: &str) -> String {
    config.lines().find_map(|line| line.trim().strip_prefix("url: ")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_without_targets_is_an_outcome_that_says_why() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent =
        Server::start(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            |mut stream| async move { while stream.read_u8().await.is_ok() {} },
        );
    let silent = silent.await.unwrap();
    let mut config = String::from("checks:\n");
    for (id, source) in [
        ("empty", "file: {files: [empty.json]}".to_owned()),
        ("broken", "file: {files: [broken.yaml]}".to_owned()),
        ("none", "file: {files: ['nothing*.json']}".to_owned()),
        ("refused", format!("http: {{url: 'http://{closed}/sd'}}")),
        ("silent", format!("http: {{url: 'http://{}/sd'}}", silent.address())),
    ] {
        config += &format!(
            "- {{id: {id}, targets: {{{source}}}, tcp: {{address: '{{{{target.address}}}}'}}, timeout: 3s}}\n"
        );
    }
    let launch = Launch::new("check").config(&config).args(&["--timeout", "3s"]);
    let launch = launch.file("empty.json", "[]").file("broken.yaml", "- targets: ['a:1', 'b:\n");
    let (results, _check) = check(launch, 1).await;
    let seen: BTreeMap<&str, (String, &str)> =
        results.iter().map(|result| (result.check.as_str(), (told(result), message(result)))).collect();
    assert_eq!(results.len(), 5, "{results:#?}");
    for (id, outcome, part) in [
        ("empty", "error/no_endpoints", "the source file empty.json lists no target"),
        (
            "broken",
            "error/no_endpoints",
            "the source file broken.yaml gives no targets: the file broken.yaml is no list",
        ),
        ("none", "error/no_endpoints", "the source file nothing*.json lists no target"),
        ("refused", "error/no_endpoints", "gives no targets: "),
        ("silent", "timeout/no_endpoints", "has not answered within"),
    ] {
        let (told, message) = &seen[id];
        assert!(told == outcome && message.contains(part), "{id}: {told} {message}");
    }
}

fn up(config: &str) -> Launch {
    Launch::new("up").config(config).args(&["--console", "127.0.0.1:0", "-o", "ndjson"])
}

/// The results of `check` that came after `seen` results were there.
fn new_results(up: &Watchpost, seen: usize) -> Vec<TaskResult> {
    up.results().split_off(seen)
}

async fn until_result(up: &Watchpost, what: &str, wanted: impl Fn(&TaskResult) -> bool) -> TaskResult {
    let seen = up.results().len();
    until(what, SOON, || new_results(up, seen).into_iter().find(&wanted)).await
}

fn write(up: &Watchpost, name: &str, text: &str) {
    let (new, file) = (up.folder().join("new"), up.folder().join(name));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn list(addresses: &[SocketAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    serde_json::json!([{ "targets": all, "labels": { "env": "prod" } }]).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_come_and_go_while_checks_run_and_a_broken_file_keeps_the_last_good_ones() {
    let (one, two) = (HttpFixture::start("one").await.unwrap(), HttpFixture::start("two").await.unwrap());
    let config = r#"
checks:
- id: web
  targets: {file: {files: [t.json]}, refresh: 1s}
  http: {url: "http://{{target.address}}/ok"}
  interval: 1s
- id: same
  targets: {file: {files: [t.json]}, refresh: 1s}
  tcp: {address: "{{target.address}}"}
  interval: 1s
"#;
    let mut up = up(config).file("t.json", &list(&[one.address()])).start_ready().await;
    let at = |address: SocketAddr| {
        move |result: &TaskResult| result.check.as_str() == "web" && result.target.address == Some(address)
    };
    let first = until_result(&up, "a result", at(one.address())).await;
    assert_eq!((told(&first).as_str(), first.target.labels.get("env")), ("pass", Some("prod")));
    write(&up, "t.json", &list(&[one.address(), two.address()]));
    until_result(&up, "a result of the second", at(two.address())).await;
    let changed = up.until_logged("targets changed").await;
    assert_eq!((&changed["targets"], &changed["source"]), (&2.into(), &"file t.json".into()));

    write(&up, "t.json", "[{\"targets\": [\"a");
    let degraded = |result: &TaskResult| result.target.source.is_some();
    let result = until_result(&up, "a result that says degraded", degraded).await;
    let source = result.target.source.as_ref().unwrap();
    assert_eq!(
        (source.state, source.name.as_str(), told(&result).as_str()),
        (SourceState::Degraded, "file t.json", "pass")
    );
    assert!(source.reason.message.contains("t.json is no list of targets: EOF"), "{source:?}");
    let again = until_result(&up, "the same since the same time", degraded).await;
    assert_eq!(again.target.source.as_ref().unwrap().since, source.since);
    assert_eq!(up.health().await["checker"]["sources_degraded"], 1);
    assert_eq!(up.health().await["checker"]["sources"], 1, "both checks have the same source");

    write(&up, "t.json", "[]");
    let empty = until_result(&up, "an empty list", |result| told(result) == "error/no_endpoints").await;
    assert_eq!(message(&empty), "the source file t.json lists no target");
    write(&up, "t.json", &list(&[two.address()]));
    until_result(&up, "the second again", at(two.address())).await;
    until_result(&up, "the second alone", at(two.address())).await;
    let seen = up.results().len();
    until("further results", SOON, || (new_results(&up, seen).len() >= 4).then_some(())).await;
    assert!(new_results(&up, seen).iter().all(|result| result.target.address == Some(two.address())));
    assert_eq!(up.health().await["checker"]["sources_degraded"], 0);
    let warned: Vec<_> = up.log().into_iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(warned.len(), 1, "each change is told once: {warned:#?}");
    up.until_logged("a source gives its targets again").await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_confirmed_for_too_long_is_not_used_any_more() {
    let server = HttpFixture::start("one").await.unwrap();
    let config = r#"
checks:
- id: web
  targets: {file: {files: [t.json]}, refresh: 1s, keep_for: 3s}
  tcp: {address: "{{target.address}}"}
  interval: 1s
"#;
    let mut up = up(config).file("t.json", &list(&[server.address()])).start_ready().await;
    until_result(&up, "a result", |result| told(result) == "pass").await;
    write(&up, "t.json", "nonsense");
    until_result(&up, "a kept target", |result| result.target.source.is_some()).await;
    let gone = until_result(&up, "the end of keeping", |result| told(result) == "error/no_endpoints").await;
    assert!(message(&gone).contains("gives no targets, and the last are older than 3s: the file t.json"), "{gone:?}");
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_tells_its_changes_and_one_verdict_is_over_all_of_its_endpoints() {
    let server = Server::start_everywhere(|_stream| async {}).await.unwrap();
    let port = server.address().port();
    let api = KubernetesApi::start().await.unwrap();
    api.set(slice("web-1", "web", port, &["127.0.0.1", "127.0.0.2"]));
    let config = format!(
        r#"
checks:
- id: web
  targets: {{kubernetes: {{api: "http://{}", namespace: shop, service: web}}}}
  tcp: {{address: "{{{{target.address}}}}"}}
  verdict: {{percent: 50}}
  interval: 1s
"#,
        api.address()
    );
    let mut up = up(&config).start_ready().await;
    let first = until("a verdict", SOON, || up.verdicts().into_iter().next()).await;
    assert_eq!((first.total, first.needed, first.outcome.as_str()), (2, 1, "pass"));
    let mut three = slice("web-1", "web", port, &["127.0.0.1", "127.0.0.2"]);
    three["endpoints"].as_array_mut().unwrap().push(serde_json::json!({"addresses": ["127.0.0.3"], "nodeName": "n7"}));
    api.set(three);
    until("three endpoints", SOON, || up.verdicts().into_iter().find(|verdict| verdict.total == 3)).await;
    let node = "__meta_kubernetes_endpointslice_endpoint_node_name";
    until_result(&up, "its labels", |result| result.target.labels.get(node) == Some("n7")).await;
    api.set_down(true);
    api.end_watches();
    until_result(&up, "a degraded source", |result| result.target.source.is_some()).await;
    api.set_down(false);
    until_result(&up, "a fresh source", |result| result.target.source.is_none()).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_checks_ask_one_source_once() {
    let answer = r#"HTTP/1.1 200 OK
Content-Length: 29

[{"targets":["127.0.0.1:9"]}]"#
        .replace('\n', "\r\n");
    let server = Server::start(IpAddr::V4(Ipv4Addr::LOCALHOST), move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok() {
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.ok();
            }
        }
    });
    let server = server.await.unwrap();
    let mut config = String::from("checks:\n");
    for i in 0..50 {
        let source = format!("http: {{url: 'http://{}/sd'}}", server.address());
        config += &format!("- {{id: c{i}, targets: {{{source}}}, tcp: {{address: '{{{{target.address}}}}'}}}}\n");
    }
    let (results, _check) = check(Launch::new("check").config(&config), 1).await;
    assert_eq!(results.len(), 50);
    assert!(results.iter().all(|result| told(result) == "error/connect_refused"), "{results:#?}");
    assert_eq!(server.counts().accepted(), 1);
}
