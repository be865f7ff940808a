//! What a plugin can reach of the machine.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use watchpost_model::Outcome;
use watchpost_policy::{ExecRules, Sandbox};
use watchpost_probe::machine::landlock_version;
use watchpost_tests::process::until;

use crate::rig::{AMPLE, DEBIAN, Folder, Ran, policy, probes_by, run, run_within};

/// A policy that lets programs write nowhere but in their own directory, and only where the kernel can see to it.
fn strict(folder: &Folder) -> ExecRules {
    let sandbox = if has(3) { Sandbox::Require } else { Sandbox::Prefer };
    ExecRules { writable: Vec::new(), sandbox, ..policy(&[folder.path()]) }
}

/// Whether this machine's kernel has Landlock of this version.
fn has(version: u32) -> bool {
    landlock_version().is_some_and(|known| known >= version)
}

/// Runs a shell script that is to tell by its exit code what it could do.
async fn script(folder: &Folder, policy: ExecRules, body: &str) -> Ran {
    let program = folder.program("check_it", &format!("#!/bin/sh\n{body}\n"));
    run(&probes_by(policy), &folder.check(&program, "")).await
}

#[tokio::test]
async fn each_result_tells_what_was_applied() {
    let folder = Folder::new();
    let mut expected = vec!["limits", "no_new_privs", "no_capabilities"];
    let kept = |version: u32| if version < 3 { "landlock_files_but_truncate" } else { "landlock_files" };
    expected.extend(landlock_version().map(kept));
    expected.extend(has(6).then_some("landlock_signals"));
    assert_eq!(script(&folder, strict(&folder), "echo OK").await.exec().confined, expected);
    let off = ExecRules { sandbox: Sandbox::Off, ..strict(&folder) };
    assert_eq!(script(&folder, off, "echo OK").await.exec().confined, ["limits", "no_new_privs", "no_capabilities"]);
}

#[tokio::test]
async fn the_system_can_be_read_and_only_its_own_directory_be_written() {
    if !has(3) {
        return;
    }
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, "hunter2").unwrap();
    let kept = folder.path().join("kept");
    fs::write(&kept, "kept").unwrap();
    let (secret, elsewhere) = (secret.display(), elsewhere.path().display());
    let kept_at = kept.display();
    for (what, command) in [
        ("read a file elsewhere", format!("cat '{secret}'")),
        ("list a directory elsewhere", format!("ls '{elsewhere}'")),
        ("make a file elsewhere", format!("touch '{elsewhere}/made'")),
        ("change a file elsewhere", format!("echo more >> '{secret}'")),
        ("truncate a file beside itself", format!("truncate -s 0 '{kept_at}'")),
        ("make a file beside itself", format!("touch '{kept_at}.more'")),
        ("remove a file beside itself", format!("rm -f '{kept_at}'")),
        ("make a file for all", "touch /tmp/watchpost-should-not-be /var/tmp/watchpost-should-not-be".into()),
        ("read passwords", "cat /etc/shadow".into()),
        ("read our keys", "ls /root /home /etc/ssh".into()),
        ("read another process's environment", "cat /proc/$PPID/environ".into()),
        ("run what it wrote", "cp /bin/true \"$TMPDIR/own\" && \"$TMPDIR/own\"".into()),
    ] {
        let ran = script(&folder, strict(&folder), &format!("{command} && exit 0; exit 2")).await;
        assert_eq!((ran.outcome, ran.exec().exit_code), (Outcome::Fail, Some(2)), "could {what}: {ran:?}");
        let free = ExecRules { sandbox: Sandbox::Off, ..strict(&folder) };
        if what.contains("elsewhere") {
            script(&folder, free, &format!("{command} && exit 0; exit 2")).await.assert_passed();
        }
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    for command in [
        "cat /etc/hosts /etc/passwd /proc/loadavg > /dev/null",
        "echo x > \"$TMPDIR/file\" && mkdir \"$TMPDIR/d\" && mv \"$TMPDIR/file\" \"$TMPDIR/d/file\" && rm -r \"$TMPDIR/d\"",
        "perl -e 'use POSIX; print \"OK\"'",
        "test \"$(sh -c 'echo a | tr a b')\" = b",
    ] {
        script(&folder, strict(&folder), &format!("{command} && exit 0; exit 2")).await.assert_passed();
    }
    let more = ExecRules { readable: vec![elsewhere_path(&secret.to_string())], ..strict(&folder) };
    script(&folder, more.clone(), &format!("cat '{secret}' && exit 0; exit 2")).await.assert_passed();
    let written = script(&folder, more, &format!("echo x >> '{secret}' && exit 0; exit 2")).await;
    assert_eq!(written.outcome, Outcome::Fail, "{written:?}");
}

