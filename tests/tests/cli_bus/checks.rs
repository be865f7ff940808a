//! Checks of the store: got and applied again, paused, deleted.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_got_can_be_applied_again_whatever_is_in_it() {
    let rig = Rig::set_up().await;
    let odd = "expect: {that: 'status < 400'}\ninterval: 17s\nscheduled: false";
    let quoted = "id: dialogue\ntcp:\n  address: 'mail.example:25'\n  steps:\n  - {expect: '220 (?<name>.*)'}\n  - {send: \
                  \"HELO ${name}\\r\\n\"}\n---\n";
    rig.write("checks.yaml", &(rig.http("odd", "ok", odd) + quoted + &rig.http("yes", "ok", "")));
    let applied = rig.run(&["checks", "apply", "-f", "checks.yaml", "-g", "eu"]).await.code(0);
    applied.tells("no bastion of the group `eu` is online");
    for id in ["odd", "dialogue", "yes"] {
        let got = rig.run(&["checks", "get", id]).await.code(0);
        assert!(got.stdout.starts_with("# group eu, revision "), "{got:?}");
        rig.write(&format!("{id}.yaml"), &got.stdout);
        let again = rig.run(&["checks", "apply", "-f", &format!("{id}.yaml"), "-g", "eu"]).await.code(0);
        again.tells("1 unchanged");
        let json = rig.run(&["checks", "get", id, "-o", "json"]).await.code(0);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap()["id"], json!(id));
    }
    rig.run(&["checks", "get", "nobody"]).await.code(1).tells("there is no check `nobody` in the store");

    // Two groups have one of the same name.
    rig.run(&["checks", "apply", "-f", "yes.yaml", "-g", "us"]).await.code(0);
    rig.run(&["checks", "get", "yes"]).await.code(2).tells("say which with --group");
    rig.run(&["checks", "get", "yes", "-g", "us"]).await.code(0);
    let list = rig.run(&["checks", "list", "-g", "us", "-o", "ndjson"]).await.code(0).lines();
    assert!(list.len() == 1 && list[0]["type"] == "http", "{list:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_check_rests_until_it_is_resumed_and_a_deleted_one_is_gone() {
    let rig = Rig::set_up().await;
    let _b1 = rig.bastion("b1").await;
    rig.write("checks.yaml", &rig.http("web", "ok", "interval: 1s\ntimeout: 1s"));
    rig.run(&["checks", "apply", "-f", "checks.yaml", "-g", "b1"]).await.code(0);
    rig.until(&["checks", "history", "web", "-n", "1"], |ran| (!ran.stdout.is_empty()).then_some(())).await;

    let standing = async |expected: &str| {
        let look = ["checks", "status", "web", "-o", "ndjson"];
        rig.until(&look, |ran| (ran.lines().first()?["standing"] == expected).then_some(())).await;
    };
    rig.run(&["checks", "pause", "web"]).await.code(0);
    standing("paused").await;
    let unchanged = rig.run(&["checks", "pause", "web"]).await.code(0);
    assert!(unchanged.stdout.contains("unchanged"), "{unchanged:?}");
    let got = rig.run(&["checks", "get", "web"]).await.code(0);
    assert!(got.stdout.contains("paused: true"), "{got:?}");
    // Whoever asks for it sees it run all the same.
    rig.run(&["checks", "test", "web"]).await.code(0);
    rig.run(&["checks", "resume", "web"]).await.code(0);
    standing("running").await;

    rig.run(&["checks", "delete", "web"]).await.code(2).tells("--yes");
    rig.run(&["checks", "delete", "web", "--yes"]).await.code(0);
    rig.until(&["checks", "list", "-b", "b1"], |ran| ran.stdout.is_empty().then_some(())).await;
    rig.run(&["checks", "delete", "web", "--yes"]).await.code(1).tells("there is no check `web`");
    // An orphan of a bastion can be deleted, so what is not there can.
    let marked = rig.run(&["checks", "delete", "web", "--yes", "-g", "b1"]).await.code(0);
    assert!(marked.stdout.contains("which the store did not have"), "{marked:?}");
}
