//! Running a check on a bastion, now.

use std::time::Instant;

use watchpost_tests::process::SOON;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_tells_rows_verdict_and_exit_code() {
    let rig = Rig::set_up().await;
    let _b1 = rig.bastion("b1").await;
    rig.write("pass.yaml", &rig.http("pass", "ok", ""));
    rig.write("fail.yaml", &rig.http("fail", "status/503", ""));
    let passed = rig.run(&["checks", "test", "-f", "pass.yaml"]).await.code(0);
    assert!(passed.stdout.starts_with("PASS "), "{passed:?}");
    passed.tells("1 pass in");
    let failed = rig.run(&["checks", "test", "-f", "fail.yaml", "-o", "ndjson", "-b", "b1"]).await.code(1);
    assert!(failed.lines().len() == 1 && failed.lines()[0]["check"] == "fail", "{failed:?}");

    // One that the bastion has, and its group with its verdict.
    let members = rig.http("one", "ok", "") + &rig.http("two", "status/503", "");
    rig.write("group.yaml", &format!("id: both\ngroup: {{checks: [one, two]}}\nverdict: any\n---\n{members}"));
    rig.run(&["checks", "apply", "-f", "group.yaml", "-g", "b1"]).await.code(0);
    let both = rig.run(&["checks", "test", "both", "-o", "json"]).await.code(0);
    let told: Vec<serde_json::Value> = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].get("task").is_none() && told[2]["outcome"] == "pass", "the verdict comes last: {told:?}");
    rig.run(&["checks", "test", "two"]).await.code(1);

    rig.run(&["checks", "test", "nobody"]).await.code(1).tells("has a check `nobody`");
    rig.run(&["checks", "test", "one", "-b", "b2"]).await.code(4).tells("the bastion `b2` is not on the bus");
    let many = format!(
        "id: many\nhttp: {{url: 'http://localhost:{}/ok'}}\naddresses: [127.0.0.1, 127.0.0.2, 127.0.0.3]\n",
        rig.target.address().port()
    );
    rig.write("many.yaml", &many);
    let refused = rig.run(&["checks", "test", "-f", "many.yaml", "--max-endpoints", "2"]).await.code(1);
    assert!(refused.stdout.is_empty(), "it ran: {refused:?}");
    refused.tells("3");
    let _b2 = rig.bastion("b2").await;
    rig.run(&["checks", "test", "-f", "pass.yaml"])
        .await
        .code(2)
        .tells("b1, b2 could run it: say which with --bastion");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_cancels_it_on_the_bastion() {
    let rig = Rig::set_up().await;
    let _b1 = rig.bastion("b1").await;
    rig.write("hangs.yaml", &rig.http("hangs", "hang", "interval: 5m\ntimeout: 5m"));
    let child =
        rig.command(&["checks", "test", "-f", "hangs.yaml", "--timeout", "5m", "-o", "ndjson"]).spawn().unwrap();
    let begun = Instant::now();
    while rig.target.counts().open() == 0 {
        assert!(begun.elapsed() < SOON, "it does not begin");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let output = tokio::time::timeout(SOON, child.wait_with_output()).await.expect("it ends").unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout} {}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains(r#""outcome":"cancelled""#), "{stdout}");
    let begun = Instant::now();
    while rig.target.counts().open() > 0 {
        assert!(begun.elapsed() < SOON, "the bastion goes on");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
