//! Who is online, who has gone silent, who runs nothing.

use serde_json::{Value, json};

use crate::rig::Rig;

fn of<'a>(lines: &'a [Value], bastion: &str) -> Option<&'a Value> {
    lines.iter().find(|line| line["bastion"] == bastion)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_went_silent_is_told_from_one_that_runs_nothing() {
    let rig = Rig::set_up().await;
    let own = format!("checks:\n- {{id: own, http: {{url: 'http://{}/ok'}}}}\n", rig.target.address());
    let _busy = rig.bastion_with("busy", &own).await;
    let _idle = rig.bastion("idle").await;
    let gone = rig.bastion_with("gone", &own).await;
    let list = ["bastions", "list", "-o", "ndjson"];
    let all_online = |lines: &[Value]| lines.len() == 3 && lines.iter().all(|line| line["online"] == true);
    rig.until(&list, |ran| all_online(&ran.lines()).then_some(())).await;
    // Until its first heartbeat is kept, nobody could tell that there ever was one.
    let kept = ["bus", "setup", "-o", "ndjson"];
    rig.until(&kept, |ran| (!ran.lines()[3]["details"].to_string().contains("holds 0 ")).then_some(())).await;
    // It is killed, and says no good-bye.
    drop(gone);
    let lines = rig
        .until(&list, |ran| Some(ran.lines()).filter(|lines| of(lines, "gone").is_some_and(|b| b["online"] == false)))
        .await;
    assert_eq!(of(&lines, "busy").unwrap()["online"], json!(true));
    let gone = of(&lines, "gone").unwrap();
    assert!(gone["note"].as_str().unwrap().starts_with("silent since 20"), "{gone}");
    let idle = of(&lines, "idle").unwrap();
    assert!(idle["note"].as_str().unwrap().contains("no checks"), "{idle}");

    let table = rig.run(&["bastions", "list"]).await.code(0);
    let row = |id: &str| table.stdout.lines().find(|line| line.starts_with(id)).unwrap().to_owned();
    assert!(row("gone").contains("offline") && row("gone").contains("silent since"), "{table:?}");
    assert!(row("busy").contains("online"), "{table:?}");
    let shown = rig.run(&["bastions", "show", "busy"]).await.code(0);
    for part in ["busy is online", "Checker and Runner", "version", "checks       1, generation"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    let silent = rig.run(&["bastions", "show", "gone"]).await.code(0);
    assert!(silent.stdout.starts_with("gone is offline\n"), "{silent:?}");
    rig.run(&["bastions", "show", "nobody"]).await.code(4).tells("is not on the bus, and no heartbeat of it is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_begun_seen_and_ended() {
    let rig = Rig::set_up().await;
    let _b1 = rig.bastion("b1").await;
    let drained = rig.run(&["bastions", "drain", "b1", "-o", "ndjson"]).await.code(0).lines();
    assert!(drained.len() == 1 && drained[0]["draining"] == true, "{drained:?}");
    let note = |ran: &crate::rig::Ran| ran.lines()[0]["note"].as_str().unwrap_or_default().to_owned();
    assert!(note(&rig.run(&["bastions", "list", "-o", "ndjson"]).await).contains("draining"));
    let ended = rig.run(&["bastions", "undrain", "b1", "-o", "ndjson"]).await.code(0).lines();
    assert_eq!(ended[0]["draining"], false);
    assert!(!note(&rig.run(&["bastions", "list", "-o", "ndjson"]).await).contains("draining"));
    rig.run(&["bastions", "drain", "b9"]).await.code(4).tells("the bastion `b9` is not on the bus");
}
