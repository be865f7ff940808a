//! Plugins that do what none should.

use std::time::Duration;

use watchpost_model::{CheckType, Outcome};
use watchpost_probe::Recorder;
use watchpost_tests::process::until;

use crate::rig::{AMPLE, Folder, Ran, members, probes, run, run_script, run_within, task};

/// Long enough for a script to begin, and short beside what the scripts here take that never end.
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn endless_output_ends_the_plugin() {
    for script in
        ["yes", "yes >&2", "yes & yes >&2", "trap '' PIPE TERM; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaa; done"]
    {
        let ran = run_script(script, "").await;
        ran.assert_ended(Outcome::Error, "plugin_output", "check_it printed more than 1048576 bytes and was killed");
        assert!(ran.exec().truncated && ran.exec().exit_code.is_none(), "{ran:?}");
    }
}

#[tokio::test]
async fn much_output_is_read_and_dropped() {
    let ran = run_script("echo 'first | a=1'; head -c 500000 /dev/zero | tr '\\0' x; echo '|b=2'; exit 2", "").await;
    ran.assert_ended(Outcome::Fail, "plugin_critical", "check_it reports critical: first");
    let exec = ran.exec();
    assert_eq!((exec.stdout_bytes, exec.truncated, ran.excerpt().len()), (500_017, true, 2048));
    assert_eq!(ran.evidence.metrics.keys().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn a_plugin_that_does_not_end_is_killed_at_the_deadline() {
    for body in [
        "sleep 600",
        "trap '' TERM INT HUP; echo 'so far'; echo why >&2; while :; do sleep 600; done",
        "sleep 600 & sleep 600 & wait",
        "exec >&- 2>&-; sleep 600",
        "sh -c 'sh -c \"sleep 600 & sleep 600\" & sleep 600'",
        // It stops itself.
        "kill -STOP $$",
    ] {
        let folder = Folder::new();
        let check = folder.check(&folder.script("check_it", body), "");
        let ran = run_within(SHORT, &probes(&[folder.path()]), &check).await;
        ran.assert_ended(Outcome::Timeout, "plugin_timeout", "the plugin did not end within 2s");
        folder.assert_gone("check_it", 1).await;
        if body.starts_with("trap") {
            assert_eq!((ran.summary(), ran.exec().stderr_excerpt.as_deref()), ("so far", Some("why")));
            assert!(ran.message().ends_with("11 bytes read"), "{}", ran.message());
        }
    }
}

#[tokio::test]
async fn what_a_plugin_leaves_behind_is_killed_and_holds_nothing_up() {
    let ran = run_script("sleep 600 & (sleep 600; echo late) & echo 'OK | a=1'", "").await;
    ran.assert_passed();
    assert_eq!((ran.summary(), ran.exec().output_held_open, ran.evidence.metrics["a"]), ("OK", false, 1.0));
    assert!(ran.took < AMPLE);
}

/// A process that begins a session of its own is out of reach of a signal to the group. It holds nothing up, and the
/// result tells.
#[tokio::test]
async fn what_leaves_the_group_is_told_and_holds_nothing_up() {
    let folder = Folder::new();
    let script = folder.script(
        "check_it",
        "setsid sh -c 'echo $$ > escaped; exec sleep 600' &\nuntil [ -s escaped ]; do sleep 0.01; done; echo OK",
    );
    let ran = run(&probes(&[folder.path()]), &folder.check(&script, "")).await;
    let escaped: u32 = std::fs::read_to_string(folder.path().join("escaped")).unwrap().trim().parse().unwrap();
    let there = members(&[escaped]).len();
    // Nobody else will.
    assert!(std::process::Command::new("kill").args(["-9", &escaped.to_string()]).status().unwrap().success());
    ran.assert_passed();
    assert!(ran.exec().output_held_open && ran.took < AMPLE, "{ran:?}");
    assert_eq!(there, 1);
    folder.assert_gone("check_it", 1).await;
}

#[tokio::test]
async fn a_plugin_need_not_say_anything() {
    let silent = run_script("exit 0", "").await;
    silent.assert_passed();
    assert_eq!((silent.exec().summary.as_deref(), silent.exec().stdout_bytes), (None, 0));
    let closed = run_script("exec >&- 2>&- <&-; sleep 0.2; exit 2", "").await;
    closed.assert_ended(Outcome::Fail, "plugin_critical", "check_it reports critical and says nothing");
}

#[tokio::test]
async fn other_codes_and_signals_are_told_apart() {
    for (body, code, told) in [
        ("exit 4", "plugin_exit", "check_it ended with exit code 4, and plugins end with 0 to 3 and says nothing"),
        ("echo huh; exit 255", "plugin_exit", "exit code 255, and plugins end with 0 to 3: huh"),
        ("nonexistent_command", "plugin_exit", "127, as of a command that is not found, and plugins end with 0 to 3: "),
        ("/etc/passwd", "plugin_exit", "126, as of a command that cannot be executed"),
        ("kill -SEGV $$", "plugin_killed", "check_it was ended by the signal SIGSEGV"),
        ("kill -KILL $$", "plugin_killed", "check_it was ended by the signal SIGKILL"),
        ("echo 'so far'; kill -TERM $$", "plugin_killed", "by the signal SIGTERM: so far"),
        ("kill -RTMIN $$", "plugin_killed", "by the signal number 34"),
        ("echo only here >&2; exit 3", "plugin_unknown", "could not tell (exit code 3): only here"),
    ] {
        run_script(body, "").await.assert_ended(Outcome::Error, code, told);
    }
}

#[tokio::test]
async fn binary_output_is_shown_as_text() {
    let ran = run_script(r"printf '\377\376\000\033[31m | \377=1 b=2\n\200\200'; exit 2", "").await;
    ran.assert_ended(Outcome::Fail, "plugin_critical", "\u{fffd}\u{fffd}\\u{0}\\u{1b}[31m");
    assert_eq!(ran.evidence.metrics["b"], 2.0);
    assert_eq!(ran.excerpt(), "\u{fffd}\u{fffd}");
}

#[tokio::test]
async fn output_may_come_byte_by_byte() {
    let ran = run_script("for c in O K ' ' '|' a = 1; do printf '%s' \"$c\"; sleep 0.02; done", "").await;
    ran.assert_passed();
    assert_eq!((ran.summary(), ran.evidence.metrics["a"]), ("OK", 1.0));
}

#[tokio::test]
async fn arguments_and_environment_may_be_large() {
    let long = "x".repeat(8 * 1024);
    let arguments = serde_json::to_string(&vec![&long; 10]).unwrap();
    let variables: std::collections::BTreeMap<_, _> = (0..10).map(|n| (format!("V{n}"), &long)).collect();
    let more = format!(r#", "arguments": {arguments}, "environment": {}"#, serde_json::to_string(&variables).unwrap());
    let ran = run_script("echo \"$# ${#1} ${#V9}\"", &more).await;
    ran.assert_passed();
    assert_eq!(ran.summary(), "10 8192 8192");
}

/// Guarantee 3: whenever a check is dropped, what it started is gone, also where that was just being started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_a_check_that_is_dropped_leaves_no_process() {
    const AT_A_TIME: usize = 30;
    let folder = Folder::new();
    let check = folder.check(&folder.script("check_it", "sleep 600 & sleep 600 | sleep 600"), "");
    let probes = probes(&[folder.path()]);
    let (_, factory) = probes.iter().find(|(known, _)| *known == CheckType::Exec).unwrap();
    // After so many of them have begun, every one is dropped.
    for begun in [0, 1, AT_A_TIME / 2, AT_A_TIME] {
        let before = folder.noted("check_it").len();
        let mut running: Vec<_> = (0..AT_A_TIME)
            .map(|_| {
                let (mut probe, task) = (factory(), task(&check));
                tokio::spawn(async move { probe.run(&task, &Recorder::new()).await })
            })
            .collect();
        until("some have begun", AMPLE, || (folder.noted("check_it").len() >= before + begun).then_some(())).await;
        running.iter().for_each(tokio::task::JoinHandle::abort);
        for aborted in running.drain(..) {
            assert!(aborted.await.unwrap_err().is_cancelled());
        }
        // Each starts one program or none, and those that were about to start come to nothing.
        until("all are gone", AMPLE, || members(&folder.noted("check_it")).is_empty().then_some(())).await;
    }
    // The probes are as good as new.
    let fine: Ran = run(&probes, &folder.check(&folder.script("fine", "echo OK"), "")).await;
    fine.assert_passed();
    assert_eq!(members(&folder.noted("check_it")), Vec::<String>::new());
}