fn elsewhere_path(secret: &str) -> PathBuf {
    Path::new(secret).parent().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_of_its_own_directory_is_left() {
    let folder = Folder::new();
    let fill =
        "mkdir -p \"$TMPDIR/a/b\"; for n in 1 2 3 4 5; do echo x > \"$TMPDIR/a/b/$n\"; done; ln -s / \"$TMPDIR/root\"";
    let gone = |ran: &Ran| {
        let path = PathBuf::from(ran.summary());
        assert!(path.starts_with(std::env::temp_dir()) && path != std::env::temp_dir(), "{ran:?}");
        async move { until("the directory is gone", AMPLE, || (!path.exists()).then_some(())).await }
    };
    let done = script(&folder, strict(&folder), &format!("{fill}; echo \"$TMPDIR\"")).await;
    done.assert_passed();
    gone(&done).await;
    let private = script(&folder, strict(&folder), "echo \"$(stat -c %a \"$TMPDIR\")\"").await;
    assert_eq!(private.summary(), "700");
    let program =
        folder.program("check_it", &format!("#!/bin/sh\n{fill}; echo \"$TMPDIR\"; while :; do sleep 600; done\n"));
    let check = folder.check(&program, "");
    let late = run_within(std::time::Duration::from_secs(2), &probes_by(strict(&folder)), &check).await;
    assert_eq!(late.outcome, Outcome::Timeout, "{late:?}");
    gone(&late).await;
}

#[tokio::test]
async fn no_program_gets_more_rights_than_it_is_started_with() {
    let folder = Folder::new();
    let ran =
        script(&folder, strict(&folder), "grep -E '^(NoNewPrivs|CapEff|CapAmb)' /proc/self/status | tr '\\n\\t' '  '")
            .await;
    assert_eq!(
        ran.summary().split_whitespace().collect::<Vec<_>>(),
        ["CapEff:", "0000000000000000", "CapAmb:", "0000000000000000", "NoNewPrivs:", "1"]
    );
}

#[tokio::test]
async fn no_other_process_can_be_signalled() {
    if !has(6) {
        return;
    }
    let folder = Folder::new();
    let kill = "kill -0 $PPID && exit 0; exit 2";
    assert_eq!(script(&folder, strict(&folder), kill).await.exec().exit_code, Some(2));
    script(&folder, ExecRules { sandbox: Sandbox::Off, ..strict(&folder) }, kill).await.assert_passed();
    script(&folder, strict(&folder), "sleep 600 & kill $! && exit 0; exit 2").await.assert_passed();
}

#[tokio::test]
async fn ports_are_confined_where_the_policy_says_so() {
    if !has(4) {
        return;
    }
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (open, closed) = (listen(), listen());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let policy = |ports| ExecRules {
        directories: vec![DEBIAN.into()],
        sandbox: Sandbox::Require,
        connect_ports: ports,
        ..ExecRules::default()
    };
    let connect = |listener: &TcpListener, ports| {
        let check = serde_json::json!({ "exec": {
            "command": format!("{DEBIAN}/check_tcp"),
            "arguments": ["-H", "127.0.0.1", "-p", port(listener).to_string()],
        } });
        let probes = probes_by(policy(ports));
        async move { run(&probes, &check.to_string()).await }
    };
    let permitted = Some(vec![port(&open)]);
    let passed = connect(&open, permitted.clone()).await;
    passed.assert_passed();
    assert!(passed.exec().confined.contains(&"landlock_ports".to_owned()), "{passed:?}");
    let refused = connect(&closed, permitted).await;
    refused.assert_ended(Outcome::Fail, "plugin_critical", "Permission denied");
    assert_ne!(connect(&open, Some(Vec::new())).await.outcome, Outcome::Pass);
    connect(&closed, None).await.assert_passed();
    // One connection of `None`, and none before it.
    closed.set_nonblocking(true).unwrap();
    assert!(closed.accept().is_ok());
    assert!(closed.accept().is_err());
}

#[tokio::test]
async fn a_program_runs_as_the_user_of_the_policy() {
    let folder = Folder::new();
    let nobody = ExecRules { user: Some("65534".parse().unwrap()), ..strict(&folder) };
    if !rustix::process::geteuid().is_root() {
        let ran = script(&folder, nobody, "echo OK").await;
        ran.assert_ended(Outcome::Cancelled, "not_permitted", "may not become another");
        return;
    }
    let private = folder.program("private", "hunter2");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = script(&folder, nobody.clone(), "echo \"$(id -u) $(id -ru) $(id -G) $(stat -c %u \"$TMPDIR\")\"").await;
    ran.assert_passed();
    assert!(ran.exec().confined.contains(&"user".to_owned()), "{ran:?}");
    let ids: Vec<_> = ran.summary().split(' ').collect();
    assert!(ids.len() == 4 && ids.iter().all(|id| *id == "65534"), "{ids:?}");
    let read = script(&folder, nobody.clone(), &format!("cat '{}' && exit 0; exit 2", private.display())).await;
    assert_eq!(read.exec().exit_code, Some(2), "{read:?}");
    script(
        &folder,
        nobody,
        "echo x > \"$TMPDIR/x\" && grep -q 'CapEff:.0000000000000000' /proc/self/status && exit 0; exit 2",
    )
    .await
    .assert_passed();
    let unknown = ExecRules { user: Some("no-such-user".parse().unwrap()), ..strict(&folder) };
    script(&folder, unknown, "echo OK").await.assert_ended(
        Outcome::Cancelled,
        "not_permitted",
        "no user `no-such-user`",
    );
}
