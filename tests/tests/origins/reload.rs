//! Checks that change while they run: one timer each, whatever was replaced; a bad file changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use watchpost_model::TaskResult;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

const CHECKS: usize = 10;
const RELOADS: usize = 100;

fn config(server: &HttpFixture, generation: usize) -> String {
    let mut yaml = String::from("bastion: b1\nchecks:\n");
    for i in 0..CHECKS {
        let url = format!("http://{}/ok", server.address());
        yaml += &format!("- id: c{i}\n  http: {{url: '{url}', headers: {{X-Generation: 'g{generation}'}}}}\n");
        yaml += "  interval: 1s\n  timeout: 1s\n";
    }
    yaml
}

async fn start(server: &HttpFixture) -> Watchpost {
    let args = ["--console", "off", "-o", "ndjson"];
    Launch::new("up").config(&config(server, 0)).args(&args).start_ready().await
}

fn write(up: &Watchpost, yaml: &str) {
    // Moved into place, as editors do it: the file is never seen half written.
    let (new, file) = (up.folder().join("new"), up.folder().join(Launch::CONFIG));
    std::fs::write(&new, yaml).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn of_generation(up: &Watchpost, generation: u64) -> Vec<TaskResult> {
    up.results().into_iter().filter(|result| result.config_generation == generation).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_check_that_is_replaced_a_hundred_times_keeps_one_timer() {
    let server = HttpFixture::start("target").await.unwrap();
    let mut up = start(&server).await;
    for number in 1..=RELOADS {
        write(&up, &config(&server, number));
        up.signal("HUP");
        // The file is looked at as well: what is seen twice is no change the second time.
        let changes = || {
            let replaced = |line: &serde_json::Value| line["changed"].as_str().unwrap().contains("10 replaced");
            up.logged("checks reloaded").into_iter().filter(replaced).count()
        };
        until("the reload", SOON, || (changes() >= number).then_some(())).await;
    }
    // The first file is one as well.
    let last = |result: &TaskResult| result.config_generation == RELOADS as u64 + 1;
    let enough = || up.results().iter().filter(|result| last(result)).count() >= CHECKS * 5;
    until("five rounds of the last checks", SOON, || enough().then_some(())).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());

    let results = up.results();
    let slots: HashSet<_> = results.iter().map(|result| (result.check.clone(), result.scheduled_at)).collect();
    assert_eq!(slots.len(), results.len(), "a slot was fired twice");
    let mut by_check = BTreeMap::<String, BTreeSet<i64>>::new();
    for result in results.iter().filter(|result| last(result)) {
        by_check.entry(result.check.to_string()).or_default().insert(result.scheduled_at.as_microsecond());
    }
    assert_eq!(by_check.len(), CHECKS);
    for (check, slots) in by_check {
        let steps: Vec<i64> = slots.iter().zip(slots.iter().skip(1)).map(|(a, b)| b - a).collect();
        assert!(steps.iter().all(|step| *step == 1_000_000), "check {check}: {steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_an_error_changes_nothing_and_says_where_it_is() {
    let server = HttpFixture::start("target").await.unwrap();
    let mut up = start(&server).await;
    until("results", SOON, || (of_generation(&up, 1).len() >= CHECKS).then_some(())).await;
    // Nobody sends a signal: the change of the file is enough.
    write(&up, &config(&server, 1).replacen("interval: 1s", "intervall: 1s", 1));
    let refused = |up: &Watchpost| {
        let messages: Vec<String> = up.log().iter().filter_map(|l| l["message"].as_str().map(str::to_owned)).collect();
        messages.into_iter().find(|message| message.starts_with("checks not reloaded"))
    };
    let told = until("the error", SOON, || refused(&up)).await;
    assert!(told.contains("watchpost.yaml:5:3: ") && told.contains("intervall"), "{told}");
    let seen = of_generation(&up, 1).len();
    until("results as before", SOON, || (of_generation(&up, 1).len() >= seen + 2 * CHECKS).then_some(())).await;
    assert!(up.logged("checks reloaded").is_empty());

    write(&up, &config(&server, 2));
    let reloaded = up.until_logged("checks reloaded").await;
    assert!(reloaded["changed"].as_str().unwrap().starts_with("0 added, 10 replaced, 0 removed"), "{reloaded}");
    until("results of the new checks", SOON, || (of_generation(&up, 2).len() >= CHECKS).then_some(())).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
}
