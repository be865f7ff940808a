//! Each role doing all of its work with what it is permitted.

use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::process::Watchpost;

use crate::rig::{Ran, Rig};

/// The lines of `-o ndjson`.
fn lines(ran: &Ran) -> Vec<serde_json::Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Nothing that was done was refused, as the processes and the server say; but for what a Runner by itself asks streams
/// to compare its clock with the server's, which it does without where it may not know of any.
fn all_was_permitted(rig: &Rig, processes: &[&Watchpost]) {
    let unexpected = |line: &&str| {
        (line.contains("forbid") || line.contains("does not let us")) && !line.contains("$JS.API.STREAM.INFO.")
    };
    for process in processes {
        let told = process.stderr();
        let told: Vec<_> = told.lines().filter(unexpected).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
    let violations = rig.violations();
    let of_runners = |line: &&String| {
        let is_runner = line.contains("watchpost runner ");
        is_runner && line.contains("$JS.API.STREAM.INFO.")
    };
    let others: Vec<_> = violations.iter().filter(|line| !of_runners(line)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// What an operator, a viewer and jobs do with a bastion that runs.
async fn the_whole_work(rig: &Rig, bastion: &str, target: &HttpFixture) {
    let web = format!("id: web\nhttp: {{url: 'http://{}/ok'}}\ninterval: 1s\n", target.address());
    let failing = format!("id: failing\nhttp: {{url: 'http://{}/status/500'}}\ninterval: 1s\n", target.address());
    rig.write("checks.yaml", &format!("{web}---\n{failing}---\nid: job\nheartbeat: {{every: 1h}}\n"));
    rig.run("ann", &["checks", "apply", "-f", "checks.yaml", "--group", bastion]).await.code(0);
    let status = rig.run("ann", &["checks", "status", "-o", "ndjson"]).await.code(0);
    assert_eq!(lines(&status).len(), 3, "{status:#?}");
    assert!(lines(&status).iter().all(|line| line["standing"] == "running"), "{status:#?}");

    // Results come by themselves, are kept, and are seen by somebody who only looks.
    for (check, outcome) in [("web", "pass"), ("failing", "fail")] {
        let query = ["results", "query", "--check", check, "-o", "ndjson"];
        let seen = rig.until("wall", &query, |ran| ran.code == 0 && !ran.stdout.is_empty()).await;
        assert_eq!(lines(&seen)[0]["outcome"], outcome, "{seen:#?}");
        assert_eq!(lines(&seen)[0]["bastion"], bastion, "{seen:#?}");
    }
    let listed = rig.run("wall", &["bastions", "list", "-o", "ndjson"]).await.code(0);
    assert!(lines(&listed).iter().any(|line| line["bastion"] == bastion && line["online"] == true), "{listed:#?}");
    rig.run("wall", &["bastions", "show", bastion]).await.code(0);
    rig.run("wall", &["checks", "list"]).await.code(0);
    rig.run("wall", &["checks", "status"]).await.code(0);

    // A test streams its reports; a document that nobody stored as well.
    let test = rig.run("ann", &["checks", "test", "web", "--bastion", bastion, "-o", "ndjson"]).await.code(0);
    assert!(lines(&test).iter().any(|line| line["outcome"] == "pass"), "{test:#?}");
    rig.write("adhoc.yaml", &format!("id: adhoc\nhttp: {{url: 'http://{}/name'}}\n", target.address()));
    rig.run("ann", &["checks", "test", "-f", "adhoc.yaml", "--bastion", bastion]).await.code(0);
    rig.run("ann", &["checks", "pause", "web", "--group", bastion]).await.code(0);
    rig.run("ann", &["checks", "resume", "web", "--group", bastion]).await.code(0);
    rig.run("ann", &["checks", "history", "web", "--bastion", bastion]).await.code(0);
    rig.run("ann", &["bastions", "drain", bastion]).await.code(0);
    rig.run("ann", &["bastions", "undrain", bastion]).await.code(0);
    rig.run("ann", &["checks", "delete", "failing", "--group", bastion, "--yes"]).await.code(0);
    rig.until("ann", &["checks", "list", "--bastion", bastion, "-o", "ndjson"], |ran| {
        ran.code == 0 && lines(ran).len() == 2
    })
    .await;
    let events = ["events", "tail", "--since", "1h", "-n", "1", "--bastion", bastion];
    assert!(rig.run("wall", &events).await.code(0).stdout.contains(bastion));
}

/// A job reports in, and is told that it was heard.
async fn a_job_reports_in(rig: &Rig, user: &str, bastion: &str) {
    let job = rig.client(user).await;
    let subject = format!("watchpost.{bastion}.beat.job");
    let answer = job.client.request(subject, "".into()).await.unwrap();
    let headers = answer.headers.unwrap_or_default();
    assert!(headers.get("Watchpost-Error").is_none(), "{}", String::from_utf8_lossy(&answer.payload));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bastion_an_operator_and_a_viewer_do_all_their_work() {
    let users = ["bastion:site-1,eu", "operator:ann", "viewer:wall", "jobs:site-1/site-1-jobs"];
    let rig = Rig::small(&users);
    let target = HttpFixture::start("target").await.unwrap();
    rig.run("ann", &["bus", "setup"]).await.code(0);
    let bastion = rig.start("bastion", "site-1", "bastion: site-1\ngroups: [eu]\nrunner: r1\n", &[]).await;
    the_whole_work(&rig, "site-1", &target).await;
    a_job_reports_in(&rig, "site-1-jobs", "site-1").await;

    // A check of another of its groups arrives by a consumer of its own.
    rig.write("eu.yaml", &format!("id: of-eu\nhttp: {{url: 'http://{}/ok'}}\n", target.address()));
    rig.run("ann", &["checks", "apply", "-f", "eu.yaml", "--group", "eu"]).await.code(0);
    all_was_permitted(&rig, &[&bastion]);

    // What the bastion may not do for others it says, and does not time out.
    let refused = rig.client("ann").await;
    let put = r#"{"v":1,"check":{"id":"x","http":{"url":"http://127.0.0.1/"}}}"#;
    let asked = refused.client.request("watchpost.site-1.control.check.put", put.into()).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&asked.payload).unwrap();
    assert_eq!(answer["code"], "not_allowed", "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_an_operators_account_do_all_their_work() {
    let rig = Rig::operator(&["bastion:site-1", "operator:ann", "viewer:wall", "jobs:site-1/site-1-jobs"]);
    let target = HttpFixture::start("target").await.unwrap();
    rig.run("ann", &["bus", "setup"]).await.code(0);
    let bastion = rig.start("bastion", "site-1", "bastion: site-1\nrunner: r1\n", &[]).await;
    the_whole_work(&rig, "site-1", &target).await;
    a_job_reports_in(&rig, "site-1-jobs", "site-1").await;
    all_was_permitted(&rig, &[&bastion]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checker_and_runners_apart_do_all_their_work() {
    let users = ["checker:site-2/site-2-checker", "runner:site-2/site-2-runner", "operator:ann", "viewer:wall"];
    let rig = Rig::small(&users);
    let target = HttpFixture::start("target").await.unwrap();
    rig.run("ann", &["bus", "setup"]).await.code(0);
    let runner = rig.start("runner", "site-2-runner", "bastion: site-2\nrunner: r1\n", &[]).await;
    let checker = rig.start("checker", "site-2-checker", "bastion: site-2\n", &[]).await;
    the_whole_work(&rig, "site-2", &target).await;
    // A second Runner takes over from the first, which asks the Checker to hold its tasks when it is told to rest.
    let second = rig.start("runner", "site-2-runner", "bastion: site-2\nrunner: r2\n", &[]).await;
    rig.run("ann", &["bastions", "drain", "site-2", "--runner", "r1"]).await.code(0);
    let by_second = |ran: &Ran| ran.code == 0 && lines(ran).iter().any(|line| line["runner"] == "r2");
    rig.until("wall", &["results", "query", "--check", "web", "-o", "ndjson", "-n", "1"], by_second).await;
    all_was_permitted(&rig, &[&checker, &runner, &second]);
}
