//! Where the bus is, and who we are to it.

use std::os::unix::fs::PermissionsExt;

use watchpost_tests::nats_server::NatsServer;

use crate::rig::{Ran, Rig, ended};

/// A command that nobody tells where the bus is.
async fn bare(rig: &Rig, args: &[&str]) -> Ran {
    let mut command = rig.command(args);
    command.env_remove("WATCHPOST_BUS");
    ended(command, args).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_are_kept_for_their_owner_alone_and_show_no_secrets() {
    let rig =
        Rig::on(NatsServer::start_with(&["-js", "-sd", "jetstream", "--user", "ann", "--pass", "s3cret-s3cret"])).await;
    let url = rig.nats.url();
    bare(&rig, &["checks", "list"]).await.code(2).tells("watchpost context add");
    bare(
        &rig,
        &["context", "add", "right", "--bus", &url, "--user", "ann", "--password", "s3cret-s3cret", "--group", "eu"],
    )
    .await
    .code(0);
    bare(&rig, &["context", "add", "wrong", "--bus", &url, "--token", "t0ken-${t0ken}"]).await.code(0);
    bare(&rig, &["context", "add", "right", "--bus", &url]).await.code(2).tells("--replace");
    let file = rig.folder().join("config/watchpost/contexts.yaml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let list = bare(&rig, &["context", "list", "-o", "ndjson"]).await.code(0);
    assert_eq!(list.lines().len(), 2);
    assert!(list.lines()[0]["used"] == true && list.lines()[0]["as"] == "user ann", "{list:?}");
    for output in ["table", "json"] {
        let shown = bare(&rig, &["context", "show", "wrong", "-o", output]).await.code(0);
        assert!(
            !format!("{shown:?}{list:?}").contains("s3cret") && !format!("{shown:?}").contains("t0ken"),
            "{shown:?}"
        );
    }
    // The first one is in use, until it is said otherwise.
    bare(&rig, &["bus", "setup"]).await.code(0);
    let refused = bare(&rig, &["checks", "list", "--context", "wrong"]).await.code(4);
    assert!(refused.stderr.contains("credentials") && !refused.stderr.contains("t0ken"), "{refused:?}");
    bare(&rig, &["context", "use", "wrong"]).await.code(0);
    bare(&rig, &["checks", "list"]).await.code(4);
    // A flag replaces what the context says of who we are.
    bare(&rig, &["checks", "list", "--context", "wrong", "--user", "ann", "--password", "s3cret-s3cret"]).await.code(0);
    // Whoever names a bus and no context is not taken for somebody of another bus.
    bare(&rig, &["context", "use", "right"]).await.code(0);
    bare(&rig, &["checks", "list", "--bus", &url]).await.code(4).tells("none are given");

    rig.write("checks.yaml", &rig.http("web", "ok", ""));
    let applied = bare(&rig, &["checks", "apply", "-f", "checks.yaml", "--context", "right"]).await.code(0);
    assert!(applied.stdout.starts_with("eu/web created"), "the context's group is meant: {applied:?}");
    bare(&rig, &["context", "remove", "wrong"]).await.code(0);
    bare(&rig, &["context", "show", "wrong"]).await.code(2).tells("there is no context `wrong`: right");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_cannot_be_reached_or_keeps_nothing_is_told_with_what_to_do() {
    let mut rig = Rig::on(NatsServer::start()).await;
    for args in [&["bus", "setup"][..], &["checks", "list"], &["results", "query"]] {
        rig.run(args).await.code(2).tells("JetStream");
    }
    // Who is online can be asked all the same.
    let _b1 = rig.bastion("b1").await;
    let list = rig.run(&["bastions", "list", "-o", "ndjson"]).await.code(0);
    assert_eq!(list.lines()[0]["bastion"], "b1");
    list.tells("nobody keeps heartbeats");
    rig.nats.stop();
    for args in [&["bus", "setup"][..], &["checks", "list"], &["bastions", "list"], &["events", "tail"]] {
        rig.run(args).await.code(4).tells("refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_changed_only_in_what_was_asked_for() {
    let rig = Rig::new().await;
    let done = |ran: Ran| -> Vec<String> {
        ran.lines().iter().map(|line| line["done"].as_str().unwrap().to_owned()).collect()
    };
    let setup = async |more: &[&str]| done(rig.run(&[&["bus", "setup", "-o", "ndjson"], more].concat()).await.code(0));
    assert_eq!(setup(&["--dry-run"]).await, ["would create"; 4]);
    assert_eq!(setup(&[]).await, ["created"; 4]);
    assert_eq!(setup(&[]).await, ["unchanged"; 4]);
    assert_eq!(
        setup(&["--results-age", "3d", "--dry-run"]).await,
        ["unchanged", "would change", "unchanged", "unchanged"]
    );
    assert_eq!(
        setup(&["--results-age", "3d", "--events-bytes", "8MiB"]).await,
        ["unchanged", "changed", "changed", "unchanged"]
    );
    assert_eq!(setup(&[]).await, ["unchanged"; 4], "nobody asked for the defaults");
    // Another prefix on the same server joins.
    assert_eq!(setup(&["--prefix", "acme"]).await, ["unchanged", "changed", "changed", "changed"]);
    assert_eq!(setup(&["--prefix", "acme"]).await, ["unchanged"; 4]);
    assert_eq!(setup(&[]).await, ["unchanged"; 4]);
}
