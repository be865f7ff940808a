//! Results and events, of the past and as they come.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_told_where_somebody_keeps_it() {
    let rig = Rig::new().await;
    rig.run(&["results", "query"]).await.code(2).tells("there is no stream `WATCHPOST_RESULTS`");
    rig.run(&["checks", "history", "web"]).await.code(2).tells("`watchpost bus setup` makes it");
    rig.run(&["events", "tail", "--since", "1h"]).await.code(2).tells("there is no stream `WATCHPOST_EVENTS`");
    rig.run(&["bus", "setup"]).await.code(0);
    let empty = rig.run(&["results", "query", "-o", "json"]).await.code(0);
    assert_eq!(empty.stdout, "[]\n");

    let _b1 = rig.bastion("b1").await;
    let often = "interval: 1s\ntimeout: 1s";
    rig.write("checks.yaml", &(rig.http("good", "ok", often) + &rig.http("bad", "status/503", often)));
    rig.run(&["checks", "apply", "-f", "checks.yaml", "-g", "b1"]).await.code(0);

    // While there are no more than three, three are waited for.
    let three = ["checks", "history", "good", "-o", "ndjson", "-n", "3"];
    let history = rig.until(&three, |ran| Some(ran.lines()).filter(|lines| lines.len() == 3)).await;
    assert!(history.iter().all(|result| result["check"] == "good" && result["outcome"] == "pass"), "{history:?}");
    let at = |i: usize| history[i]["scheduled_at"].as_str().unwrap().to_owned();
    assert!(at(0) < at(1) && at(1) < at(2), "the oldest first: {history:?}");

    let failed = ["results", "query", "--outcome", "fail,error", "-o", "ndjson", "--since", "1h", "-b", "b1"];
    let failed = rig.until(&failed, |ran| Some(ran.lines()).filter(|lines| !lines.is_empty())).await;
    assert!(failed.iter().all(|result| result["check"] == "bad"), "{failed:?}");
    let rows = rig.run(&["results", "query", "-n", "2", "-c", "bad"]).await.code(0);
    assert!(rows.stdout.lines().count() == 2 && rows.stdout.contains("b1/bad"), "{rows:?}");
    let nobody = rig.run(&["results", "query", "-b", "b9", "-o", "ndjson"]).await.code(0);
    assert!(nobody.stdout.is_empty());

    let events = rig.run(&["events", "tail", "--since", "1h", "-n", "2", "-o", "ndjson"]).await.code(0).lines();
    assert!(events.iter().all(|event| event["kind"] == "check_applied" && event["bastion"] == "b1"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_begins_with_the_past_and_tells_nothing_twice() {
    let rig = Rig::set_up().await;
    let _b1 = rig.bastion("b1").await;
    rig.write("checks.yaml", &rig.http("web", "ok", "interval: 1s\ntimeout: 1s"));
    rig.run(&["checks", "apply", "-f", "checks.yaml", "-g", "b1"]).await.code(0);
    let two = ["checks", "history", "web", "-o", "ndjson"];
    let past = rig.until(&two, |ran| Some(ran.lines().len()).filter(|n| *n >= 2)).await;
    // So many that some of them are still to come.
    let wanted = (past + 3).to_string();
    let tail = rig.run(&["results", "tail", "--since", "1h", "-n", &wanted, "-o", "ndjson", "-c", "web"]).await.code(0);
    let tasks: Vec<_> = tail.lines().into_iter().map(|result| result["task"].as_str().unwrap().to_owned()).collect();
    let mut once = tasks.clone();
    once.sort();
    once.dedup();
    assert_eq!((tasks.len(), once.len()), (past + 3, past + 3), "{tasks:?}");
    let live = rig.run(&["results", "tail", "-n", "1", "--outcome", "pass", "-o", "ndjson"]).await.code(0);
    assert_eq!(live.lines()[0]["outcome"], json!("pass"));
}
